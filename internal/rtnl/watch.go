//go:build linux

package rtnl

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Watch hears of changes to devices, addresses and routes, in the network namespace
// of the thread that opened it. Neighbours and forwarding entries are left out: they
// come and go with the traffic. What changed does not matter: whoever is told looks
// at everything. So it does not matter either when the kernel drops news because they
// came too fast (ENOBUFS): that something was lost is news itself.
//
// It is asked (Moved), or tells (Tell), not both.
type Watch struct {
	fd   int
	file *os.File // of a watch that tells
}

// watched are the groups of rtnetlink(7), as bits of sockaddr_nl.
const watched = unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR | unix.RTMGRP_IPV4_ROUTE | unix.RTMGRP_IPV6_ROUTE

// tellBuffer is the size in bytes of the receive buffer of a watch that tells: some
// ten thousand routes that somebody else changes at once.
const tellBuffer = 4 << 20

// NewWatch returns a watch that hears of everything from now on. Close it.
func NewWatch() (*Watch, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: watched}); err != nil {
		return nil, errors.Join(fmt.Errorf("bind netlink: %w", err), unix.Close(fd))
	}
	return &Watch{fd: fd}, nil
}

// Moved says whether something has changed since the last time it was asked.
func (w *Watch) Moved() bool {
	for moved := false; ; moved = true {
		_, _, err := unix.Recvfrom(w.fd, nil, unix.MSG_DONTWAIT|unix.MSG_TRUNC)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return moved
		case err == nil, errors.Is(err, unix.EINTR), errors.Is(err, unix.ENOBUFS): // more than it could hold
		default:
			return true
		}
	}
}

// Tell sends to fresh, where there is room, whenever something changed that did not
// come about by own (Conn.PortID), until the watch is closed.
func (w *Watch) Tell(fresh chan<- struct{}, own uint32) error {
	// By force: the usual bound (net.core.rmem_max) is for those without rights.
	_ = unix.SetsockoptInt(w.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, tellBuffer)
	w.file = os.NewFile(uintptr(w.fd), "netlink") //nolint:gosec // a descriptor
	raw, err := w.file.SyscallConn()
	if err != nil {
		return errors.Join(fmt.Errorf("read netlink: %w", err), w.Close())
	}
	go tell(raw, fresh, own)
	return nil
}

func tell(raw syscall.RawConn, fresh chan<- struct{}, own uint32) {
	b := make([]byte, 1<<16)
	for {
		var size int
		var err error
		closed := raw.Read(func(fd uintptr) bool {
			size, _, err = unix.Recvfrom(int(fd), b, 0) //nolint:gosec // a descriptor
			return !errors.Is(err, unix.EAGAIN)
		})
		if closed != nil {
			return
		}
		if err == nil && !foreign(b[:size], own) {
			continue
		}
		select {
		case fresh <- struct{}{}:
		default:
		}
	}
}

// foreign says whether a datagram has anything that did not come about by own.
func foreign(b []byte, own uint32) bool {
	list, err := syscall.ParseNetlinkMessage(b)
	if err != nil {
		return true
	}
	for _, m := range list {
		if m.Header.Pid != own {
			return true
		}
	}
	return false
}

// Close releases the socket.
func (w *Watch) Close() error {
	if w.file != nil {
		return w.file.Close()
	}
	return unix.Close(w.fd)
}
