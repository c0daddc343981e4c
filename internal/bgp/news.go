//go:build linux

package bgp

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// newsBuffer is the size in bytes of the socket's receive buffer: some ten
// thousand routes that somebody else changes at once.
const newsBuffer = 4 << 20

// news hears that devices, addresses or routes changed, by others than ourselves.
// What changed does not matter: whoever is told looks at everything. So it does not
// matter either when the kernel drops news because they came too fast (ENOBUFS):
// that something was lost is news itself.
type news struct {
	file  *os.File
	fresh chan struct{} // one at most: there is something new
}

// openNews ignores what came about by the netlink socket called own.
func openNews(own uint32) (*news, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	// By force: the usual bound (net.core.rmem_max) is for those without rights.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, newsBuffer)
	groups := uint32(0)
	for _, g := range []int{
		unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE,
	} {
		groups |= 1 << (g - 1)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		return nil, errors.Join(fmt.Errorf("bind netlink: %w", err), unix.Close(fd))
	}
	n := &news{file: os.NewFile(uintptr(fd), "netlink"), fresh: make(chan struct{}, 1)} //nolint:gosec // a descriptor
	raw, err := n.file.SyscallConn()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read netlink: %w", err), n.file.Close())
	}
	go n.hear(raw, own)
	return n, nil
}

func (n *news) close() error { return n.file.Close() }

// forget is for who is about to look.
func (n *news) forget() {
	select {
	case <-n.fresh:
	default:
	}
}

// hear reads until the socket is closed.
func (n *news) hear(raw syscall.RawConn, own uint32) {
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
		case n.fresh <- struct{}{}:
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
