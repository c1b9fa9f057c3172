package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// tailLines is how much of a log is worth printing beside an error.
const tailLines = 25

// bound makes a command whose life is bound to this process: a process group of its own, so that it can be ended with everything it started, and SIGKILL by
// the kernel when the thread that starts it ends, which happens even when this process is killed with SIGKILL itself.
//
// The caller must hold runtime.LockOSThread from before Start until the process ends, or the kernel would take the end of an idle thread of the Go runtime
// for the end of the parent (prctl(2), PR_SET_PDEATHSIG).
func bound(program string, arguments ...string) *exec.Cmd {
	command := exec.Command(program, arguments...)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	return command
}

// restartDelay is how long a component that could not bear a fault stays away.
const restartDelay = time.Second

// child is a running component.
type child struct {
	name    string
	log     string
	command *exec.Cmd
	// ended is closed when the process has ended and was waited for.
	ended chan struct{}
	// wanted is set before the process is killed on purpose: its end is then no reason to end the bed.
	wanted atomic.Bool
}

// startChild starts a component, its output going to its log. It runs in the bed's folder with an environment of its own: ETCD_* and HTTP_PROXY variables of a
// developer must not change what the tests see. The bed ends when the process does, for whatever reason that was not asked for; but once faults are being made on
// purpose it is started again, as whatever looks after such components on real machines does: the kubelet ends, for one, when it finds no containerd.
func startChild(one *component, in *bed) (*child, error) {
	program, arguments := one.program, one.flags
	if program == "" {
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		program, arguments = self, append([]string{one.name}, one.flags...)
	}
	logPath := in.files.log(one.name)
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	command := bound(program, arguments...)
	command.Dir = in.files.dir
	command.Env = []string{"HOME=" + in.files.dir, "TMPDIR=" + in.files.dir, "PATH=" + os.Getenv("PATH")}
	command.Stdout, command.Stderr = log, log
	start := command.Start
	if in.node != nil {
		start = func() error { return in.node.start(command) }
	}
	if err := start(); err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", one.name, err)
	}
	running := &child{name: one.name, log: logPath, command: command, ended: make(chan struct{})}
	go func() {
		err := command.Wait()
		wanted := running.wanted.Load()
		close(running.ended)
		if wanted {
			return
		}
		if err == nil {
			err = errors.New("exit status 0")
		}
		if in.faults.Load() {
			time.AfterFunc(restartDelay, func() { in.restarts <- one })
			return
		}
		in.end(fmt.Errorf("%s ended by itself (%w); the end of %s:\n%s", one.name, err, logPath, tail(logPath)))
	}()
	return running, nil
}

// kill ends the component and everything it started, and waits until it is gone. Nothing is asked politely: its data is thrown away.
func (c *child) kill() {
	c.wanted.Store(true)
	select {
	case <-c.ended:
	default:
		// An error means that it has just ended by itself, which is what was wanted.
		_ = syscall.Kill(-c.command.Process.Pid, syscall.SIGKILL)
		<-c.ended
	}
}

// tail answers the last lines of a file, indented, or why they cannot be read.
func tail(path string) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return "  (" + err.Error() + ")"
	}
	lines := strings.Split(strings.TrimRight(string(content), "\n"), "\n")
	lines = lines[max(0, len(lines)-tailLines):]
	return "  " + strings.Join(lines, "\n  ")
}
