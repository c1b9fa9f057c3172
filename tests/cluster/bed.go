package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"time"
)

// bed is a running level 1: its folder, who may log in, and its components in the order in which they were started.
type bed struct {
	files      layout
	users      []user
	extraFlags map[string][]string
	// end is called with the reason as soon as something makes it senseless to go on; only the first reason counts.
	end      context.CancelCauseFunc
	children []*child
	ports    []reservation
	server   string
}

// ready is the one line that `up` prints: all that a program needs to use the bed.
type ready struct {
	Server      string         `json:"server"`
	CAFile      string         `json:"caFile"`
	Dir         string         `json:"dir"`
	Kubeconfigs string         `json:"kubeconfigs"`
	AuditLog    string         `json:"auditLog"`
	Logs        string         `json:"logs"`
	Users       []user         `json:"users"`
	Pids        map[string]int `json:"pids"`
}

// start brings the components up one after the other and returns when the bed can be used. ctx ends when a component does.
func (b *bed) start(ctx context.Context) error {
	etcdPort, err := b.port()
	if err != nil {
		return err
	}
	peerPort, err := b.port()
	if err != nil {
		return err
	}
	serverPort, err := b.port()
	if err != nil {
		return err
	}
	managerPort, err := b.port()
	if err != nil {
		return err
	}
	b.server = fmt.Sprintf("https://127.0.0.1:%d", serverPort)
	if err := b.writeInputs(); err != nil {
		return err
	}
	if err := b.run("etcd", etcdFlags(b.files, etcdPort, peerPort)); err != nil {
		return err
	}
	// A server that finds no etcd waits a whole second before it looks again.
	if err := poll(ctx, "etcd to listen", func() error { return dial(ctx, etcdPort) }); err != nil {
		return err
	}
	if err := b.run("kube-apiserver", apiserverFlags(b.files, etcdPort, serverPort)); err != nil {
		return err
	}
	if err := poll(ctx, "kube-apiserver to make its certificate", b.writeKubeconfigs); err != nil {
		return err
	}
	client, err := newProbe(b.server, b.files.ca(), b.admin().token)
	if err != nil {
		return err
	}
	if err := poll(ctx, "kube-apiserver to be ready", client.found(ctx, "/readyz")); err != nil {
		return err
	}
	// Not earlier: the controller manager gives up when its server is not there within ten seconds, which a busy machine can need.
	manager := b.files.kubeconfig(b.users[1])
	if err := b.run("kube-controller-manager", controllerManagerFlags(b.files, manager, managerPort)); err != nil {
		return err
	}
	// Without this account every Pod is refused; without the other, no Pod could trust the server.
	if err := poll(ctx, "the default service account", client.found(ctx, "/api/v1/namespaces/default/serviceaccounts/default")); err != nil {
		return err
	}
	return poll(ctx, "the root certificate's ConfigMap", client.found(ctx, "/api/v1/namespaces/default/configmaps/kube-root-ca.crt"))
}

// report answers what to print once the bed is ready.
func (b *bed) report() ready {
	pids := make(map[string]int, len(b.children))
	for _, one := range b.children {
		pids[one.name] = one.command.Process.Pid
	}
	return ready{
		Server:      b.server,
		CAFile:      b.files.ca(),
		Dir:         b.files.dir,
		Kubeconfigs: b.files.kubeconfigs(),
		AuditLog:    b.files.auditLog(),
		Logs:        b.files.logs(),
		Users:       b.users,
		Pids:        pids,
	}
}

// kill ends all components, the last started first, so that none complains about one that has gone before it.
func (b *bed) kill() {
	for _, one := range slices.Backward(b.children) {
		one.kill()
	}
}

func (b *bed) admin() user { return b.users[0] }

func (b *bed) port() (int, error) {
	reserved, err := reservePort()
	if err == nil {
		b.ports = append(b.ports, reserved)
	}
	return reserved.port, err
}

func (b *bed) run(name string, flags []string) error {
	started, err := startChild(name, b.files.dir, b.files.log(name), append(flags, b.extraFlags[name]...), b.end)
	if err == nil {
		b.children = append(b.children, started)
	}
	return err
}

func (b *bed) writeInputs() error {
	if err := writeServiceAccountKey(b.files.serviceAccountKey(), b.files.serviceAccountPub()); err != nil {
		return err
	}
	if err := writeTokens(b.files.tokens(), b.users); err != nil {
		return err
	}
	return writeAuditPolicy(b.files.auditPolicy())
}

// writeKubeconfigs needs the server's certificate, so it fails until that is there.
func (b *bed) writeKubeconfigs() error {
	ca, err := os.ReadFile(b.files.ca())
	if err != nil {
		return err
	}
	if err := complete(ca); err != nil {
		return err
	}
	for _, who := range b.users {
		if err := writeKubeconfig(b.files.kubeconfig(who), b.server, ca, who); err != nil {
			return err
		}
	}
	return nil
}

// pollInterval is far below what any wait takes, and above what would cost the components time.
const pollInterval = 20 * time.Millisecond

// poll tries until it succeeds. It ends with ctx: with the reason for which that was ended, or naming what was awaited and the last failure when time ran out.
func poll(ctx context.Context, awaited string, try func() error) error {
	ticks := time.NewTicker(pollInterval)
	defer ticks.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			if cause := context.Cause(ctx); cause != errSlow {
				return cause
			}
			return fmt.Errorf("%w, waiting for %s: %w", errSlow, awaited, err)
		case <-ticks.C:
		}
	}
}

func dial(ctx context.Context, port int) error {
	connection, err := new(net.Dialer).DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err == nil {
		connection.Close()
	}
	return err
}
