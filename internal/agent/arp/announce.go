//go:build linux

package arp

import (
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Announce tells the segment behind bridge that addrs, which are its own, are here now:
// who knows them by another server's MAC address learns this one at once, and not when
// that server has not answered for a minute. Closing the socket takes the kernel some
// 30 ms (packet_release waits for all processors), so it is for who takes over.
func Announce(bridge string, addrs []netip.Addr) error {
	dev, err := net.InterfaceByName(bridge)
	if err != nil {
		return fmt.Errorf("announce addresses on %s: %w", bridge, err)
	}
	for _, a := range addrs {
		tell := announceARP
		if a.Is6() {
			tell = announceND
		}
		if err := tell(dev, a); err != nil {
			return fmt.Errorf("announce %s on %s: %w", a, bridge, err)
		}
	}
	return nil
}

// announceARP asks for the own address (RFC 5227, 3).
func announceARP(dev *net.Interface, own netip.Addr) error {
	fd, err := Open(dev)
	if err != nil {
		return err
	}
	defer unix.Close(fd) //nolint:errcheck // nothing is lost
	return ask(fd, dev, own, own)
}

// announceND sends an unsolicited neighbour advertisement (RFC 4861, 7.2.6) that
// overrides what is known. The kernel adds the checksum.
func announceND(dev *net.Interface, own netip.Addr) error {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMPV6)
	if err != nil {
		return err
	}
	defer unix.Close(fd) //nolint:errcheck // nothing is lost
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, 255); err != nil {
		return err
	}
	if err := unix.Bind(fd, &unix.SockaddrInet6{Addr: own.As16()}); err != nil {
		return err
	}
	const advertisement, override, targetMAC = 136, 0x20, 2
	m := append([]byte{advertisement, 0, 0, 0, override, 0, 0, 0}, own.AsSlice()...)
	m = append(append(m, targetMAC, 1), dev.HardwareAddr...)
	allNodes := &unix.SockaddrInet6{Addr: netip.IPv6LinkLocalAllNodes().As16(), ZoneId: uint32(dev.Index)} //nolint:gosec // an index
	return unix.Sendto(fd, m, 0, allNodes)
}
