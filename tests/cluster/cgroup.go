package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

const cgroupRoot = "/sys/fs/cgroup"

// onlyCgroupV2 tells whether the machine has the one hierarchy of cgroup v2 and none of v1.
func onlyCgroupV2() bool {
	var about unix.Statfs_t
	return unix.Statfs(cgroupRoot, &about) == nil && about.Type == unix.CGROUP2_SUPER_MAGIC
}

// makeCgroup makes the group that all containers of the node will be in, in every hierarchy that the machine has.
func makeCgroup(name string) error {
	if onlyCgroupV2() {
		return makeCgroupV2(name)
	}
	hierarchies, err := filepath.Glob(cgroupRoot + "/*/cgroup.procs")
	if err != nil {
		return err
	}
	if len(hierarchies) == 0 {
		return errors.New("no cgroups are mounted below " + cgroupRoot)
	}
	for _, file := range hierarchies {
		folder := filepath.Dir(file)
		group := filepath.Join(folder, name)
		if err := os.Mkdir(group, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		// A new group of this hierarchy can run nothing before it has processors and memory.
		for _, setting := range []string{"cpuset.cpus", "cpuset.mems"} {
			value, err := os.ReadFile(filepath.Join(folder, setting))
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(group, setting), value, 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

// makeCgroupV2 also passes the controllers down to the group: the kubelet does so only from there on.
func makeCgroupV2(name string) error {
	group := filepath.Join(cgroupRoot, name)
	if err := os.Mkdir(group, 0o755); err != nil {
		return err
	}
	for _, folder := range []string{cgroupRoot, group} {
		if err := os.WriteFile(filepath.Join(folder, "cgroup.subtree_control"), []byte("+cpu +cpuset +memory +pids +io"), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// removeCgroup removes the group from every hierarchy, the innermost first. It fails as long as a process is in it.
func removeCgroup(name string) error {
	groups, err := filepath.Glob(cgroupRoot + "/*/" + name)
	if err != nil {
		return err
	}
	for _, group := range append(groups, filepath.Join(cgroupRoot, name)) {
		var folders []string
		err := filepath.WalkDir(group, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				folders = append(folders, path)
			}
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		})
		if err != nil {
			return err
		}
		for at := len(folders) - 1; at >= 0; at-- {
			if err := unix.Rmdir(folders[at]); err != nil && !errors.Is(err, unix.ENOENT) {
				return &fs.PathError{Op: "rmdir", Path: folders[at], Err: err}
			}
		}
	}
	return nil
}
