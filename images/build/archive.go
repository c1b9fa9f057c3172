package main

import (
	"archive/tar"
	"maps"
	"os"
	"path"
	"slices"
	"time"
)

// archive packs a layout into one file, always the same way.
func archive(folder, target string, at time.Time) error {
	content, err := below(folder)
	if err != nil {
		return err
	}
	file, err := os.CreateTemp(folder, "archive-")
	if err != nil {
		return err
	}
	defer file.Close()
	out := tar.NewWriter(file)
	folders := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(content)) {
		if err := addFolders(out, path.Dir(name), folders, at); err != nil {
			return err
		}
		if err := addFile(out, name, content[name], at); err != nil {
			return err
		}
	}
	if err := out.Close(); err != nil {
		return err
	}
	if err := file.Chmod(0o644); err != nil {
		return err
	}
	// In one step, so that nobody ever imports half an archive.
	return os.Rename(file.Name(), target)
}
