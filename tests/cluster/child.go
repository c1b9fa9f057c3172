package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
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

// child is a running component.
type child struct {
	name    string
	log     string
	command *exec.Cmd
	// ended is closed when the process has ended and was waited for.
	ended chan struct{}
}

// startChild starts this very binary as the component of that name, its output going to logPath. It runs in dir with an environment of its own: ETCD_* and
// HTTP_PROXY variables of a developer must not change what the tests see. ended is called when the process ends, for whatever reason.
func startChild(name, dir, logPath string, flags []string, ended func(error)) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	command := bound(self, append([]string{name}, flags...)...)
	command.Dir = dir
	command.Env = []string{"HOME=" + dir, "TMPDIR=" + dir, "PATH=" + os.Getenv("PATH")}
	command.Stdout, command.Stderr = log, log
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", name, err)
	}
	running := &child{name: name, log: logPath, command: command, ended: make(chan struct{})}
	go func() {
		err := command.Wait()
		close(running.ended)
		if err == nil {
			err = fmt.Errorf("exit status 0")
		}
		ended(fmt.Errorf("%s ended by itself (%w); the end of %s:\n%s", name, err, logPath, tail(logPath)))
	}()
	return running, nil
}

// kill ends the component and everything it started, and waits until it is gone. Nothing is asked politely: its data is thrown away.
func (c *child) kill() {
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
