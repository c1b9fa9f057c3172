package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"
)

// answer is the line printed for each line that the parent writes.
type answer struct {
	Command string `json:"command"`
	Pid     int    `json:"pid,omitempty"`
	Address string `json:"address,omitempty"`
	Error   string `json:"error,omitempty"`
}

// againLimit bounds how long a component may take to be ready once it is started again.
const againLimit = time.Minute

// readLines passes on the lines of the parent until it closes its end, and ends the bed then.
func readLines(parent io.Reader, lines chan<- string, end context.CancelCauseFunc) {
	for scanner := bufio.NewScanner(parent); scanner.Scan(); {
		lines <- scanner.Text()
	}
	end(errStopped)
}

// obey does what the parent asks for, one line after the other, until ctx ends.
func (b *bed) obey(ctx context.Context, lines <-chan string, answers *json.Encoder) error {
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case one := <-b.restarts:
			if err := b.revive(one); err != nil {
				return err
			}
		case line := <-lines:
			given := answer{Command: line}
			if err := b.command(ctx, strings.Fields(line), &given); err != nil {
				given.Error = err.Error()
			}
			if err := answers.Encode(given); err != nil {
				return err
			}
		}
	}
}

// command does one thing. README.md says which there are.
func (b *bed) command(ctx context.Context, words []string, given *answer) (err error) {
	switch {
	case len(words) == 2 && words[0] == "pid" && b.node != nil:
		given.Pid, err = b.node.containerPid(words[1])
		return err
	case len(words) == 2 && words[1] == dnsName && b.node != nil:
		return b.commandDNS(ctx, words[0], given)
	case len(words) == 2:
		return b.commandComponent(ctx, words[0], words[1], given)
	case len(words) == 3 && words[0] == "forward" && b.node != nil:
		given.Address, err = b.forward(words[1], words[2])
		return err
	}
	return fmt.Errorf("no such command; there are: stop|cont|kill|start COMPONENT%s", map[bool]string{true: ", pid CONTAINER, forward node|ext ADDRESS:PORT"}[b.node != nil])
}

func (b *bed) commandComponent(ctx context.Context, verb, name string, given *answer) error {
	one, err := b.component(name)
	if err != nil {
		return err
	}
	if verb == "stop" || verb == "kill" {
		b.faults.Store(true)
	}
	switch verb {
	case "stop":
		err = one.signal(syscall.SIGSTOP)
	case "cont":
		err = one.signal(syscall.SIGCONT)
	case "kill":
		err = one.signal(0)
		one.kill()
	case "start":
		limited, cancel := context.WithTimeoutCause(ctx, againLimit, errSlow)
		defer cancel()
		err = b.again(limited, one)
	default:
		return fmt.Errorf("no such command: %q", verb)
	}
	given.Pid = one.command.Process.Pid
	return err
}

// revive starts a component that ended by itself, unless it was killed or started by a command since.
func (b *bed) revive(one *component) error {
	select {
	case <-one.ended:
		if !one.wanted.Load() {
			return b.launch(one)
		}
	default:
	}
	return nil
}

// commandDNS treats the cluster's DNS server as if it were a component. What is killed is started again by the kubelet.
func (b *bed) commandDNS(ctx context.Context, verb string, given *answer) error {
	signals := map[string]syscall.Signal{"stop": syscall.SIGSTOP, "cont": syscall.SIGCONT, "kill": syscall.SIGKILL}
	if verb == "start" {
		limited, cancel := context.WithTimeoutCause(ctx, againLimit, errSlow)
		defer cancel()
		if err := poll(limited, "cluster DNS to answer", func() error { return b.dnsAnswers(limited) }); err != nil {
			return err
		}
	}
	pid, err := b.dnsPid(ctx)
	if err != nil {
		return err
	}
	given.Pid = pid
	number, known := signals[verb]
	switch {
	case known:
		return syscall.Kill(pid, number)
	case verb == "start":
		return nil
	default:
		return fmt.Errorf("no such command: %q", verb)
	}
}

// forward makes a port of the machine's own loopback lead to an address inside of the node or of the outside world, until the bed ends.
func (b *bed) forward(where, address string) (string, error) {
	places := map[string]int{"node": b.node.init.Process.Pid, "ext": b.node.ext.Process.Pid}
	pid, known := places[where]
	if !known {
		return "", fmt.Errorf("no such place: %q", where)
	}
	if err := isLiteral(address); err != nil {
		return "", err
	}
	port, err := b.port()
	if err != nil {
		return "", err
	}
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return "", err
	}
	go relay(listener, pid, address)
	return listener.Addr().String(), nil
}
