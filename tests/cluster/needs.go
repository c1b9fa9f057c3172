package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// nodeTools are the programs that a node runs and that are not in this binary, with the Debian package that each is in.
var nodeTools = []struct{ program, pack string }{
	{"containerd", "containerd"},
	{"containerd-shim-runc-v2", "containerd"},
	{"ctr", "containerd"},
	{"runc", "runc"},
	{"nft", "nftables"},
	{"mount", "mount"},
}

// cniFolders are where distributions keep the CNI plugins.
var cniFolders = []string{"/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"}

var cniPlugins = []string{"bridge", "host-local", "loopback"}

// nodeNeeds is the one list of what is missing to run a node here; nil when nothing is. It answers where the CNI plugins are.
func nodeNeeds(dir string) (string, error) {
	var missing []string
	packages := map[string]bool{}
	if os.Geteuid() != 0 {
		missing = append(missing, "root (it makes namespaces, mounts and cgroups)")
	}
	for _, tool := range nodeTools {
		if _, err := exec.LookPath(tool.program); err != nil {
			missing = append(missing, fmt.Sprintf("the program %s (package %s)", tool.program, tool.pack))
			packages[tool.pack] = true
		}
	}
	plugins := ""
	for _, folder := range cniFolders {
		if complete := func() bool {
			for _, plugin := range cniPlugins {
				if _, err := os.Stat(filepath.Join(folder, plugin)); err != nil {
					return false
				}
			}
			return true
		}(); complete {
			plugins = folder
			break
		}
	}
	if plugins == "" {
		missing = append(missing, fmt.Sprintf("the CNI plugins %s in one of %s (package containernetworking-plugins)", strings.Join(cniPlugins, ", "), strings.Join(cniFolders, ", ")))
		packages["containernetworking-plugins"] = true
	}
	for _, image := range []string{pauseArchive, dnsArchive} {
		if path, err := sibling(image); err != nil {
			missing = append(missing, path+" (build the bed with build.sh)")
		}
	}
	// Without it packets between two Pods of the node pass no rule.
	if _, err := os.Stat("/proc/sys/net/bridge/bridge-nf-call-iptables"); err != nil {
		missing = append(missing, "the kernel's bridge netfilter (modprobe br_netfilter)")
	}
	if filesystems, err := os.ReadFile("/proc/filesystems"); err != nil || !strings.Contains(string(filesystems), "\toverlay\n") {
		missing = append(missing, "the file system overlay (modprobe overlay)")
	}
	for _, hidden := range []string{"/var", "/run"} {
		if place, err := realPath(dir); err != nil {
			return "", err
		} else if below(place, hidden) {
			missing = append(missing, fmt.Sprintf("a folder that is not below %s, which the node has its own of (%s; see --dir and TMPDIR)", hidden, dir))
		}
	}
	if len(missing) == 0 {
		return plugins, nil
	}
	list := "a node needs what is not there:\n  " + strings.Join(missing, "\n  ")
	if len(packages) > 0 {
		list += "\nOn Debian: apt-get install --no-install-recommends"
		for _, tool := range append(nodeTools, struct{ program, pack string }{"", "containernetworking-plugins"}) {
			if packages[tool.pack] {
				list += " " + tool.pack
				delete(packages, tool.pack)
			}
		}
	}
	return "", errors.New(list)
}

// sibling answers the path of a file that build.sh puts beside this binary.
func sibling(name string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return name, err
	}
	path := filepath.Join(filepath.Dir(self), name)
	_, err = os.Stat(path)
	return path, err
}

// realPath follows the links in the path of a folder, the last parts of which need not exist yet.
func realPath(folder string) (string, error) {
	absolute, err := filepath.Abs(folder)
	if err != nil {
		return "", err
	}
	if place, err := filepath.EvalSymlinks(absolute); err == nil || absolute == "/" {
		return place, err
	}
	parent, err := realPath(filepath.Dir(absolute))
	return filepath.Join(parent, filepath.Base(absolute)), err
}

// below tells whether a path lies in a folder or is it.
func below(path, folder string) bool {
	relative, err := filepath.Rel(folder, path)
	return err == nil && filepath.IsLocal(relative)
}

// needs says on standard error what is missing to run a node here, and answers 1 then.
func needs(arguments []string) int {
	if len(arguments) > 0 {
		return usage()
	}
	if _, err := nodeNeeds(os.TempDir()); err != nil {
		return complain(err)
	}
	return 0
}
