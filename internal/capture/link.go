package capture

import (
	"encoding/binary"
	"net/netip"
)

// A link is what the packets of a device begin with.
type link bool

// Links of captured packets.
const (
	ethernet link = true  // an Ethernet header
	bareIP   link = false // an IP header
)

// Types in an Ethernet header (IEEE 802 numbers).
const (
	typeIP4  = 0x0800
	typeARP  = 0x0806
	typeVLAN = 0x8100
	typeRARP = 0x8035
	typeIP6  = 0x86dd

	typeService = 0x88a8 // a VLAN tag of IEEE 802.1ad
)

// header is where the header of layer 3 begins.
func (l link) header() int {
	if l == ethernet {
		return 14
	}
	return 0
}

// is is a packet with an Ethernet type.
func (l link) is(t uint32) *cond {
	if l == ethernet {
		return at(12, 2, t)
	}
	switch t {
	case typeIP4:
		return at(0, 1, 0x40).masked(0xf0)
	case typeIP6:
		return at(0, 1, 0x60).masked(0xf0)
	}
	return never
}

// Protocols above IP (IANA).
const (
	protoICMP    = 1
	protoTCP     = 6
	protoUDP     = 17
	proto6Frag   = 44
	protoICMP6   = 58
	protoSCTP    = 132
	fragmentBits = 0x1fff
)

func (l link) proto4(number uint32) *cond { return and(l.is(typeIP4), at(l.header()+9, 1, number)) }

// proto6 looks behind a fragment header, as pcap does, and behind no other.
func (l link) proto6(number uint32) *cond {
	next := at(l.header()+6, 1, number)
	behind := and(at(l.header()+6, 1, proto6Frag), at(l.header()+40, 1, number))
	return and(l.is(typeIP6), or(next, behind))
}

func (l link) proto(number uint32) *cond { return or(l.proto4(number), l.proto6(number)) }

// Directions of an address or a port.
const (
	either = iota
	source
	target
	both
)

// sides combines what is said of a source and of a target.
func sides(dir int, from, to *cond) *cond {
	switch dir {
	case source:
		return from
	case target:
		return to
	case both:
		return and(from, to)
	}
	return or(from, to)
}

// in is a packet from or to a subnet: in its IP header, or in an ARP message (RFC 826) about
// it. family is typeIP4, typeIP6, typeARP, typeRARP, or 0 for all that apply.
func (l link) in(p netip.Prefix, dir int, family uint32) *cond {
	h, out := l.header(), never
	if p.Addr().Is6() {
		if family != 0 && family != typeIP6 {
			return never
		}
		return and(l.is(typeIP6), sides(dir, words(h+8, p), words(h+24, p)))
	}
	for _, t := range []struct {
		family   uint32
		from, to int
	}{{typeIP4, 12, 16}, {typeARP, 14, 24}, {typeRARP, 14, 24}} {
		if family == 0 || family == t.family {
			out = or(out, and(l.is(t.family), sides(dir, words(h+t.from, p), words(h+t.to, p))))
		}
	}
	return out
}

// words compares the address at an offset with a subnet.
func words(offset int, p netip.Prefix) *cond {
	b, bits, out := p.Addr().AsSlice(), p.Bits(), always
	for i := 0; i < len(b) && bits > 0; i, bits = i+4, bits-32 {
		mask := ^uint32(0) << max(0, 32-bits)
		out = and(out, at(offset+i, 4, binary.BigEndian.Uint32(b[i:])).masked(mask))
	}
	return out
}

// ports is a packet from or to a port of a range. protos are TCP, UDP and SCTP, or one.
func (l link) ports(low, high uint32, dir int, protos ...uint32) *cond {
	h := l.header()
	is4, is6 := never, never
	for _, p := range protos {
		is4, is6 = or(is4, at(h+9, 1, p)), or(is6, at(h+6, 1, p))
	}
	// Only the first fragment has ports.
	whole := not(&cond{op: opCompare, size: 2, at: uint32(h + 6), mask: fragmentBits, test: testGreater}) //nolint:gosec // small
	return or(
		all(l.is(typeIP4), is4, whole, sides(dir, within(fromHeader, h, low, high), within(fromHeader, h+2, low, high))),
		all(l.is(typeIP6), is6, sides(dir, within(fromStart, h+40, low, high), within(fromStart, h+42, low, high))))
}

// within compares two bytes with a range.
func within(from, offset int, low, high uint32) *cond {
	c := cond{op: opCompare, load: from, size: 2, at: uint32(offset), mask: full(2), test: testEqual, value: low} //nolint:gosec // small
	if low == high {
		return &c
	}
	above := c
	c.test, above.test, above.value = testAtLeast, testGreater, high
	return and(&c, not(&above))
}

// mac is a frame from or to an Ethernet address.
func (l link) mac(m [6]byte, dir int) *cond {
	if l != ethernet {
		return never
	}
	here := func(offset int) *cond {
		return and(at(offset+2, 4, binary.BigEndian.Uint32(m[2:])), at(offset, 2, uint32(binary.BigEndian.Uint16(m[:]))))
	}
	return sides(dir, here(6), here(0))
}

// length is a packet of at least that many bytes.
func (l link) length(bytes uint32) *cond {
	return &cond{op: opCompare, load: fromLength, size: 4, mask: full(4), test: testAtLeast, value: bytes}
}
