package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"time"
)

// bed is a running Kubernetes: its folder, who may log in, and its components in the order in which they were started.
type bed struct {
	files      layout
	users      []user
	extraFlags map[string][]string
	// end is called with the reason as soon as something makes it senseless to go on; only the first reason counts.
	end        context.CancelCauseFunc
	components []*component
	// faults is set once a component was stopped or killed on purpose; restarts are those that ended by themselves since.
	faults   atomic.Bool
	restarts chan *component
	ports    []reservation
	// server is the API server's address for programs outside of the bed.
	server string
	// node is what level 2 has beside all that; nil at level 1.
	node *node
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
	Node        *readyNode     `json:"node,omitempty"`
	Ext         *readyExt      `json:"ext,omitempty"`
}

// start brings the components up one after the other and returns when the bed can be used. ctx ends when a component does.
func (b *bed) start(ctx context.Context) error {
	if b.node != nil {
		return b.startNode(ctx)
	}
	where, err := b.loopbackPlan()
	if err != nil {
		return err
	}
	b.server = fmt.Sprintf("https://127.0.0.1:%d", where.server)
	client, err := b.startControlPlane(ctx, where)
	if err != nil {
		return err
	}
	return client.awaitAccounts(ctx)
}

// startControlPlane starts etcd, the API server and the controller manager, and answers a client of the server, which is ready then.
func (b *bed) startControlPlane(ctx context.Context, where plan) (*probe, error) {
	if err := b.writeInputs(); err != nil {
		return nil, err
	}
	etcdListens := func(ctx context.Context) error { return b.dial(ctx, fmt.Sprintf("127.0.0.1:%d", where.etcd)) }
	if err := b.run(component{name: "etcd", flags: etcdFlags(b.files, where), ready: etcdListens}); err != nil {
		return nil, err
	}
	// A server that finds no etcd waits a whole second before it looks again.
	if err := poll(ctx, "etcd to listen", func() error { return etcdListens(ctx) }); err != nil {
		return nil, err
	}
	var client *probe
	serverReady := func(ctx context.Context) error { return client.found(ctx, "/readyz")() }
	if err := b.run(component{name: "kube-apiserver", flags: apiserverFlags(b.files, where), ready: serverReady}); err != nil {
		return nil, err
	}
	if err := poll(ctx, "kube-apiserver to make its certificate", b.writeKubeconfigs); err != nil {
		return nil, err
	}
	client, err := newProbe(b.server, b.files.ca(), b.admin().token)
	if err != nil {
		return nil, err
	}
	if err := poll(ctx, "kube-apiserver to be ready", func() error { return serverReady(ctx) }); err != nil {
		return nil, err
	}
	// Not earlier: the controller manager gives up when its server is not there within ten seconds, which a busy machine can need.
	manager := component{name: "kube-controller-manager", flags: controllerManagerFlags(b.files, b.kubeconfigInside(b.users[1]), where)}
	return client, b.run(manager)
}

// kubeconfigInside answers the file with which a component reaches the server.
func (b *bed) kubeconfigInside(who user) string {
	if b.node != nil {
		return b.files.nodeKubeconfig(who)
	}
	return b.files.kubeconfig(who)
}

// awaitAccounts waits for what a Pod needs to be made.
func (p *probe) awaitAccounts(ctx context.Context) error {
	// Without this account every Pod is refused; without the other, no Pod could trust the server.
	if err := poll(ctx, "the default service account", p.found(ctx, "/api/v1/namespaces/default/serviceaccounts/default")); err != nil {
		return err
	}
	return poll(ctx, "the root certificate's ConfigMap", p.found(ctx, "/api/v1/namespaces/default/configmaps/kube-root-ca.crt"))
}

// report answers what to print once the bed is ready.
func (b *bed) report(ctx context.Context) (ready, error) {
	pids := make(map[string]int, len(b.components))
	for _, one := range b.components {
		pids[one.name] = one.command.Process.Pid
	}
	line := ready{
		Server:      b.server,
		CAFile:      b.files.ca(),
		Dir:         b.files.dir,
		Kubeconfigs: b.files.kubeconfigs(),
		AuditLog:    b.files.auditLog(),
		Logs:        b.files.logs(),
		Users:       b.users,
		Pids:        pids,
	}
	if b.node == nil {
		return line, nil
	}
	dns, err := b.dnsPid(ctx)
	if err != nil {
		return ready{}, err
	}
	b.node.report(&line, b.files, dns)
	return line, nil
}

// kill ends all components, the last started first, so that none complains about one that has gone before it.
func (b *bed) kill() {
	for _, one := range slices.Backward(b.components) {
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
	if b.node != nil {
		return b.node.writeKubeconfigs(b.files, ca, b.users)
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
