package main

import "fmt"

// Level 1 of the bed: etcd, kube-apiserver and kube-controller-manager on loopback, without root and without nodes. These are the flags of its components.

func etcdFlags(files layout, clientPort, peerPort int) []string {
	client := fmt.Sprintf("http://127.0.0.1:%d", clientPort)
	peer := fmt.Sprintf("http://127.0.0.1:%d", peerPort)
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

func apiserverFlags(files layout, etcdPort, port int) []string {
	return []string{
		fmt.Sprintf("--etcd-servers=http://127.0.0.1:%d", etcdPort),
		"--bind-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", port),
		// A loopback address is refused here. This one is reserved for documentation (RFC 5737): no interface has it.
		"--advertise-address=198.51.100.1",
		"--cert-dir=" + files.path("pki"),
		"--token-auth-file=" + files.tokens(),
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + files.serviceAccountPub(),
		"--service-account-signing-key-file=" + files.serviceAccountKey(),
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--service-cluster-ip-range=10.96.0.0/16",
		"--allow-privileged=true",
		"--audit-policy-file=" + files.auditPolicy(),
		"--audit-log-path=" + files.auditLog(),
	}
}

func controllerManagerFlags(files layout, kubeconfig string, port int) []string {
	return []string{
		"--kubeconfig=" + kubeconfig,
		"--authentication-kubeconfig=" + kubeconfig,
		"--authorization-kubeconfig=" + kubeconfig,
		"--bind-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", port),
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
	}
}
