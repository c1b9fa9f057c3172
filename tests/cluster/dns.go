package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"

	corev1 "k8s.io/api/core/v1"
)

// dnsName is what the cluster's DNS server is called among the components, although it is not a process of the bed but a Pod, as on a real cluster: policies can
// select it, and the kubelet starts it again when it is killed.
const dnsName = "coredns"

//go:embed dns.yaml
var dnsManifest string

var dnsTemplate = template.Must(template.New("dns").Parse(dnsManifest))

// applyAddons makes the objects of what runs in the cluster from the start.
func (b *bed) applyAddons(ctx context.Context) error {
	path := b.files.path("node", "dns.yaml")
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	values := map[string]string{"Image": dnsImage, "Service": dnsService, "Folder": filepath.Dir(b.files.hosts())}
	if err := dnsTemplate.Execute(file, values); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	_, err = output(ctx, self, "kubectl", "--kubeconfig", b.files.kubeconfig(b.admin()), "--cache-dir", b.files.path("node", "cache"), "create", "--validate=ignore", "-f", path)
	return err
}

// dnsAnswers succeeds when kube-proxy leads to a server that has read the cluster's names.
func (b *bed) dnsAnswers(ctx context.Context) error { return b.dial(ctx, dnsService+":53") }

// dnsPid answers the process of the cluster's DNS server, as the machine numbers it.
func (b *bed) dnsPid(ctx context.Context) (int, error) {
	var pods corev1.PodList
	if err := b.node.client.get(ctx, "/api/v1/namespaces/kube-system/pods?labelSelector="+url.QueryEscape("k8s-app=kube-dns"), &pods); err != nil {
		return 0, err
	}
	for _, pod := range pods.Items {
		for _, container := range pod.Status.ContainerStatuses {
			if container.State.Running != nil {
				return b.node.containerPid(container.ContainerID)
			}
		}
	}
	return 0, errors.New(dnsName + " does not run")
}

var errNoContainer = errors.New("no process of such a container")

// containerPid answers the first process of a container, as the machine numbers it: of those in the container's cgroup, the one that was started first.
func (n *node) containerPid(id string) (int, error) {
	id = id[strings.LastIndex(id, "/")+1:]
	processes, err := os.ReadDir("/proc")
	if err != nil {
		return 0, err
	}
	found, began := 0, uint64(math.MaxUint64)
	for _, one := range processes {
		pid, err := strconv.Atoi(one.Name())
		if err != nil {
			continue
		}
		// A process may end while it is looked at: then it is not the one.
		groups, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
		if err != nil || id == "" || !strings.Contains(string(groups), id) {
			continue
		}
		if at, err := startTime(pid); err == nil && at < began {
			found, began = pid, at
		}
	}
	if found == 0 {
		return 0, fmt.Errorf("%w: %q", errNoContainer, id)
	}
	return found, nil
}

// startTime is when a process was started, in ticks since the machine was (proc_pid_stat(5), field 22).
func startTime(pid int) (uint64, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The second field is the name, which may hold spaces and parentheses; the third follows its end.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 20 {
		return 0, errors.New("short stat")
	}
	return strconv.ParseUint(fields[19], 10, 64)
}
