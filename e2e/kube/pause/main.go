// Command pause waits until it is told to stop, and reaps the children that it inherits meanwhile.
// It is process 1 of a cluster's process namespace and the sandbox program of every pod.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGCHLD, syscall.SIGINT, syscall.SIGTERM)
	for received := range signals {
		if received != syscall.SIGCHLD {
			return
		}
		for reap() {
		}
	}
}

// reap collects one dead child; false when none is left.
func reap() bool {
	for {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		if err != syscall.EINTR {
			return pid > 0
		}
	}
}
