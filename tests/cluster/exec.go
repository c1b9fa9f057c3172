package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"
)

const execUsage = `usage: aegis-testbed exec --node PID|--ext PID [--log FILE] -- COMMAND [ARGUMENT...]

As supervise, but COMMAND runs inside of a bed: with --node in the mount, network, pid, uts and ipc namespaces of the node whose first process is PID, with --ext
in the network of the outside world (files and processes are the machine's own). Both numbers are in the line that up prints.
`

const tieCommand = "tie"

// execInside runs a command inside of a bed, tied to the life of the parent, and answers its exit status.
func execInside(arguments []string) int {
	flags := flag.NewFlagSet("exec", flag.ContinueOnError)
	flags.Usage = func() { fmt.Fprint(flags.Output(), execUsage); flags.PrintDefaults() }
	node := flags.Int("node", 0, "the first `process` of a node")
	ext := flags.Int("ext", 0, "the `process` of an outside world")
	return superviseWith(flags, arguments, func(program string, arguments []string) (*exec.Cmd, error) {
		if (*node == 0) == (*ext == 0) {
			return nil, errors.New("exec: give either --node or --ext")
		}
		if *ext != 0 {
			return bound(program, arguments...), enter(*ext, networkOnly)
		}
		return boundInNode(*node, program, arguments)
	})
}

// boundInNode moves the thread into a node and makes a command that is bound to it there.
func boundInNode(pid int, program string, arguments []string) (*exec.Cmd, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		return nil, err
	}
	folder, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	command := bound(self, append([]string{tieCommand, path, program}, arguments...)...)
	// Set by the command itself: from inside of the node no parent can be seen, which Go would take for its death.
	command.SysProcAttr.Pdeathsig = 0
	command.Dir = folder
	return command, enter(pid, wholeNode)
}

// tie binds this process to the life of the thread that started it, outside of this pid namespace, and becomes another program: PATH NAME ARGUMENT...
func tie(arguments []string) int {
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return complain(err)
	}
	// A parent outside of the namespace has the number 0. Another one means that it had died before.
	if len(arguments) < 2 || os.Getppid() != 0 {
		return exitFailed
	}
	return complain(unix.Exec(arguments[0], arguments[1:], os.Environ()))
}
