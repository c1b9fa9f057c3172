package main

import (
	"context"
	"os"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"

	// As in each component's own main: JSON logs and the metrics of clients and of the version.
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
)

// components are the parts of Kubernetes in this binary by the name each is known under, and the bed's own enforcer of network policies. Each reads os.Args and answers the exit status.
var components = map[string]func() int{
	"etcd": func() int {
		etcdmain.Main(os.Args)
		return 0
	},
	"kube-apiserver":          command(apiserver.NewAPIServerCommand),
	"kube-controller-manager": command(controllermanager.NewControllerManagerCommand),
	"kube-scheduler":          command(func() *cobra.Command { return scheduler.NewSchedulerCommand() }),
	"kube-proxy":              command(proxy.NewProxyCommand),
	// The kubelet installs the signal handler itself: server.SetupSignalContext() here would make it close a closed channel.
	"kubelet": command(func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) }),
	"kubectl": command(kubectl.NewDefaultKubectlCommand),
	"netpol":  netpol,
}

// command makes the runner of a cobra command. The command is built only when it is run: building one sets global flags and feature gates, and two in one
// process would fight over them.
func command(build func() *cobra.Command) func() int {
	return func() int { return cli.Run(build()) }
}
