//go:build linux

package agent

import (
	"fmt"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/sysfile"
)

// pipe writes to a file descriptor. That nobody reads any more is an error like
// others: os would end the process where it is the standard output.
type pipe struct {
	fd   int
	gone *atomic.Bool // nobody is there to read: nothing is waited for
}

// Write writes all of b.
func (p pipe) Write(b []byte) (int, error) {
	if p.gone.Load() {
		return 0, fmt.Errorf("write: %w", unix.EPIPE)
	}
	for done := 0; ; {
		n, err := sysfile.Again(func() (int, error) { return unix.Write(p.fd, b[done:]) })
		done += max(n, 0)
		if err == unix.EAGAIN { //nolint:errorlint // a system call's own
			_, err = sysfile.Again(func() (int, error) {
				return unix.Poll([]unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLOUT}}, goneWithin)
			})
			if p.gone.Load() {
				err = unix.EPIPE
			}
		}
		if err != nil {
			return done, fmt.Errorf("write: %w", err)
		}
		if done == len(b) {
			return done, nil
		}
	}
}

// goneWithin is how soon, in milliseconds, somebody who waits to write notices gone.
const goneWithin = 500
