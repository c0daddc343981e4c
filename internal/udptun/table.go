// Package udptun forwards IP packets between a TUN device and UDP, each packet unchanged
// in one datagram: the format of flannel's udp backend. It owns the forwarding, in
// batches, and the unix socket by which it is configured. It does not know specs, or who
// starts it.
//
// Nothing is encrypted, and only its source address says who sent a datagram.
package udptun

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
)

// Config is what a device is set to. The zero Config carries nothing.
type Config struct {
	Local   netip.Addr // where it listens and sends from; need not be there yet
	Port    uint16     // UDP, its own and that of all members
	Members []Member
}

// Member is another end.
type Member struct {
	Addr    netip.Addr     // of Local's family; one Member per Addr
	Subnets []netip.Prefix // masked: where packets to it go, and may come from
}

// check refuses a Config that has no one meaning.
func (c Config) check() error {
	seen := map[netip.Addr]bool{}
	whose := map[netip.Prefix]netip.Addr{}
	for _, m := range c.Members {
		if !m.Addr.IsValid() || m.Addr.Is6() != c.Local.Is6() || seen[m.Addr] {
			return fmt.Errorf("member %s: not one address of the family of %s", m.Addr, c.Local)
		}
		seen[m.Addr] = true
		for _, p := range m.Subnets {
			other, taken := whose[p]
			if p != p.Masked() || !p.IsValid() || taken {
				return fmt.Errorf("member %s: subnet %s is not its own (%s)", m.Addr, p, other)
			}
			whose[p] = m.Addr
		}
	}
	return nil
}

// table says where packets go, and who may send which. It is not changed: another
// one takes its place.
type table struct {
	port    uint16
	members map[netip.Addr]*member
	routes  map[netip.Prefix]*member
	bits    [2][]int // lengths of the prefixes in routes, longest first: IPv4, IPv6
}

type member struct {
	addr netip.Addr
	udp  *net.UDPAddr
}

func newTable(c Config) *table {
	t := &table{port: c.Port, members: map[netip.Addr]*member{}, routes: map[netip.Prefix]*member{}}
	for _, m := range c.Members {
		to := &member{m.Addr, net.UDPAddrFromAddrPort(netip.AddrPortFrom(m.Addr, c.Port))}
		t.members[m.Addr] = to
		for _, p := range m.Subnets {
			t.routes[p] = to
			family := &t.bits[familyOf(p.Addr())]
			if !slices.Contains(*family, p.Bits()) {
				*family = append(*family, p.Bits())
			}
		}
	}
	for i := range t.bits {
		slices.SortFunc(t.bits[i], func(a, b int) int { return cmp.Compare(b, a) })
	}
	return t
}

func familyOf(a netip.Addr) int {
	if a.Is6() {
		return 1
	}
	return 0
}

// behind is the member with the longest prefix that a is in; nil if none.
func (t *table) behind(a netip.Addr) *member {
	for _, bits := range t.bits[familyOf(a)] {
		p, err := a.Prefix(bits)
		if err != nil {
			return nil
		}
		if m := t.routes[p]; m != nil {
			return m
		}
	}
	return nil
}

// sender is the member that a datagram came from; nil if it is none's.
func (t *table) sender(from netip.AddrPort) *member {
	if from.Port() != t.port {
		return nil
	}
	return t.members[from.Addr().Unmap()]
}

const (
	header4, header6 = 20, 40 // bytes, the least
)

// parse reads the addresses of an IP packet (RFC 791, RFC 8200) and its length in
// bytes, without what stands behind it. Ok is false for what is no whole packet.
func parse(packet []byte) (src, dst netip.Addr, length int, ok bool) {
	if len(packet) == 0 {
		return src, dst, 0, false
	}
	switch packet[0] >> 4 {
	case 4:
		if len(packet) < header4 {
			return src, dst, 0, false
		}
		header := int(packet[0]&15) * 4
		length = int(binary.BigEndian.Uint16(packet[2:]))
		src, dst = netip.AddrFrom4([4]byte(packet[12:])), netip.AddrFrom4([4]byte(packet[16:]))
		return src, dst, length, header >= header4 && header <= length && length <= len(packet)
	case 6:
		if len(packet) < header6 {
			return src, dst, 0, false
		}
		length = header6 + int(binary.BigEndian.Uint16(packet[4:]))
		src, dst = netip.AddrFrom16([16]byte(packet[8:])), netip.AddrFrom16([16]byte(packet[24:]))
		return src, dst, length, length <= len(packet) && !src.Is4In6() && !dst.Is4In6()
	}
	return src, dst, 0, false
}
