package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// layout names every file of a bed; all lie in one folder.
type layout struct{ dir string }

func (l layout) path(parts ...string) string {
	return filepath.Join(append([]string{l.dir}, parts...)...)
}

func (l layout) kubeconfigs() string         { return l.path("kubeconfig") }
func (l layout) kubeconfig(who user) string  { return l.path("kubeconfig", fileName(who.Name)+".yaml") }
func (l layout) logs() string                { return l.path("logs") }
func (l layout) log(component string) string { return l.path("logs", component+".log") }
func (l layout) auditLog() string            { return l.path("audit.log") }
func (l layout) auditPolicy() string         { return l.path("audit-policy.yaml") }
func (l layout) tokens() string              { return l.path("tokens.csv") }
func (l layout) serviceAccountKey() string   { return l.path("pki", "sa.key") }
func (l layout) serviceAccountPub() string   { return l.path("pki", "sa.pub") }

// Those of a node.
func (l layout) containerd() string      { return l.path("containerd.sock") }
func (l layout) hosts() string           { return l.path("dns", "hosts") }
func (l layout) nodeKubeconfigs() string { return l.path("node", "kubeconfig") }
func (l layout) nodeKubeconfig(who user) string {
	return l.path("node", "kubeconfig", fileName(who.Name)+".yaml")
}
func (l layout) nodeConfig(name string) string    { return l.path("node", name+".json") }
func (l layout) kubeletClient(kind string) string { return l.path("pki", "kubelet-client."+kind) }

// nodeFolders are those that a node has beside what every bed has.
var nodeFolders = []string{"cni", "containerd", "dns", "kubelet", "kubelet/pki", "kubelet/plugins", "logs/pods", "node", "node/kubeconfig", "var", "var/upper", "var/work"}

// ca is the certificate file that kube-apiserver makes for itself: its own certificate followed by that of the authority it made for the purpose.
func (l layout) ca() string { return l.path("pki", "apiserver.crt") }

// fileName makes the name of a system user usable as a file name everywhere.
func fileName(user string) string {
	switch user {
	case controllerManagerName, schedulerName, proxyName:
		return strings.TrimPrefix(user, "system:")
	case kubeletName:
		return "kubelet"
	}
	return user
}

// makeLayout prepares the folder of a bed: a new one below the system's temporary folder when dir is empty, else dir, made if missing. It must hold nothing
// of another bed.
func makeLayout(dir string, more ...string) (layout, error) {
	if dir == "" {
		made, err := os.MkdirTemp("", "aegis-testbed-")
		if err != nil {
			return layout{}, err
		}
		dir = made
	}
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return layout{}, err
	}
	made := layout{absolute}
	if err := os.MkdirAll(absolute, 0o700); err != nil {
		return layout{}, err
	}
	// etcd wants its data folder to be the owner's alone.
	for _, folder := range append([]string{"etcd", "flex", "kubeconfig", "logs", "pki"}, more...) {
		if err := os.Mkdir(made.path(folder), 0o700); err != nil {
			if errors.Is(err, os.ErrExist) {
				return layout{}, errors.New(absolute + " already holds a test bed: give an empty folder")
			}
			return layout{}, err
		}
	}
	return made, nil
}
