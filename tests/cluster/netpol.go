package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

// netpol is the enforcer of NetworkPolicies of a cluster with one node: whenever a Pod, a namespace or a policy changes, it makes all rules anew (netpolrules.go)
// and has nft put them in force as one transaction. It must run in the node's network.
//
// What to know of it: a Pod is fenced from the moment its address is known to the API server, which is a moment after its first container may have started; and
// a policy that is tightened also cuts open connections, which other enforcers do not all do.
func netpol() int {
	flags := flag.NewFlagSet("netpol", flag.ContinueOnError)
	kubeconfig := flags.String("kubeconfig", "", "the `file` with which to reach the API server")
	listen := flags.String("listen", "", "the `address` to listen on once the first rules are in force")
	// As the other components, it reads os.Args.
	if err := flags.Parse(os.Args[1:]); err != nil {
		return exitUsage
	}
	return complain(enforce(context.Background(), *kubeconfig, *listen))
}

func enforce(ctx context.Context, kubeconfig, listen string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	watched := informers.NewSharedInformerFactory(client, 0)
	pods, namespaces, policies := watched.Core().V1().Pods(), watched.Core().V1().Namespaces(), watched.Networking().V1().NetworkPolicies()
	// Changes that come while rules are being made are taken in by the next time.
	changed := make(chan struct{}, 1)
	notice := func(any) {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	handler := cache.ResourceEventHandlerFuncs{AddFunc: notice, UpdateFunc: func(_, now any) { notice(now) }, DeleteFunc: notice}
	for _, informer := range []cache.SharedIndexInformer{pods.Informer(), namespaces.Informer(), policies.Informer()} {
		if _, err := informer.AddEventHandler(handler); err != nil {
			return err
		}
	}
	watched.Start(ctx.Done())
	for kind, synced := range watched.WaitForCacheSync(ctx.Done()) {
		if !synced {
			return fmt.Errorf("cannot read %s", kind)
		}
	}
	inForce := ""
	// Kept here until the process ends: what nothing refers to is closed.
	var ready net.Listener
	for {
		var all cluster
		if all.pods, err = pods.Lister().List(labels.Everything()); err != nil {
			return err
		}
		if all.namespaces, err = namespaces.Lister().List(labels.Everything()); err != nil {
			return err
		}
		if all.policies, err = policies.Lister().List(labels.Everything()); err != nil {
			return err
		}
		if wanted := all.rules(); wanted != inForce {
			began := time.Now()
			if err := replaceTable(ctx, wanted); err != nil {
				return err
			}
			fmt.Printf("%s %d policies in force after %s\n", time.Now().Format(time.RFC3339Nano), len(all.policies), time.Since(began).Round(time.Millisecond))
			if inForce == "" && listen != "" {
				// The first rules are in force.
				if ready, err = net.Listen("tcp", listen); err != nil {
					return err
				}
			}
			inForce = wanted
		}
		<-changed
		runtime.KeepAlive(ready)
	}
}

// replaceTable puts rules in force in the place of those before, all at once.
func replaceTable(ctx context.Context, rules string) error {
	const replace = "add table inet " + netpolTable + "\ndelete table inet " + netpolTable + "\n"
	command := exec.CommandContext(ctx, "nft", "-f", "-")
	command.Stdin = strings.NewReader(replace + rules)
	if complaint, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("nft refuses the rules: %w: %s\n%s", err, complaint, rules)
	}
	return nil
}
