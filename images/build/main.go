// Command build makes container images of Aegis out of programs that are compiled already: an OCI layout and an archive for each, with nothing of the time or the machine in them, and without a container engine.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "images:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	flags := flag.NewFlagSet("build", flag.ContinueOnError)
	job := job{}
	flags.StringVar(&job.programs, "programs", "", "folder of the compiled programs")
	flags.StringVar(&job.sboms, "sboms", "", "folder of the SBOMs, NAME.cdx.json")
	flags.StringVar(&job.root, "root", ".", "folder of the sources")
	flags.StringVar(&job.output, "output", "", "folder of the images")
	flags.StringVar(&job.registry, "registry", "", "what stands before the name in references")
	flags.StringVar(&job.revision, "revision", "", "revision of the sources")
	flags.Int64Var(&job.epoch, "epoch", -1, "time of the sources, in seconds since 1970")
	flags.StringVar(&job.netfilter, "netfilter", "", "folder with the root of nft and its libraries")
	plan := flags.Bool("plan", false, "only print the arguments of cargo build for all images, one a line")
	if err := flags.Parse(args); err != nil {
		return err
	}
	workspace, err := readWorkspace(job.root)
	if err != nil {
		return err
	}
	names := flags.Args()
	if *plan {
		names = known()
	}
	wanted, err := recipes(names)
	if err != nil {
		return err
	}

	var arguments []string
	var missing []error
	for i := range wanted {
		found, err := workspace.providing(wanted[i].program)
		missing = append(missing, err)
		wanted[i].crate = found
		arguments = append(arguments, "-p", found.Name, "--bin", wanted[i].program)
	}
	if err := errors.Join(missing...); err != nil {
		return err
	}
	if *plan {
		fmt.Println(strings.Join(arguments, "\n"))
		return nil
	}
	return job.all(wanted)
}

// job is where things are and what all images have in common.
type job struct {
	programs, sboms, root, output, registry, revision, netfilter string
	epoch                                                        int64
}

func (j *job) all(wanted []recipe) error {
	if j.programs == "" || j.output == "" || j.registry == "" || j.epoch < 0 {
		return errors.New("-programs, -output, -registry and -epoch are needed")
	}
	if err := os.MkdirAll(filepath.Join(j.output, "layout"), 0o755); err != nil {
		return err
	}
	var made []result
	for _, recipe := range wanted {
		one, err := j.make(recipe)
		if err != nil {
			return fmt.Errorf("%s: %w", recipe.name, err)
		}
		made = append(made, one)
	}
	if err := writeIndex(filepath.Join(j.output, "index.json"), made); err != nil {
		return err
	}
	printSizes(made)
	return checkSizes(made)
}
