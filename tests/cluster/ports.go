package main

import (
	"fmt"
	"math/rand/v2"
	"net"
)

// The ports of beds lie below those that Linux gives to outgoing connections and to port 0 (32768 and up), so that between choosing a port and the
// component's use of it no client can take it.
const (
	firstPort = 20000
	lastPort  = 32000
)

// reservation holds a port against other beds on the machine until this process ends.
type reservation struct {
	port int
	mark net.Listener
}

// reservePort finds a port of 127.0.0.1 that is free now and that no other bed on this machine will choose while this process lives.
//
// The mark is a socket in Linux's abstract namespace: it needs no file, two processes cannot both have it, and it is gone with the process.
func reservePort() (reservation, error) {
	for range 1000 {
		port := firstPort + rand.IntN(lastPort-firstPort)
		mark, err := net.Listen("unix", fmt.Sprintf("@aegis-testbed-port-%d", port))
		if err != nil {
			continue
		}
		probe, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			mark.Close()
			continue
		}
		probe.Close()
		return reservation{port: port, mark: mark}, nil
	}
	return reservation{}, fmt.Errorf("no free port between %d and %d", firstPort, lastPort)
}
