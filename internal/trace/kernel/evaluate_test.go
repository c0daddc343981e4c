package kernel

import (
	"encoding/binary"
	"net/netip"
	"testing"
)

func be(n int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(n)) }

// nested is an attribute in another one.
func nested(kind int, value []byte) []byte {
	b := binary.LittleEndian.AppendUint16(nil, uint16(4+len(value)))
	b = append(binary.LittleEndian.AppendUint16(b, uint16(kind)), value...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

func decide(code int, chain string) expression {
	v := nested(1, be(code))
	if chain != "" {
		v = append(v, nested(2, append([]byte(chain), 0))...)
	}
	return expression{"immediate", map[uint16][]byte{1: be(0), 2: nested(2, v)}}
}

func meta(key int) expression { return expression{"meta", map[uint16][]byte{1: be(1), 2: be(key)}} }

func is(value []byte) expression {
	return expression{"cmp", map[uint16][]byte{1: be(1), 2: be(0), 3: nested(1, value)}}
}

func destination() expression {
	return expression{"payload", map[uint16][]byte{1: be(1), 2: be(1), 3: be(16), 4: be(4)}}
}

func among(set string) expression {
	return expression{"lookup", map[uint16][]byte{1: append([]byte(set), 0), 2: be(1)}}
}

// TestFilters: chains decide as the kernel has them decide, and what cannot be known is not called
// sure.
func TestFilters(t *testing.T) {
	t.Parallel()
	dst := netip.MustParseAddr("10.0.11.5")
	device := append([]byte("wg0"), make([]byte, 13)...)
	state := []expression{
		{"ct", map[uint16][]byte{1: be(1), 2: be(0)}},
		{"bitwise", map[uint16][]byte{1: be(1), 2: be(1), 3: be(4), 4: nested(1, []byte{6, 0, 0, 0}), 5: nested(1, make([]byte, 4))}},
		{"cmp", map[uint16][]byte{1: be(1), 2: be(1), 3: nested(1, make([]byte, 4))}},
	}
	answers := append(state, decide(codeAccept, ""))
	for _, test := range []struct {
		name       string
		drop       bool // the policy
		rules      [][]expression
		drops, may bool
	}{
		{"nothing", false, nil, false, false},
		{"policy", true, nil, true, false},
		{"answers only", true, [][]expression{answers}, true, false},
		{"accept before the policy", true, [][]expression{{meta(6), is(device), decide(codeAccept, "")}}, false, false},
		{"another device", true, [][]expression{{meta(7), is(device), decide(codeAccept, "")}}, true, false},
		{"the destination", false, [][]expression{{destination(), is(dst.AsSlice()), decide(codeDrop, "")}}, true, false},
		{"another destination", false, [][]expression{{destination(), is([]byte{10, 0, 11, 6}), decide(codeDrop, "")}}, false, false},
		{"in a set of intervals", false, [][]expression{{destination(), among("these"), decide(codeDrop, "")}}, true, false},
		{"reject", false, [][]expression{{{"counter", nil}, {"reject", nil}}}, true, false},
		{"iptables' reject", false, [][]expression{{{"target", map[uint16][]byte{1: []byte("REJECT\x00")}}}}, true, false},
		{"a jump that drops", false, [][]expression{{decide(codeJump, "sub")}}, true, false},
		{"a return before", true, [][]expression{{decide(codeReturn, "")}, {decide(codeAccept, "")}}, true, false},
		{"an unknown match", false, [][]expression{{{"match", map[uint16][]byte{1: []byte("set\x00")}}, decide(codeDrop, "")}}, false, true},
		{"an unknown accept", true, [][]expression{{{"match", map[uint16][]byte{1: []byte("set\x00")}}, decide(codeAccept, "")}}, false, true},
	} {
		base := &Chain{Family: INet, Table: "t", Name: "c", Type: "filter", Hook: Forwarding, Drop: test.drop}
		for _, exprs := range test.rules {
			base.Rules = append(base.Rules, rule{exprs: exprs})
		}
		sub := &Chain{Family: INet, Table: "t", Name: "sub", Rules: []rule{{exprs: []expression{decide(codeDrop, "")}}}}
		r := &Rules{Endian: binary.LittleEndian, Chains: []*Chain{base, sub}, Sets: []*Set{{
			Family: INet, Table: "t", Name: "these", intervals: true, Read: true,
			elements: []element{{key: []byte{10, 0, 11, 0}}, {key: []byte{10, 0, 12, 0}, end: true}},
		}}}
		f := Flow{Src: netip.MustParseAddr("10.0.10.5"), Dst: dst, Proto: protoICMP, In: Device{3, "wg0"}, Out: Device{4, "app0"}}
		if o := r.Pass(Forwarding, f); o.Drops != test.drops || o.May != test.may {
			t.Errorf("%s: want drops %v, may %v; have %v, %v", test.name, test.drops, test.may, o.Drops, o.May)
		}
	}
}
