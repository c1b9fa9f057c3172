package main

import (
	"fmt"
	"strings"
)

// recipe says what goes into one image.
type recipe struct {
	// Name of the image's repository.
	name string
	// Program of the workspace, copied to /PROGRAM; the entrypoint.
	program string
	// Arguments of the entrypoint that are always there.
	arguments []string
	// Environment of the program, NAME=VALUE.
	environment []string
	// Tag, when it is not the version of the program.
	tag string
	// Files of the sources, by their path in the image.
	files map[string]string
	// Whether nft and its libraries are needed.
	netfilter bool
	// Most bytes over the network; 0 is no limit.
	limit int64
	// What cargo knows of the program.
	crate crate
}

// Nobody: an id without a name, so that no /etc/passwd is needed and runAsNonRoot can be checked.
const user = "65532:65532"

// The sidecar runs beside every agent: what it weighs is pulled by every node.
const sidecarLimit = 15_000_000

// What a large bundle took while it was compiled goes back to the node a tenth of a second later; mimalloc waits for a whole
// one, and a sidecar at rest would keep it.
var sidecarEnvironment = []string{"MIMALLOC_PURGE_DELAY=100"}

var all = []recipe{
	{name: "aegis-proxy", program: "aegis-proxy", environment: sidecarEnvironment, limit: sidecarLimit},
	{name: "aegis-operator", program: "aegis-operator"},
	{name: "aegis-webhook", program: "aegis-webhook"},
	{name: "aegis-capture", program: "aegis-capture", netfilter: true, files: map[string]string{"capture/rules.nft": "capture/rules.nft"}},
	{name: "aegis-probe", program: "aegis-probe"},
	{name: "aegis", program: "aegis"},
	// For tests only.
	{name: "aegis-testkit", program: "aegis-testkit"},
	{name: "pause", program: "aegis-testkit", arguments: []string{"idle"}, tag: "1"},
}

// recipes finds images by name.
func recipes(names []string) ([]recipe, error) {
	if len(names) == 0 {
		return nil, fmt.Errorf("name the images: %s", strings.Join(known(), ", "))
	}
	var found []recipe
next:
	for _, name := range names {
		for _, recipe := range all {
			if recipe.name == name {
				found = append(found, recipe)
				continue next
			}
		}
		return nil, fmt.Errorf("%s: no such image; there are %s", name, strings.Join(known(), ", "))
	}
	return found, nil
}

func known() []string {
	var names []string
	for _, recipe := range all {
		names = append(names, recipe.name)
	}
	return names
}
