package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

const loadUsage = `usage: aegis-testbed load --dir DIR ARCHIVE...

Imports OCI archives, each of which names its images by the annotation io.containerd.image.name, into the node of the bed with that folder, prints
{"images":[NAME...]} and ends when the kubelet can use them without a pull.
`

// loadLimit bounds one import.
const loadLimit = 2 * time.Minute

func load(arguments []string) int {
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	flags.Usage = func() { fmt.Fprint(flags.Output(), loadUsage); flags.PrintDefaults() }
	dir := flags.String("dir", "", "the `folder` of the bed")
	if err := flags.Parse(arguments); err != nil {
		return exitUsage
	}
	if flags.NArg() == 0 || *dir == "" {
		flags.Usage()
		return exitUsage
	}
	// The limit is for each archive: a busy machine takes seconds for a large one.
	ctx, cancel := context.WithTimeoutCause(context.Background(), loadLimit*time.Duration(flags.NArg()), errSlow)
	defer cancel()
	loaded := []string{}
	for _, archive := range flags.Args() {
		names, err := loadImage(ctx, layout{*dir}.containerd(), archive)
		if err != nil {
			return complain(err)
		}
		loaded = append(loaded, names...)
	}
	if err := json.NewEncoder(os.Stdout).Encode(map[string][]string{"images": loaded}); err != nil {
		return complain(err)
	}
	return 0
}

// loadImage imports an archive and answers the names in it once the kubelet can use them.
func loadImage(ctx context.Context, socket, archive string) ([]string, error) {
	archive, err := filepath.Abs(archive)
	if err != nil {
		return nil, err
	}
	names, err := imageNames(archive)
	if err != nil {
		return nil, err
	}
	if _, err := ctr(ctx, socket, "images", "import", archive); err != nil {
		return nil, err
	}
	// containerd's part for Kubernetes marks an image when it has taken notice of it.
	const marked = `labels."io.cri-containerd.image"==managed`
	return names, poll(ctx, "the kubelet to know the images of "+archive, func() error {
		known, err := ctr(ctx, socket, "images", "list", "--quiet", marked)
		if err != nil {
			return err
		}
		for _, name := range names {
			if !slices.Contains(strings.Fields(known), name) {
				return fmt.Errorf("%s is not among\n%s", name, known)
			}
		}
		return nil
	})
}

// ctr runs containerd's own client on the namespace of Kubernetes and answers its output.
func ctr(ctx context.Context, socket string, arguments ...string) (string, error) {
	return output(ctx, "ctr", append([]string{"--address", socket, "--namespace", "k8s.io"}, arguments...)...)
}

// output runs a command of the bed's own to its end, or to that of ctx, and answers what it printed.
func output(ctx context.Context, program string, arguments ...string) (string, error) {
	// See bound.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	command := bound(program, arguments...)
	var printed, complaint strings.Builder
	command.Stdout, command.Stderr = &printed, &complaint
	if err := command.Start(); err != nil {
		return "", err
	}
	stop := context.AfterFunc(ctx, func() { _ = command.Process.Kill() })
	defer stop()
	if err := command.Wait(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", command, err, strings.TrimSpace(complaint.String()))
	}
	return printed.String(), nil
}
