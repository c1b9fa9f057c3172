// Command aegis-testbed is the whole of a small Kubernetes in one binary, and the bed that starts it for tests.
//
// The first argument, or the name the binary is called by, chooses what it is: a component of Kubernetes under its own name and with its own flags
// (components.go), or one of the bed's own commands: up (up.go) starts a server, supervise (supervise.go) ties a process to the life of its parent, exec does
// that inside of a node, load (load.go) gives a node images. README.md describes them.
package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Exit statuses of the bed's own commands; the first is that of sysexits.h.
const (
	exitUsage  = 64
	exitFailed = 1
)

// commands are the bed's own; the last four are its internal affair.
var commands = map[string]func(arguments []string) int{
	"up":            up,
	"supervise":     supervise,
	"exec":          execInside,
	"load":          load,
	"pack":          pack,
	"needs":         needs,
	tieCommand:      tie,
	nodeInitCommand: nodeInit,
	extInitCommand:  extInit,
	watchdogCommand: runWatchdog,
}

func main() {
	if run, known := components[filepath.Base(os.Args[0])]; known {
		os.Exit(run())
	}
	if len(os.Args) < 2 {
		os.Exit(usage())
	}
	name, arguments := os.Args[1], os.Args[2:]
	if run, known := commands[name]; known {
		os.Exit(run(arguments))
	}
	run, known := components[name]
	if !known {
		os.Exit(usage())
	}
	// The components read os.Args themselves: each is to see its own name first, as if it were alone in the binary.
	os.Args = os.Args[1:]
	os.Exit(run())
}

// usage names every command and answers the status of a wrong call.
func usage() int {
	names := slices.Sorted(maps.Keys(components))
	fmt.Fprintf(os.Stderr, "usage: aegis-testbed up|supervise|exec|load|pack|needs|%s [flags]\n", strings.Join(names, "|"))
	return exitUsage
}

// complain prints an error as the last word of one of the bed's own commands and answers the status to end with.
func complain(err error) int {
	fmt.Fprintf(os.Stderr, "aegis-testbed: %v\n", err)
	return exitFailed
}
