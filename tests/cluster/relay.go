package main

import (
	"context"
	"io"
	"net"
	"sync"
)

// relay passes the connections of a listener on to an address inside of a network namespace, held by the process pid, until the listener is closed.
func relay(listener net.Listener, pid int, address string) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer client.Close()
			server, err := dialIn(context.Background(), pid, address)
			if err != nil {
				return
			}
			defer server.Close()
			splice(client, server)
		}()
	}
}

// splice copies both ways until both sides have said all they had to, so that a half-closed connection stays usable.
func splice(one, other net.Conn) {
	var both sync.WaitGroup
	for _, pair := range [][2]net.Conn{{one, other}, {other, one}} {
		both.Go(func() {
			_, err := io.Copy(pair[0], pair[1])
			if to, ok := pair[0].(*net.TCPConn); ok && err == nil {
				_ = to.CloseWrite()
				return
			}
			pair[0].Close()
			pair[1].Close()
		})
	}
	both.Wait()
}
