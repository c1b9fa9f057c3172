package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const watchdogCommand = "watchdog"

// watchdog removes what outlives a bed: the kernel ends its processes and gives up its namespaces and mounts, but leaves its cgroups and files. It is a process
// of its own session, so that it sees the end of a bed that was killed with its whole process group, and the way in which every bed of level 2 ends.
type watchdog struct {
	command *exec.Cmd
	line    io.WriteCloser
}

// startWatchdog starts the process that will remove a cgroup, and a folder unless that is empty.
func startWatchdog(cgroup, folder string) (*watchdog, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	command := exec.Command(self, watchdogCommand, "--cgroup", cgroup, "--folder", folder)
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	command.Dir = "/"
	command.Stderr = os.Stderr
	// Only this process holds the other end: children get none of it.
	line, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("cannot start the watchdog: %w", err)
	}
	return &watchdog{command, line}, nil
}

// watch names a process whose end must come before anything is removed.
func (w *watchdog) watch(pid int) error {
	_, err := fmt.Fprintln(w.line, pid)
	return err
}

// finish lets it do its work and waits for that.
func (w *watchdog) finish() error {
	w.line.Close()
	if err := w.command.Wait(); err != nil {
		return fmt.Errorf("something of the bed is left (%w)", err)
	}
	return nil
}

// removalLimit is far above the second or two that the end of a node with many Pods takes.
const removalLimit = time.Minute

// runWatchdog is that process. Each line of standard input is the number of a process to watch; the end of standard input is the end of the bed.
func runWatchdog(arguments []string) int {
	flags := flag.NewFlagSet(watchdogCommand, flag.ContinueOnError)
	cgroup := flags.String("cgroup", "", "the `name` of the cgroup to remove")
	folder := flags.String("folder", "", "the `folder` to remove")
	if err := flags.Parse(arguments); err != nil || *cgroup == "" {
		return exitUsage
	}
	// Those that end the bed from a terminal are the bed's to obey.
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	// By handles, taken while they surely are the processes meant.
	var watched []int
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		pid, err := strconv.Atoi(strings.TrimSpace(lines.Text()))
		if err != nil {
			return complain(err)
		}
		if handle, err := unix.PidfdOpen(pid, 0); err == nil {
			watched = append(watched, handle)
		} else if !errors.Is(err, unix.ESRCH) {
			return complain(err)
		}
	}
	ctx, cancel := context.WithTimeoutCause(context.Background(), removalLimit, errSlow)
	defer cancel()
	for _, handle := range watched {
		// They are bound to the bed; this is for the case that it still lives but lost its line.
		_ = unix.PidfdSendSignal(handle, unix.SIGKILL, nil, 0)
		if err := poll(ctx, "the end of the bed's processes", func() error { return hasEnded(handle) }); err != nil {
			return complain(err)
		}
	}
	err := poll(ctx, "the cgroup to be empty", func() error { return removeCgroup(*cgroup) })
	if *folder != "" {
		err = errors.Join(err, poll(ctx, "the folder to be removed", func() error { return os.RemoveAll(*folder) }))
	}
	if err != nil {
		return complain(err)
	}
	return 0
}

// hasEnded tells whether a process, and with it all of a namespace whose first process it is, has ended.
func hasEnded(handle int) error {
	ready, err := unix.Poll([]unix.PollFd{{Fd: int32(handle), Events: unix.POLLIN}}, 0)
	if err == nil && ready == 0 {
		err = errors.New("it still runs")
	}
	return err
}
