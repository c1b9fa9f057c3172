package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

const superviseUsage = `usage: aegis-testbed supervise [--log FILE] -- COMMAND [ARGUMENT...]

Runs COMMAND in a process group of its own and ends with its exit status (128 + N when signal N ended it). SIGTERM and SIGINT are passed on. Standard input is
the line to the parent: each line that holds the name of a signal (TERM, INT, KILL, STOP, CONT, HUP, USR1) sends that signal to COMMAND, and its end kills the whole group, so
that a parent that dies leaves nothing behind. COMMAND itself reads from /dev/null.
`

// signals are those that the parent can ask for by a line on standard input. KILL goes to COMMAND like the others; what COMMAND started dies after it.
var signals = map[string]syscall.Signal{
	"TERM": syscall.SIGTERM,
	"INT":  syscall.SIGINT,
	"KILL": syscall.SIGKILL,
	"STOP": syscall.SIGSTOP,
	"CONT": syscall.SIGCONT,
	"HUP":  syscall.SIGHUP,
	"USR1": syscall.SIGUSR1,
}

// supervise runs a command tied to the life of the parent and answers its exit status.
func supervise(arguments []string) int {
	flags := flag.NewFlagSet("supervise", flag.ContinueOnError)
	flags.Usage = func() { fmt.Fprint(flags.Output(), superviseUsage); flags.PrintDefaults() }
	return superviseWith(flags, arguments, func(program string, arguments []string) (*exec.Cmd, error) { return bound(program, arguments...), nil })
}

// superviseWith does so with a command that is made on the thread that starts it, once the flags are read.
func superviseWith(flags *flag.FlagSet, arguments []string, makeCommand func(program string, arguments []string) (*exec.Cmd, error)) int {
	logPath := flags.String("log", "", "append the output of COMMAND to this `file` and print {\"pid\":N} on standard output; without it, COMMAND shares the standard output and error")
	if err := flags.Parse(arguments); err != nil {
		return exitUsage
	}
	if flags.NArg() == 0 {
		flags.Usage()
		return exitUsage
	}
	// Before the command is started, so that no signal in between ends the supervisor alone.
	received := make(chan os.Signal, 8)
	signal.Notify(received, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	// See bound: the thread that starts the command must not end before the command does.
	runtime.LockOSThread()
	output := []*os.File{os.Stdout, os.Stderr}
	if *logPath != "" {
		log, err := os.OpenFile(*logPath, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			return complain(err)
		}
		defer log.Close()
		output = []*os.File{log, log}
	}
	command, err := makeCommand(flags.Arg(0), flags.Args()[1:])
	if err != nil {
		return complain(err)
	}
	command.Stdout, command.Stderr = output[0], output[1]
	if err := command.Start(); err != nil {
		return complain(err)
	}
	pid := command.Process.Pid
	if *logPath != "" {
		if err := json.NewEncoder(os.Stdout).Encode(map[string]int{"pid": pid}); err != nil {
			return complain(err)
		}
	}
	go passOn(received, pid)
	go obeyLines(os.Stdin, pid)
	return awaitGroup(command)
}

// passOn sends the signals of this process to the command as well.
func passOn(received <-chan os.Signal, pid int) {
	for next := range received {
		if number, ok := next.(syscall.Signal); ok {
			_ = syscall.Kill(pid, number)
		}
	}
}

// obeyLines sends the signals that the parent asks for, and kills the group when the parent closes the line.
func obeyLines(parent io.Reader, pid int) {
	lines := bufio.NewScanner(parent)
	for lines.Scan() {
		name := strings.TrimSpace(lines.Text())
		number, known := signals[name]
		if !known {
			fmt.Fprintf(os.Stderr, "aegis-testbed: no such signal: %q\n", name)
			continue
		}
		_ = syscall.Kill(pid, number)
	}
	_ = syscall.Kill(-pid, syscall.SIGKILL)
}

// awaitGroup waits for the command, then ends what it has left behind, and answers the exit status.
func awaitGroup(command *exec.Cmd) int {
	pid := command.Process.Pid
	// Waited for without being reaped first: as long as the zombie is there, no other process group can get its number.
	for {
		if err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil); !errors.Is(err, unix.EINTR) {
			break
		}
	}
	_ = syscall.Kill(-pid, syscall.SIGKILL)
	err := command.Wait()
	var ended *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &ended):
		status, ok := ended.Sys().(syscall.WaitStatus)
		if ok && status.Signaled() {
			return 128 + int(status.Signal())
		}
		return ended.ExitCode()
	default:
		return complain(err)
	}
}
