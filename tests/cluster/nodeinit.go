package main

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// The first processes of the node's and of the outside world's namespaces. They hold them: both end with the bed, and with the node's first process the kernel
// ends all others in it, Pods included, and gives up its mounts and interfaces.
const (
	nodeInitCommand = "node-init"
	extInitCommand  = "ext-init"
)

// startInit starts such a process in new namespaces and returns when they are prepared.
func startInit(name string, namespaces uintptr, arguments ...string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	command := bound(self, append([]string{name}, arguments...)...)
	command.SysProcAttr.Cloneflags = namespaces
	command.Stderr = os.Stderr
	prepared, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("cannot make the namespaces of %s: %w", name, err)
	}
	if _, err := prepared.Read(make([]byte, 1)); err != nil {
		_ = command.Process.Kill()
		_ = command.Wait()
		return nil, fmt.Errorf("%s could not prepare its namespaces (see above)", name)
	}
	return command, nil
}

// nodeInit prepares the node's mounts and network settings, then does what a first process is for: it waits for whatever is orphaned (a finished Pod would else
// leave a zombie).
func nodeInit(arguments []string) int {
	runtime.LockOSThread()
	if len(arguments) != 1 {
		return complain(fmt.Errorf("usage: %s FOLDER", nodeInitCommand))
	}
	if err := prepareNode(layout{arguments[0]}); err != nil {
		return complain(err)
	}
	orphans := make(chan os.Signal, 1)
	signal.Notify(orphans, syscall.SIGCHLD)
	os.Stdout.WriteString("\n")
	for range orphans {
		for {
			if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); pid <= 0 || err != nil {
				break
			}
		}
	}
	return 0
}

func prepareNode(files layout) error {
	type mount struct {
		source, target, kind string
		flags                uintptr
		options              string
	}
	overlaid := func(part string) string { return files.path("var", part) }
	mounts := []mount{
		// What is mounted here is not seen outside, while a mount of a Pod's volume reaches its containers.
		{"", "/", "", unix.MS_REC | unix.MS_SLAVE, ""},
		{"", "/", "", unix.MS_REC | unix.MS_SHARED, ""},
		{"proc", "/proc", "proc", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
		// Paths that containerd, CNI plugins and the kubelet have built in.
		{"tmpfs", "/run", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=755"},
		{"overlay", "/var", "overlay", 0, "lowerdir=/var,upperdir=" + overlaid("upper") + ",workdir=" + overlaid("work")},
	}
	// What is on top gives the whole its mode.
	if err := os.Chmod(overlaid("upper"), 0o755); err != nil {
		return err
	}
	for _, one := range mounts {
		if err := unix.Mount(one.source, one.target, one.kind, one.flags, one.options); err != nil {
			return fmt.Errorf("cannot mount %s on %s: %w", one.kind, one.target, err)
		}
	}
	// Where the network namespaces of Pods are kept: a mount of its own that is shared, as ip-netns(8) makes it.
	const namespaces = "/run/netns"
	if err := os.Mkdir(namespaces, 0o755); err != nil {
		return err
	}
	for _, flags := range []uintptr{unix.MS_BIND | unix.MS_REC, unix.MS_SHARED} {
		if err := unix.Mount(namespaces, namespaces, "", flags, ""); err != nil {
			return fmt.Errorf("cannot mount %s: %w", namespaces, err)
		}
	}
	if err := unix.Sethostname([]byte(nodeName)); err != nil {
		return err
	}
	if err := loopbackUp(); err != nil {
		return err
	}
	return setSysctls(map[string]string{
		"net/ipv4/ip_forward":             "1",
		"net/ipv6/conf/all/forwarding":    "1",
		"net/ipv6/conf/all/accept_dad":    "0",
		"net/ipv6/conf/all/disable_ipv6":  "0",
		"net/ipv6/conf/default/accept_ra": "0",
		// Nobody else can have the addresses: looking for duplicates would only cost a second.
		"net/ipv6/conf/default/accept_dad": "0",
	})
}

// extInit prepares the network of the outside world and sleeps.
func extInit([]string) int {
	runtime.LockOSThread()
	prepare := func() error {
		if err := loopbackUp(); err != nil {
			return err
		}
		return setSysctls(map[string]string{
			"net/ipv6/conf/all/disable_ipv6":   "0",
			"net/ipv6/conf/all/accept_dad":     "0",
			"net/ipv6/conf/default/accept_dad": "0",
			"net/ipv6/conf/default/accept_ra":  "0",
		})
	}
	if err := prepare(); err != nil {
		return complain(err)
	}
	os.Stdout.WriteString("\n")
	for {
		// Ends with a signal that has a handler, of which there is none.
		_ = unix.Pause()
	}
}
