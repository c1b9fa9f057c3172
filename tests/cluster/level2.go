package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"

	corev1 "k8s.io/api/core/v1"
)

// Level 2 of the bed: a node that runs Pods. These are the flags and files of its components.

func nodePlan(files layout) plan {
	return plan{
		etcd: 2379, peer: 2380, server: 6443, manager: 10257,
		bind:      "0.0.0.0",
		advertise: nodeV4,
		services:  servicesV4 + "," + servicesV6,
		serverFlags: []string{
			"--kubelet-client-certificate=" + files.kubeletClient("crt"),
			"--kubelet-client-key=" + files.kubeletClient("key"),
			"--kubelet-preferred-address-types=InternalIP",
		},
		managerFlags: []string{
			"--allocate-node-cidrs=true",
			"--cluster-cidr=" + clusterV4 + "," + clusterV6,
			"--service-cluster-ip-range=" + servicesV4 + "," + servicesV6,
		},
	}
}

// nodeComponents are those that need the API server, in the order in which they are started.
func (b *bed) nodeComponents() []component {
	scheduler := b.files.nodeKubeconfig(user{Name: schedulerName})
	return []component{
		{
			name: "kubelet",
			flags: []string{
				"--config=" + b.files.nodeConfig("kubelet"),
				"--kubeconfig=" + b.files.nodeKubeconfig(user{Name: kubeletName}),
				"--hostname-override=" + nodeName,
				"--node-ip=" + nodeV4 + "," + nodeV6,
				"--root-dir=" + b.files.path("kubelet"),
				"--cert-dir=" + b.files.path("kubelet", "pki"),
			},
			ready: func(ctx context.Context) error {
				// The node may still be taken for ready when its kubelet has been away for less than a minute.
				return errors.Join(b.healthy(ctx, "http://127.0.0.1:10248/healthz"), b.nodeIsReady(ctx))
			},
		},
		{
			name: "kube-scheduler",
			flags: []string{
				"--kubeconfig=" + scheduler,
				"--authentication-kubeconfig=" + scheduler,
				"--authorization-kubeconfig=" + scheduler,
				"--bind-address=127.0.0.1",
				"--cert-dir=" + b.files.path("pki", "scheduler"),
				"--leader-elect=false",
				"--kube-api-qps=500",
				"--kube-api-burst=1000",
			},
		},
		{
			name:  "netpol",
			flags: []string{"--kubeconfig=" + b.files.nodeKubeconfig(b.admin()), "--listen=" + netpolHealth},
			ready: func(ctx context.Context) error { return b.dial(ctx, netpolHealth) },
		},
		{
			name:  "kube-proxy",
			flags: []string{"--config=" + b.files.nodeConfig("kube-proxy")},
			ready: func(ctx context.Context) error { return b.healthy(ctx, "http://127.0.0.1:10256/healthz") },
		},
	}
}

// netpolHealth is where the enforcer of network policies listens once its first rules are in force.
const netpolHealth = "127.0.0.1:10299"

// nodeConfigs are the components' configuration files by their names.
func nodeConfigs(b *bed) map[string]any {
	type object = map[string]any
	return map[string]any{
		"kubelet": object{
			"apiVersion": "kubelet.config.k8s.io/v1beta1",
			"kind":       "KubeletConfiguration",
			"authentication": object{
				"anonymous": object{"enabled": false},
				"webhook":   object{"enabled": true},
				"x509":      object{"clientCAFile": b.files.kubeletClient("crt")},
			},
			"authorization":            object{"mode": "Webhook"},
			"containerRuntimeEndpoint": "unix://" + b.files.containerd(),
			"cgroupDriver":             "cgroupfs",
			"cgroupRoot":               "/" + b.node.cgroup,
			// Kubernetes refuses machines with cgroup v1 unless told otherwise.
			"failCgroupV1":    onlyCgroupV2(),
			"failSwapOn":      false,
			"clusterDNS":      []string{dnsService},
			"clusterDomain":   "cluster.local",
			"resolvConf":      b.files.path("node", "resolv.conf"),
			"podLogsDir":      b.files.path("logs", "pods"),
			"volumePluginDir": b.files.path("kubelet", "plugins"),
			// Images cannot be had again, and a test machine's disk may be nearly full: one percent of a large one is gigabytes.
			"imageGCHighThresholdPercent": 100,
			"evictionHard":                object{"memory.available": "50Mi", "nodefs.available": "100Mi", "nodefs.inodesFree": "1000", "imagefs.available": "100Mi"},
			// What a volume of a changed ConfigMap or Secret holds is looked at in this interval.
			"syncFrequency": "5s",
			// A test that kills a container again and again must not wait five minutes for the next start.
			"crashLoopBackOff": object{"maxContainerRestartPeriod": "2s"},
		},
		"kube-proxy": object{
			"apiVersion":         "kubeproxy.config.k8s.io/v1alpha1",
			"kind":               "KubeProxyConfiguration",
			"mode":               "nftables",
			"clientConnection":   object{"kubeconfig": b.files.nodeKubeconfig(user{Name: proxyName})},
			"clusterCIDR":        clusterV4 + "," + clusterV6,
			"hostnameOverride":   nodeName,
			"healthzBindAddress": "127.0.0.1:10256",
			"metricsBindAddress": "127.0.0.1:10249",
			// Else it wants to write settings of the kernel that are not the node's own.
			"conntrack": object{"maxPerCore": 0, "min": 0},
			"nftables":  object{"minSyncPeriod": "100ms"},
		},
	}
}

func writeJSON(path string, content any) error {
	text, err := json.MarshalIndent(content, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}

// nodeIsReady tells whether the scheduler may put Pods on the node.
func (b *bed) nodeIsReady(ctx context.Context) error {
	var seen corev1.Node
	if err := b.node.client.get(ctx, "/api/v1/nodes/"+nodeName, &seen); err != nil {
		return err
	}
	if len(seen.Spec.Taints) > 0 {
		return fmt.Errorf("node %s is tainted: %s", nodeName, seen.Spec.Taints[0].Key)
	}
	for _, condition := range seen.Status.Conditions {
		if condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue {
			return nil
		}
	}
	return errors.New("node " + nodeName + " is not ready")
}

// dial tells whether something listens where the bed's components are.
func (b *bed) dial(ctx context.Context, address string) error {
	open := func() (net.Conn, error) { return new(net.Dialer).DialContext(ctx, "tcp", address) }
	if b.node != nil {
		open = func() (net.Conn, error) { return dialIn(ctx, b.node.init.Process.Pid, address) }
	}
	connection, err := open()
	if err == nil {
		connection.Close()
	}
	return err
}

// healthy tells whether a server inside of the node answers a question for its health with 200.
func (b *bed) healthy(ctx context.Context, url string) error {
	inside := func(ctx context.Context, _, address string) (net.Conn, error) {
		return dialIn(ctx, b.node.init.Process.Pid, address)
	}
	client := http.Client{Transport: &http.Transport{DialContext: inside, DisableKeepAlives: true}, Timeout: dialLimit}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, answer.Status)
	}
	return nil
}
