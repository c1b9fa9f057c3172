// Command coredns is CoreDNS with the plugins that the node of the test bed needs and no others. It is a module of its own because it wants another version
// of Kubernetes' client than the Kubernetes of the bed.
package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"

	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/hosts"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/log"
	_ "github.com/coredns/coredns/plugin/ready"
	_ "github.com/coredns/coredns/plugin/template"
)

// There is no plugin that asks another server: no name can be looked up outside of the bed.
func init() {
	// The order is that in which the plugins see a query; one that is missing here is an unknown directive.
	dnsserver.Directives = []string{"ready", "log", "errors", "hosts", "kubernetes", "template"}
}

func main() { coremain.Run() }
