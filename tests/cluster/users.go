package main

import (
	"bytes"
	"crypto/rand"
	"encoding/csv"
	"fmt"
	"os"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/util/uuid"
)

// user is someone the API server knows by a bearer token. What the user may do is RBAC's matter alone.
type user struct {
	Name   string   `json:"name"`
	UID    string   `json:"uid"`
	Groups []string `json:"groups"`
	token  string
}

// The two that every bed has, and those of a node.
const (
	adminName             = "admin"
	controllerManagerName = "system:kube-controller-manager"
	schedulerName         = "system:kube-scheduler"
	proxyName             = "system:kube-proxy"
	kubeletName           = "system:node:" + nodeName
)

func newUser(name string, groups ...string) user {
	return user{Name: name, UID: string(uuid.NewUUID()), Groups: groups, token: rand.Text()}
}

// A name becomes the name of a file.
var userName = regexp.MustCompile(`^[a-z0-9]([a-z0-9.@_-]*[a-z0-9])?$`)

// userFlag reads --user name[:group,group], which may be repeated. Groups may hold colons, as system:masters does.
type userFlag []user

func (f *userFlag) String() string { return "" }

func (f *userFlag) Set(value string) error {
	name, groups, _ := strings.Cut(value, ":")
	if !userName.MatchString(name) || name == adminName {
		return fmt.Errorf("%q cannot be the name of a user", name)
	}
	for _, known := range *f {
		if known.Name == name {
			return fmt.Errorf("user %q is given twice", name)
		}
	}
	next := newUser(name)
	if groups != "" {
		next.Groups = strings.Split(groups, ",")
	}
	*f = append(*f, next)
	return nil
}

// writeTokens writes the file of kube-apiserver's --token-auth-file: token, name, uid, "group,group". The last column must be missing, not empty, for a user
// without groups, whom the server would otherwise put into a group without a name.
func writeTokens(path string, users []user) error {
	var content bytes.Buffer
	rows := csv.NewWriter(&content)
	for _, one := range users {
		row := []string{one.token, one.Name, one.UID}
		if len(one.Groups) > 0 {
			row = append(row, strings.Join(one.Groups, ","))
		}
		if err := rows.Write(row); err != nil {
			return err
		}
	}
	rows.Flush()
	if err := rows.Error(); err != nil {
		return err
	}
	return os.WriteFile(path, content.Bytes(), 0o600)
}
