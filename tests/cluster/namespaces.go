package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// Which namespaces of a process to enter.
const (
	networkOnly = unix.CLONE_NEWNET
	wholeNode   = unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWPID | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC
)

// enter moves the calling thread into namespaces of a process. The caller must hold runtime.LockOSThread and never give it up. What the thread starts from
// then on lives there too, including its pid namespace; sockets that it opens belong to that network.
func enter(pid, which int) error {
	process, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return fmt.Errorf("process %d: %w", pid, err)
	}
	defer unix.Close(process)
	if which&unix.CLONE_NEWNS != 0 {
		// A thread that shares its root and working folder with others cannot change what they are looked up in.
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			return fmt.Errorf("cannot leave the process's own root: %w", err)
		}
	}
	if err := unix.Setns(process, which); err != nil {
		return fmt.Errorf("cannot enter the namespaces of process %d: %w", pid, err)
	}
	return nil
}

// inNetwork runs a function on a thread of its own that is in the network namespace of a process. The thread ends with it.
func inNetwork(pid int, work func() error) error {
	done := make(chan error)
	go func() {
		// Never unlocked: the thread must not run anything else afterwards, so Go ends it with the goroutine.
		runtime.LockOSThread()
		if err := enter(pid, networkOnly); err != nil {
			done <- err
			return
		}
		done <- work()
	}()
	return <-done
}

// dialLimit bounds how long a connection into the bed may take to come about; an address that swallows packets would else hold a thread for minutes.
const dialLimit = 20 * time.Second

// dialIn opens a TCP connection inside of the network namespace of a process. The address must be a literal one: then the socket is opened on the very thread
// that is there.
func dialIn(ctx context.Context, pid int, address string) (connection net.Conn, err error) {
	err = inNetwork(pid, func() error {
		dialer := net.Dialer{Timeout: dialLimit}
		connection, err = dialer.DialContext(ctx, "tcp", address)
		return err
	})
	return connection, err
}

// setSysctls writes settings of the kernel; those below net/ are the calling thread's network's own.
func setSysctls(settings map[string]string) error {
	for name, value := range settings {
		if err := os.WriteFile("/proc/sys/"+name, []byte(value), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// loopbackUp brings up lo of the calling thread's network.
func loopbackUp() error {
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(socket)
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(socket, unix.SIOCSIFFLAGS, request)
}

// isLiteral tells whether HOST:PORT needs no name looked up, which would happen in the wrong network.
func isLiteral(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	if net.ParseIP(host) == nil || port == "" {
		return fmt.Errorf("%q is not ADDRESS:PORT", address)
	}
	return nil
}
