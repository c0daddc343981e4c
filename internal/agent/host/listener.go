//go:build linux

package host

import (
	"errors"
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"
)

// Listener is a socket that a daemon, or a device, of ours is about to open.
type Listener struct {
	At     netip.AddrPort // the address may be one that is not there yet
	Stream bool           // TCP
	Share  []int          // options of SOL_SOCKET by which daemons let others beside them
}

func (l Listener) String() string {
	text := "UDP port "
	if l.Stream {
		text = "TCP port "
	}
	text += strconv.Itoa(int(l.At.Port()))
	if a := l.At.Addr(); !a.IsUnspecified() {
		text += " of " + a.String()
	}
	return text
}

// Taken says whether somebody holds the port in l's way. What this kernel has no
// sockets for is not taken.
func (l Listener) Taken() bool {
	domain, sort := unix.AF_INET, unix.SOCK_DGRAM
	var to unix.Sockaddr
	if l.At.Addr().Is6() {
		domain, to = unix.AF_INET6, &unix.SockaddrInet6{Port: int(l.At.Port()), Addr: l.At.Addr().As16()}
	} else {
		to = &unix.SockaddrInet4{Port: int(l.At.Port()), Addr: l.At.Addr().As4()}
	}
	if l.Stream {
		sort = unix.SOCK_STREAM
	}
	fd, err := unix.Socket(domain, sort|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer func() { _ = unix.Close(fd) }() // nothing was written
	if domain == unix.AF_INET6 {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1)
	}
	for _, option := range l.Share {
		err = errors.Join(err, unix.SetsockoptInt(fd, unix.SOL_SOCKET, option, 1))
	}
	err = errors.Join(err, unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_FREEBIND, 1), unix.Bind(fd, to))
	return errors.Is(err, unix.EADDRINUSE)
}

// Everywhere are the addresses of a socket that takes in what comes for any address.
func Everywhere(port uint16) []netip.AddrPort {
	return []netip.AddrPort{
		netip.AddrPortFrom(netip.IPv4Unspecified(), port), netip.AddrPortFrom(netip.IPv6Unspecified(), port),
	}
}

// Sockets are those of one daemon that stand or fall together.
type Sockets struct {
	At     []Listener
	Own    func(pid int) bool // the process is ours, and gives way; nil: none is
	Advice string             // what to do about another one, with %s for how to end it
}
