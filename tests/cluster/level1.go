package main

import "fmt"

// Level 1 of the bed: etcd, kube-apiserver and kube-controller-manager on loopback, without root and without nodes. These are the flags of its components.

// plan says where the control plane listens and what differs between the levels.
type plan struct {
	// Ports of the components; all but the server's are on loopback.
	etcd, peer, server, manager int
	// bind is the address that the server listens on, advertise the one that the Service kubernetes leads to.
	bind, advertise string
	// services is the range of the Services' addresses.
	services                  string
	serverFlags, managerFlags []string
}

// loopbackPlan puts everything on free ports of 127.0.0.1.
func (b *bed) loopbackPlan() (plan, error) {
	made := plan{
		bind: "127.0.0.1",
		// A loopback address is refused here. This one is reserved for documentation (RFC 5737): no interface has it.
		advertise: "198.51.100.1",
		services:  servicesV4,
	}
	for _, port := range []*int{&made.etcd, &made.peer, &made.server, &made.manager} {
		var err error
		if *port, err = b.port(); err != nil {
			return plan{}, err
		}
	}
	return made, nil
}

func etcdFlags(files layout, where plan) []string {
	client := fmt.Sprintf("http://127.0.0.1:%d", where.etcd)
	peer := fmt.Sprintf("http://127.0.0.1:%d", where.peer)
	return []string{
		"--data-dir=" + files.path("etcd"),
		"--listen-client-urls=" + client,
		"--advertise-client-urls=" + client,
		"--listen-peer-urls=" + peer,
		"--initial-advertise-peer-urls=" + peer,
		"--initial-cluster=default=" + peer,
		// The data is thrown away.
		"--unsafe-no-fsync",
		"--log-level=warn",
	}
}

func apiserverFlags(files layout, where plan) []string {
	return append([]string{
		fmt.Sprintf("--etcd-servers=http://127.0.0.1:%d", where.etcd),
		"--bind-address=" + where.bind,
		fmt.Sprintf("--secure-port=%d", where.server),
		"--advertise-address=" + where.advertise,
		"--cert-dir=" + files.path("pki"),
		"--token-auth-file=" + files.tokens(),
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + files.serviceAccountPub(),
		"--service-account-signing-key-file=" + files.serviceAccountKey(),
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--service-cluster-ip-range=" + where.services,
		"--allow-privileged=true",
		"--audit-policy-file=" + files.auditPolicy(),
		"--audit-log-path=" + files.auditLog(),
	}, where.serverFlags...)
}

func controllerManagerFlags(files layout, kubeconfig string, where plan) []string {
	return append([]string{
		"--kubeconfig=" + kubeconfig,
		"--authentication-kubeconfig=" + kubeconfig,
		"--authorization-kubeconfig=" + kubeconfig,
		"--bind-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", where.manager),
		"--cert-dir=" + files.path("pki", "kcm"),
		"--service-account-private-key-file=" + files.serviceAccountKey(),
		"--root-ca-file=" + files.ca(),
		"--use-service-account-credentials=true",
		"--leader-elect=false",
		// Without this it would make /usr/libexec/kubernetes on the machine.
		"--flex-volume-plugin-dir=" + files.path("flex"),
		// With the default of 20 requests a second the first service account comes four seconds later.
		"--kube-api-qps=500",
		"--kube-api-burst=1000",
	}, where.managerFlags...)
}
