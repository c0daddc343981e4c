//go:build linux

package bfd

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// hops is the TTL, or hop limit, of packets that no router has passed on (RFC 5881, 5).
	hops = 255
	// Ports that packets come from (RFC 5881, 4).
	firstPort, ports = 49152, 16384
	// portTries is how many of them are tried.
	portTries = 64
)

// options sets socket options on a socket that is being opened.
func options(set func(fd int) error) func(network, address string, c syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		var err error
		if e := c.Control(func(fd uintptr) { err = set(int(fd)) }); e != nil { //nolint:gosec // a descriptor
			return e
		}
		return err
	}
}

// listen opens the port that neighbours send to, for each family that the kernel has.
// GoBGP has it too, on the loopback device alone.
func (w *Watcher) listen() (err error) {
	var open []*net.UDPConn
	defer func() {
		for _, c := range open {
			if err != nil {
				_ = c.Close() // the next try opens both
			} else {
				go w.read(c)
			}
		}
	}()
	for network, set := range map[string]func(fd int) error{
		"udp4": func(fd int) error { return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_RECVTTL, 1) },
		"udp6": func(fd int) error { return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVHOPLIMIT, 1) },
	} {
		lc := net.ListenConfig{Control: options(func(fd int) error {
			return errors.Join(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1), set(fd))
		})}
		l, err := lc.ListenPacket(context.Background(), network, fmt.Sprintf(":%d", Port))
		if errors.Is(err, unix.EAFNOSUPPORT) {
			continue // a kernel without IPv6
		}
		if err != nil {
			return fmt.Errorf("listen for BFD on UDP port %d: %w", Port, err)
		}
		c, ok := l.(*net.UDPConn)
		if !ok {
			return fmt.Errorf("listen for BFD on UDP port %d: the socket is a %T", Port, l)
		}
		open = append(open, c)
	}
	w.listens = open
	return nil
}

// read takes packets until c is closed.
func (w *Watcher) read(c *net.UDPConn) {
	b, oob := make([]byte, 256), make([]byte, 128)
	for {
		n, ob, _, from, err := c.ReadMsgUDPAddrPort(b, oob)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err == nil && near(oob[:ob]):
			w.heard(from.Addr().Unmap().WithZone(""), b[:n])
		}
	}
}

// near says whether a packet's control messages prove that no router has passed it on.
func near(oob []byte) bool {
	list, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return false
	}
	for _, m := range list {
		ttl := m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_TTL
		limit := m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_HOPLIMIT
		if (ttl || limit) && len(m.Data) >= 4 {
			return binary.NativeEndian.Uint32(m.Data) == hops
		}
	}
	return false
}

// source opens the socket that packets to p are sent from: by port, if it is not 0 and
// free. It is not connected: descriptors that are count as connections with a neighbour.
func source(p Peer, port int) (*net.UDPConn, error) {
	network, set := "udp4", func(fd int) error { return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TTL, hops) }
	if p.Addr.Is6() {
		network, set = "udp6", func(fd int) error { return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, hops) }
	}
	local := p.Local
	if !local.IsValid() {
		local = map[bool]netip.Addr{false: netip.IPv4Unspecified(), true: netip.IPv6Unspecified()}[p.Addr.Is6()]
	}
	lc := net.ListenConfig{Control: options(set)}
	var last error
	for range portTries {
		if port == 0 {
			port = firstPort + rand.N(ports) //nolint:gosec // only one that is free
		}
		l, err := lc.ListenPacket(context.Background(), network, netip.AddrPortFrom(local, uint16(port)).String()) //nolint:gosec // 49152…65535
		if c, ok := l.(*net.UDPConn); err == nil && ok {
			return c, nil
		}
		if last, port = err, 0; !errors.Is(err, unix.EADDRINUSE) {
			break
		}
	}
	return nil, fmt.Errorf("send BFD packets to %s from %s: %w", p.Addr, local, last)
}
