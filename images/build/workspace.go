package main

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
)

// workspace is what `cargo metadata` says about the packages of the repository.
type workspace struct {
	Packages []crate `json:"packages"`
}

// crate is one package.
type crate struct {
	Name        string `json:"name"`
	Version     string `json:"version"`
	Description string `json:"description"`
	License     string `json:"license"`
	Repository  string `json:"repository"`
	Targets     []struct {
		Name string   `json:"name"`
		Kind []string `json:"kind"`
	} `json:"targets"`
}

func readWorkspace(root string) (*workspace, error) {
	command := exec.Command("cargo", "metadata", "--locked", "--no-deps", "--format-version", "1")
	command.Dir = root
	out, err := command.Output()
	if err != nil {
		if failed, ok := err.(*exec.ExitError); ok {
			return nil, fmt.Errorf("cargo metadata: %w: %s", err, failed.Stderr)
		}
		return nil, fmt.Errorf("cargo metadata: %w", err)
	}
	var read workspace
	return &read, json.Unmarshal(out, &read)
}

// providing finds the package that builds a program.
func (w *workspace) providing(program string) (crate, error) {
	for _, one := range w.Packages {
		for _, target := range one.Targets {
			if target.Name == program && slices.Contains(target.Kind, "bin") {
				return one, nil
			}
		}
	}
	return crate{}, fmt.Errorf("no package of the workspace builds the program %s", program)
}
