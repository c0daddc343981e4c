//go:build linux

package host

import "github.com/flocknet/flock/internal/agent/socket"

// Sockets are those of one daemon that stand or fall together.
type Sockets struct {
	At     []socket.Listener
	Own    func(pid int) bool // the process is ours, and gives way; nil: none is
	Advice string             // what to do about another one, with %s for how to end it
}
