package kernel

import (
	"bytes"
	"encoding/binary"
)

// nameBytes are a device's name as the kernel has it, of none that of no device.
func nameBytes(d Device) []byte {
	return append([]byte(d.Name), make([]byte, max(0, 16-len(d.Name)))...)
}

// Protocols of IP by their numbers (IANA).
const (
	protoICMP  = 1
	protoICMP6 = 58
)

// meta is what nft calls meta, by its key.
func (e *evaluation) meta(key int) ([]byte, bool) {
	o, f := e.rules.Endian, e.flow
	switch key {
	case 1: // protocol
		if f.Dst.Is6() {
			return []byte{0x86, 0xdd}, true
		}
		return []byte{0x08, 0x00}, true
	case 3: // mark: what carries the packet has that of its device
		return Number(o, 0), !f.Bridged && !e.rules.marks && !f.Carries
	case 4:
		return Number(o, f.In.Index), true
	case 5:
		return Number(o, f.Out.Index), true
	case 6:
		return nameBytes(f.In), true
	case 7:
		return nameBytes(f.Out), true
	case 15:
		return []byte{FamilyOf(f.Dst)}, !f.Bridged
	case 16:
		return []byte{byte(f.Proto)}, true
	}
	return make([]byte, 16), false
}

// payload is a part of the packet.
func (e *evaluation) payload(base, offset, size int) ([]byte, bool) {
	f := e.flow
	src, dst := 12, 16
	protoAt := 9
	if f.Dst.Is6() {
		src, dst, protoAt = 8, 24, 6
	}
	switch {
	case base == 1 && offset == src && f.Src.IsValid() && size <= f.Src.BitLen()/8:
		return f.Src.AsSlice()[:size], true
	case base == 1 && offset == dst && size <= f.Dst.BitLen()/8:
		return f.Dst.AsSlice()[:size], true
	case base == 1 && offset == protoAt && size == 1:
		return []byte{byte(f.Proto)}, true
	case base == 2 && offset == 2 && size == 2 && f.Port != 0:
		return binary.BigEndian.AppendUint16(nil, uint16(f.Port)), true //nolint:gosec // a port
	case base == 2 && offset == 0 && size == 1 && (f.Proto == protoICMP || f.Proto == protoICMP6):
		if f.Proto == protoICMP {
			return []byte{8}, true
		}
		return []byte{128}, true
	}
	return unread(size), false
}

// unread stands for bytes that are not known, as many as all registers have at most.
func unread(size int) []byte { return make([]byte, min(max(size, 1), 64)) }

func (e *evaluation) bitwise(d map[uint16][]byte) {
	size := U32(binary.BigEndian, d[3])
	value, known := e.read(d[1], size)
	mask, xor := AttrsOf(e.rules.Endian, d[4], 0)[1], AttrsOf(e.rules.Endian, d[5], 0)[1]
	if len(mask) < size || len(xor) < size || len(value) < size {
		e.load(d[2], unread(size), false)
		return
	}
	out := make([]byte, size)
	for i := range out {
		out[i] = value[i]&mask[i] ^ xor[i]
	}
	e.load(d[2], out, known)
}

func tri(known, is bool) int {
	switch {
	case !known:
		return maybe
	case is:
		return yes
	}
	return no
}

func (e *evaluation) cmp(d map[uint16][]byte) int {
	want := AttrsOf(e.rules.Endian, d[3], 0)[1]
	have, known := e.read(d[1], len(want))
	c := bytes.Compare(have, want)
	is := []bool{c == 0, c != 0, c < 0, c <= 0, c > 0, c >= 0} // NFT_CMP_EQ …
	return tri(known, is[min(U32(binary.BigEndian, d[2]), len(is)-1)])
}

func (e *evaluation) within(d map[uint16][]byte) int {
	from, to := AttrsOf(e.rules.Endian, d[3], 0)[1], AttrsOf(e.rules.Endian, d[4], 0)[1]
	have, known := e.read(d[1], len(from))
	in := bytes.Compare(have, from) >= 0 && bytes.Compare(have, to) <= 0
	return tri(known, in == (U32(binary.BigEndian, d[2]) == 0))
}

// lookup looks a register up in a set, or in a map of verdicts.
func (e *evaluation) lookup(c *Chain, d map[uint16][]byte) (int, *verdict) {
	s := e.rules.set(c, Text(d[1]))
	if s == nil || !s.Read {
		return maybe, nil
	}
	inverted := U32(binary.BigEndian, d[5])&1 != 0
	found, known := e.find(s, d[2])
	if found != nil && found.verdict != nil {
		return tri(known, true), found.verdict
	}
	return tri(known, (found != nil) != inverted), nil
}

// find is the element that a register is, or is within.
func (e *evaluation) find(s *Set, reg []byte) (*element, bool) {
	if len(s.elements) == 0 {
		return nil, true
	}
	e.rules.looked += len(s.elements) / 64
	size := len(s.elements[0].key)
	have, known := e.read(reg, size)
	if !known {
		return nil, false
	}
	if !s.intervals {
		for i := range s.elements {
			if bytes.Equal(s.elements[i].key, have) {
				return &s.elements[i], true
			}
		}
		return nil, true
	}
	if len(s.elements[0].to) > 0 {
		return nil, false // of several fields, each with its range
	}
	var in *element
	for i, one := range s.elements {
		if bytes.Compare(one.key, have) > 0 {
			break
		}
		if in = nil; !one.end {
			in = &s.elements[i]
		}
	}
	return in, true
}

// xtMatch evaluates a match of iptables by its kernel structure.
func (e *evaluation) xtMatch(name string, info []byte) int {
	o := e.rules.Endian
	ports := func(at int, invert byte) int {
		if len(info) < at+4 || e.flow.Port == 0 {
			return maybe
		}
		low, high := int(o.Uint16(info[at:])), int(o.Uint16(info[at+2:]))
		return tri(true, (e.flow.Port >= low && e.flow.Port <= high) != (invert != 0))
	}
	switch name {
	case "comment":
		return yes
	case "conntrack": // struct xt_conntrack_mtinfo3
		const flagsAt, stateAt, ofState, isNew = 146, 150, 1, 8
		if len(info) < stateAt+2 || o.Uint16(info[flagsAt:]) != ofState || !e.isNew() {
			return maybe
		}
		inverted := o.Uint16(info[flagsAt+2:])&ofState != 0
		return tri(true, (o.Uint16(info[stateAt:])&isNew != 0) != inverted)
	case "tcp", "udp": // struct xt_tcp, struct xt_udp: source ports, then destination ports
		invertAt := map[string]int{"tcp": 11, "udp": 8}[name]
		if len(info) <= invertAt || name == "tcp" && info[9] != 0 || !bytes.Equal(info[:4], []byte{0, 0, 255, 255}) {
			return maybe
		}
		return ports(4, info[invertAt]&2)
	}
	return maybe
}
