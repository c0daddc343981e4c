//go:build linux

package bgp

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"time"

	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/spec"
)

// GoBGP opens its sockets itself and returns none; they are found among this process's
// descriptors.

// descriptors are the open ones.
func descriptors() ([]int, error) {
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil, fmt.Errorf("list open sockets: %w", err)
	}
	out := make([]int, 0, len(names))
	for _, name := range names {
		if fd, err := strconv.Atoi(name.Name()); err == nil {
			out = append(out, fd)
		}
	}
	return out, nil
}

// addrPort translates a socket address.
func addrPort(at unix.Sockaddr) (addr netip.Addr, port int) {
	switch at := at.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrFrom4(at.Addr), at.Port
	case *unix.SockaddrInet6:
		return netip.AddrFrom16(at.Addr).Unmap(), at.Port
	}
	return netip.Addr{}, 0
}

// listens says whether fd is one of GoBGP's listening sockets.
func listens(fd int) bool {
	if listening, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil || listening == 0 {
		return false
	}
	at, err := unix.Getsockname(fd)
	_, port := addrPort(at)
	return err == nil && port == spec.BGPPort
}

// connections are the descriptors of connections with a neighbour.
func connections(neighbor netip.Addr) ([]int, error) {
	all, err := descriptors()
	var out []int
	for _, fd := range all {
		at, err := unix.Getpeername(fd)
		if addr, _ := addrPort(at); err == nil && addr == neighbor {
			out = append(out, fd)
		}
	}
	return out, err
}

// taken is how many bytes the other side of a connection has acknowledged; more says
// that some are not acknowledged yet.
func taken(fd int) (octets uint64, more bool) {
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return 0, false
	}
	unsent, err := unix.IoctlGetInt(fd, unix.SIOCOUTQ)
	return info.Bytes_acked, err == nil && unsent > 0
}

// unreadWithin bounds the wait for a neighbour's next message.
const unreadWithin = 200 * time.Millisecond

// unread is what a neighbour sent over its new connections and GoBGP has not read yet.
func unread(neighbor netip.Addr) (out [][]byte) {
	list, err := connections(neighbor)
	if err != nil {
		return nil
	}
	deadline := time.Now().Add(unreadWithin)
	for _, fd := range list {
		wait := max(0, int(time.Until(deadline).Milliseconds()))
		if n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, wait); err != nil || n == 0 { //nolint:gosec // a descriptor
			continue
		}
		b := make([]byte, bgp.BGP_MAX_MESSAGE_LENGTH)
		if n, _, err := unix.Recvfrom(fd, b, unix.MSG_PEEK|unix.MSG_DONTWAIT); err == nil {
			out = append(out, b[:n])
		}
	}
	return out
}
