// Command pause holds the namespaces of a Pod: it does nothing until it is asked to end, and as the first process of a shared pid namespace it waits for the
// orphans in it.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	received := make(chan os.Signal, 8)
	signal.Notify(received, syscall.SIGCHLD, syscall.SIGINT, syscall.SIGTERM)
	for next := range received {
		if next != syscall.SIGCHLD {
			return
		}
		for {
			if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); pid <= 0 || err != nil {
				break
			}
		}
	}
}
