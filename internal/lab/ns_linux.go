package lab

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// inNS runs f on a thread in the named network namespace; empty means this machine's
// own. f must not start goroutines that use the network.
func inNS(ns string, f func() error) error {
	if ns == "" {
		return f()
	}
	done := make(chan error, 1)
	go func() {
		// Never unlocked: the runtime ends a thread whose goroutine returns
		// locked, so no other goroutine can land in this namespace.
		runtime.LockOSThread()
		done <- enterAnd(ns, f)
	}()
	return <-done
}

func enterAnd(ns string, f func() error) error {
	file, err := os.Open(nsFile(ns))
	if err != nil {
		return fmt.Errorf("open namespace %s: %w", ns, err)
	}
	defer func() { _ = file.Close() }() // opened to be entered
	if err := unix.Setns(int(file.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter namespace %s: %w", ns, err)
	}
	return f()
}

// freeBind allows a socket an address that the machine does not have yet.
func freeBind(fd uintptr) error {
	return unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_FREEBIND, 1)
}
