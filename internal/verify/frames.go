package verify

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net/netip"
)

// Numbers of protocols (IANA), and of Ethernet's types.
const (
	protoUDP, protoICMP6     = 17, 58
	typeIP4, typeARP, typeIP = 0x0800, 0x0806, 0x86dd
)

// mac is an Ethernet address.
type mac [6]byte

func (m mac) String() string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5])
}

var everybody = mac{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// group is the Ethernet address of an IPv6 multicast group (RFC 2464, 7).
func group(a netip.Addr) mac {
	b := a.As16()
	return mac{0x33, 0x33, b[12], b[13], b[14], b[15]}
}

// solicited is the group of those that may have an address (RFC 4291, 2.7.1).
func solicited(a netip.Addr) netip.Addr {
	b := a.As16()
	return netip.AddrFrom16([16]byte{0xff, 2, 11: 1, 12: 0xff, 13: b[13], 14: b[14], 15: b[15]})
}

// withMAC is the address that a host with a MAC gives itself in a /64 (RFC 4291, appendix A).
func withMAC(p netip.Prefix, m mac) netip.Addr {
	b := p.Addr().As16()
	copy(b[8:], []byte{m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]})
	return netip.AddrFrom16(b)
}

// ethernet is a frame, in base64.
func ethernet(to, from mac, kind uint16, data ...byte) string {
	f := append(append(append(make([]byte, 0, 14+len(data)), to[:]...), from[:]...), byte(kind>>8), byte(kind))
	return base64.StdEncoding.EncodeToString(append(f, data...))
}

// askMAC is the question which MAC has an address: of ARP (RFC 826), or a neighbour solicitation
// (RFC 4861, 4.3). Whoever is asked knows then which MAC asked, and answers it from now on. An
// IPv4 source that is 0.0.0.0 teaches nobody anything (RFC 5227).
func askMAC(own mac, from, to netip.Addr) string {
	if to.Is4() {
		data := append([]byte{0, 1, 8, 0, 6, 4, 0, 1}, own[:]...)
		data = append(append(append(data, from.AsSlice()...), make([]byte, 6)...), to.AsSlice()...)
		return ethernet(everybody, own, typeARP, data...)
	}
	data := append([]byte{135, 0, 0, 0, 0, 0, 0, 0}, to.AsSlice()...)
	at := solicited(to)
	return packet(group(at), own, from, at, protoICMP6, append(append(data, 1, 1), own[:]...))
}

// packet is an IP packet in a frame. Data is what is behind its header; its checksum is filled in.
func packet(to, own mac, from, dst netip.Addr, protocol byte, data []byte) string {
	at := 6
	if protocol == protoICMP6 {
		at = 2
	}
	binary.BigEndian.PutUint16(data[at:], Checksum(from, dst, protocol, data))
	if dst.Is4() {
		h := []byte{0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0}
		binary.BigEndian.PutUint16(h[2:], uint16(20+len(data))) //nolint:gosec // of packets
		h = append(append(h, from.AsSlice()...), dst.AsSlice()...)
		binary.BigEndian.PutUint16(h[10:], Checksum(netip.Addr{}, netip.Addr{}, 0, h))
		return ethernet(to, own, typeIP4, append(h, data...)...)
	}
	h := []byte{0x60, 0, 0, 0, 0, 0, protocol, 255}      // the hop limit that RFC 4861 asks for
	binary.BigEndian.PutUint16(h[4:], uint16(len(data))) //nolint:gosec // of packets
	h = append(append(h, from.AsSlice()...), dst.AsSlice()...)
	return ethernet(to, own, typeIP, append(h, data...)...)
}

// datagram is a UDP datagram in a frame.
func datagram(to, own mac, from, dst netip.AddrPort, text []byte) string {
	h := make([]byte, 8, 8+len(text))
	binary.BigEndian.PutUint16(h, from.Port())
	binary.BigEndian.PutUint16(h[2:], dst.Port())
	binary.BigEndian.PutUint16(h[4:], uint16(8+len(text))) //nolint:gosec // of packets
	return packet(to, own, from.Addr(), dst.Addr(), protoUDP, append(h, text...))
}

// Checksum is the Internet checksum (RFC 1071) of what follows an IP header. Those of TCP, UDP and
// ICMPv6 count the addresses, too; where they are invalid, the data alone counts.
func Checksum(src, dst netip.Addr, protocol byte, data []byte) uint16 {
	var sum uint32
	add := func(b []byte) {
		for i := 0; i < len(b); i += 2 {
			word := uint32(b[i]) << 8
			if i+1 < len(b) {
				word |= uint32(b[i+1])
			}
			sum += word
		}
	}
	if src.IsValid() {
		add(src.AsSlice())
		add(dst.AsSlice())
		sum += uint32(len(data)) + uint32(protocol) //nolint:gosec // small
	}
	add(data)
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum) //nolint:gosec // folded
}

// came is a packet that came: an answer of ARP, or what is behind an IP header.
type came struct {
	mac      mac // the sender's
	protocol byte
	from     netip.Addr
	ports    [2]uint16 // of UDP
	data     []byte    // of UDP without its header
}

// received reads a frame; false: it is nothing that a host without connections gets.
func received(f []byte) (c came, ok bool) {
	if len(f) < 14 {
		return c, false
	}
	c.mac = mac(f[6:12])
	kind, p := binary.BigEndian.Uint16(f[12:]), f[14:]
	switch {
	case kind == typeARP && len(p) >= 28 && p[7] == 2:
		c.mac, c.from = mac(p[8:14]), netip.AddrFrom4([4]byte(p[14:18]))
		return c, true
	case kind == typeIP4 && len(p) >= 20 && len(p) >= int(p[0]&15)*4:
		c.protocol, c.from, c.data = p[9], netip.AddrFrom4([4]byte(p[12:16])), p[int(p[0]&15)*4:]
	case kind == typeIP && len(p) >= 40:
		c.protocol, c.from, c.data = p[6], netip.AddrFrom16([16]byte(p[8:24])), p[40:]
	}
	if c.protocol == protoUDP && len(c.data) >= 8 {
		c.ports = [2]uint16{binary.BigEndian.Uint16(c.data), binary.BigEndian.Uint16(c.data[2:])}
		c.data = c.data[8:]
		return c, true
	}
	return c, c.protocol == protoICMP6 && len(c.data) >= 8
}
