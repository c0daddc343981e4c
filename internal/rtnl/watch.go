//go:build linux

package rtnl

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Watch hears of changes to devices, addresses and routes, in the network namespace
// of the thread that opened it. Neighbours and forwarding entries are left out: they
// come and go with the traffic.
type Watch struct{ fd int }

// watched are the groups of rtnetlink(7), as bits of sockaddr_nl.
const watched = unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR | unix.RTMGRP_IPV4_ROUTE | unix.RTMGRP_IPV6_ROUTE

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

// Close releases the socket.
func (w *Watch) Close() error { return unix.Close(w.fd) }
