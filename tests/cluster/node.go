package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
)

// node is what level 2 has beside level 1: namespaces with a whole node in them, a second network that plays the outside world, and what ends them.
type node struct {
	plugins  string
	cgroup   string
	outside  []net.IP
	watchdog *watchdog
	init     *exec.Cmd
	ext      *exec.Cmd
	server   net.Listener
	client   *probe
	// inside runs functions on a thread that lives in all of the node's namespaces.
	inside chan func()
}

type readyNode struct {
	Name         string   `json:"name"`
	Pid          int      `json:"pid"`
	Server       string   `json:"server"`
	Kubeconfigs  string   `json:"kubeconfigs"`
	Containerd   string   `json:"containerd"`
	Cgroup       string   `json:"cgroup"`
	Addresses    []string `json:"addresses"`
	PodCidrs     []string `json:"podCidrs"`
	ServiceCidrs []string `json:"serviceCidrs"`
	DNS          string   `json:"dns"`
	Hosts        string   `json:"hosts"`
}

type readyExt struct {
	Pid       int      `json:"pid"`
	Addresses []string `json:"addresses"`
}

// Everything listens on the ports that it has everywhere: no other bed is in this network.
const nodeServer = "https://" + nodeV4 + ":6443"

// newNode makes the namespaces of a node, empty as yet. What it has made is undone by end, also when it fails.
func (b *bed) newNode(plugins string, more []net.IP, temporary bool) error {
	made := &node{plugins: plugins, cgroup: "aegis-" + strings.ToLower(rand.Text()[:12])}
	for _, address := range extAddresses {
		made.outside = append(made.outside, net.ParseIP(address))
	}
	made.outside = append(made.outside, more...)
	b.node = made
	folder := ""
	if temporary {
		folder = b.files.dir
	}
	var err error
	if made.watchdog, err = startWatchdog(made.cgroup, folder); err != nil {
		return err
	}
	if err := makeCgroup(made.cgroup); err != nil {
		return fmt.Errorf("cannot make the cgroup %s: %w", made.cgroup, err)
	}
	if made.ext, err = startInit(extInitCommand, networkOnly); err != nil {
		return err
	}
	if made.init, err = startInit(nodeInitCommand, wholeNode, b.files.dir); err != nil {
		return err
	}
	for _, one := range []*exec.Cmd{made.ext, made.init} {
		if err := made.watchdog.watch(one.Process.Pid); err != nil {
			return err
		}
	}
	if err := made.open(); err != nil {
		return err
	}
	return wire(made.init.Process.Pid, made.ext.Process.Pid, made.outside)
}

// open makes the thread from which the node's components are started.
func (n *node) open() error {
	n.inside = make(chan func())
	entered := make(chan error)
	go func() {
		// Never unlocked, see enter.
		runtime.LockOSThread()
		entered <- enter(n.init.Process.Pid, wholeNode)
		for work := range n.inside {
			work()
		}
	}()
	return <-entered
}

// start starts a command inside of the node. It ends with the first process there, which is bound to this one.
func (n *node) start(command *exec.Cmd) error {
	// From in there no parent can be seen, which Go would take for its death.
	command.SysProcAttr.Pdeathsig = 0
	done := make(chan error)
	n.inside <- func() { done <- command.Start() }
	return <-done
}

// end ends the node with everything in it and removes what the kernel would leave.
func (n *node) end() error {
	for _, one := range []*exec.Cmd{n.init, n.ext} {
		if one != nil {
			_ = one.Process.Kill()
			_ = one.Wait()
		}
	}
	if n.watchdog == nil {
		return nil
	}
	return n.watchdog.finish()
}

// startNode starts the components of level 2.
func (b *bed) startNode(ctx context.Context) error {
	port, err := b.port()
	if err != nil {
		return err
	}
	address := fmt.Sprintf("127.0.0.1:%d", port)
	if b.node.server, err = net.Listen("tcp", address); err != nil {
		return err
	}
	b.server = "https://" + address
	go relay(b.node.server, b.node.init.Process.Pid, nodeV4+":6443")
	if err := errors.Join(b.writeNodeInputs(), b.startContainerd()); err != nil {
		return err
	}
	// Beside the control plane, which takes longer.
	var images sync.WaitGroup
	var imagesErr error
	images.Go(func() { imagesErr = b.loadOwnImages(ctx) })
	defer images.Wait()

	client, err := b.startControlPlane(ctx, nodePlan(b.files))
	if err != nil {
		return err
	}
	b.node.client = client
	for _, one := range b.nodeComponents() {
		if err := b.run(one); err != nil {
			return err
		}
	}
	if err := b.applyAddons(ctx); err != nil {
		return err
	}
	images.Wait()
	if imagesErr != nil {
		return imagesErr
	}
	if err := client.awaitAccounts(ctx); err != nil {
		return err
	}
	for _, one := range b.components {
		if one.ready == nil {
			continue
		}
		if err := poll(ctx, one.name+" to be ready", func() error { return one.ready(ctx) }); err != nil {
			return err
		}
	}
	return poll(ctx, "cluster DNS to answer", func() error { return b.dnsAnswers(ctx) })
}

// writeNodeInputs writes the files that the components of a node read.
func (b *bed) writeNodeInputs() error {
	if err := writeKubeletClient(b.files.kubeletClient("crt"), b.files.kubeletClient("key")); err != nil {
		return err
	}
	if err := writeNodeServer(b.files.ca(), b.files.path("pki", "apiserver.key")); err != nil {
		return err
	}
	// Pods that ask for the node's own resolver get one of the outside world, if a test starts it.
	if err := os.WriteFile(b.files.path("node", "resolv.conf"), []byte("nameserver "+extV4+"\n"), 0o644); err != nil {
		return err
	}
	// CoreDNS is not root.
	if err := os.Chmod(filepath.Dir(b.files.hosts()), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(b.files.hosts(), nil, 0o644); err != nil {
		return err
	}
	for name, config := range nodeConfigs(b) {
		if err := writeJSON(b.files.nodeConfig(name), config); err != nil {
			return err
		}
	}
	return nil
}

func (n *node) writeKubeconfigs(files layout, ca []byte, users []user) error {
	for _, who := range users {
		if err := writeKubeconfig(files.nodeKubeconfig(who), nodeServer, ca, who); err != nil {
			return err
		}
	}
	return nil
}

func (n *node) report(line *ready, files layout, dns int) {
	addresses := []string{extV4, extV6}
	for _, one := range n.outside {
		addresses = append(addresses, one.String())
	}
	line.Pids[dnsName] = dns
	line.Node = &readyNode{
		Name:         nodeName,
		Pid:          n.init.Process.Pid,
		Server:       nodeServer,
		Kubeconfigs:  files.nodeKubeconfigs(),
		Containerd:   files.containerd(),
		Cgroup:       n.cgroup,
		Addresses:    []string{nodeV4, nodeV6},
		PodCidrs:     []string{podsV4, podsV6},
		ServiceCidrs: []string{servicesV4, servicesV6},
		DNS:          dnsService,
		Hosts:        files.hosts(),
	}
	line.Ext = &readyExt{Pid: n.ext.Process.Pid, Addresses: addresses}
}
