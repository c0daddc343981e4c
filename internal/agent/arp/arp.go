//go:build linux

package arp

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// Frames of ARP (RFC 826) go out for everybody, or for one; a socket hears what comes in.

// Open opens a socket for ARP on dev, a descriptor that the caller closes.
func Open(dev *net.Interface) (int, error) {
	// Bind names the protocol. A socket that has one already takes frames of all devices until then,
	// and the kernel waits until nobody is in the midst of that, 20 ms and more (packet_do_bind).
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err := unix.Bind(fd, Broadcast(dev.Index)); err != nil {
		return -1, errors.Join(err, unix.Close(fd))
	}
	return fd, nil
}

// BigEndian is v as the kernel reads protocols in addresses of packet sockets (packet(7)).
func BigEndian(v uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v))
}

// Broadcast is the address of frames of ARP for everybody on the device with index.
func Broadcast(index int) *unix.SockaddrLinklayer {
	to := &unix.SockaddrLinklayer{Protocol: BigEndian(unix.ETH_P_ARP), Ifindex: index, Halen: 6}
	copy(to.Addr[:], []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	return to
}

// ask sends a request for a; it waits while the socket is full.
func ask(fd int, dev *net.Interface, own, a netip.Addr) error {
	return unix.Sendto(fd, Request(dev, own, a), 0, Broadcast(dev.Index))
}

// Hear adds to found the answers that have arrived.
func Hear(fd int, found map[netip.Addr]net.HardwareAddr) {
	m := make([]byte, 64)
	for {
		n, _, err := unix.Recvfrom(fd, m, unix.MSG_DONTWAIT)
		if err != nil {
			return
		}
		if n < 28 || m[6] != 0 || m[7] != 2 || m[4] != 6 || m[5] != 4 {
			continue
		}
		a, _ := netip.AddrFromSlice(m[14:18])
		found[a] = append(net.HardwareAddr(nil), m[8:14]...)
	}
}

// Request is a message of ARP that asks who has a, in the name of own.
func Request(dev *net.Interface, own, a netip.Addr) []byte {
	m := []byte{0, 1, 8, 0, 6, 4, 0, 1} // Ethernet, IPv4, request
	return slices.Concat(m, dev.HardwareAddr, own.AsSlice(), []byte{0, 0, 0, 0, 0, 0}, a.AsSlice())
}
