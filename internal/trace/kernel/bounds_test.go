package kernel

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"runtime"
	"testing"
)

// TestChains: chains that lead to each other 20^16 times are given up, and nothing is called sure
// then.
func TestChains(t *testing.T) {
	t.Parallel()
	name := func(i int) string { return fmt.Sprintf("c%d", i) }
	r := &Rules{Endian: binary.LittleEndian}
	for i := range mostDepth + 1 {
		c := &Chain{Family: INet, Table: "t", Name: name(i)}
		if i == 0 {
			c.Type, c.Hook = "filter", Forwarding
		}
		for range 20 {
			c.Rules = append(c.Rules, rule{cost: 1000, exprs: []expression{decide(codeJump, name(i+1))}})
		}
		r.Chains = append(r.Chains, c)
	}
	f := Flow{Src: netip.MustParseAddr("10.0.10.5"), Dst: netip.MustParseAddr("10.0.11.5"), Proto: protoICMP}
	if o := r.Pass(Forwarding, f); o.Drops || !o.May {
		t.Errorf("have drops %v, may %v", o.Drops, o.May)
	}
	// One that leads to itself is no better.
	own := &Chain{Family: INet, Table: "t", Name: "own", Type: "filter", Hook: Forwarding, Drop: true, Rules: []rule{{exprs: []expression{decide(codeJump, "own")}}}}
	r = &Rules{Endian: binary.LittleEndian, Chains: []*Chain{own}}
	if o := r.Pass(Forwarding, f); o.Drops || !o.May {
		t.Errorf("a circle: have drops %v, may %v", o.Drops, o.May)
	}
}

// TestLengths: a length in a message makes nobody take as much memory.
func TestLengths(t *testing.T) { //nolint:paralleltest // it counts what is taken
	e := &evaluation{rules: &Rules{Endian: binary.LittleEndian}, flow: Flow{Dst: netip.MustParseAddr("10.0.11.5")}}
	const huge = 0xfffffff0
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, x := range []expression{
		{"payload", map[uint16][]byte{1: be(1), 2: be(1), 3: be(0), 4: be(huge)}},
		{"bitwise", map[uint16][]byte{1: be(1), 2: be(1), 3: be(huge)}},
	} {
		if !e.loads(x) || e.known[byteOf(be(1))] {
			t.Errorf("%s: it is known", x.name)
		}
	}
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 1<<24 {
		t.Errorf("%d bytes were taken", took)
	}
}

// TestUnknown: of what carries a packet, of marks and of what is not tracked nothing is assumed.
func TestUnknown(t *testing.T) {
	t.Parallel()
	accepts := []expression{
		{"ct", map[uint16][]byte{1: be(1), 2: be(0)}},
		{"bitwise", map[uint16][]byte{1: be(1), 2: be(1), 3: be(4), 4: nested(1, []byte{6, 0, 0, 0}), 5: nested(1, make([]byte, 4))}},
		{"cmp", map[uint16][]byte{1: be(1), 2: be(1), 3: nested(1, make([]byte, 4))}},
		decide(codeAccept, ""),
	}
	marked := []expression{meta(3), is([]byte{7, 0, 0, 0}), decide(codeAccept, "")}
	for _, test := range []struct {
		name    string
		rule    []expression
		more    []expression
		carries bool
		drops   bool
	}{
		{"a new connection", accepts, nil, false, true},
		{"of a tunnel", accepts, nil, true, false},
		{"not tracked", accepts, []expression{{"notrack", nil}}, false, false},
		{"not tracked by iptables", accepts, []expression{{"target", map[uint16][]byte{1: []byte("CT\x00")}}}, false, false},
		{"no mark", marked, nil, false, true},
		{"mark of a tunnel", marked, nil, true, false},
		{"marked", marked, []expression{{"meta", map[uint16][]byte{2: be(3), 3: be(1)}}}, false, false},
		{"marked by iptables", marked, []expression{{"target", map[uint16][]byte{1: []byte("MARK\x00")}}}, false, false},
	} {
		c := &Chain{Family: INet, Table: "t", Name: "c", Type: "filter", Hook: Output, Drop: true}
		first := &Chain{Family: INet, Table: "t", Name: "first", Type: "filter", Hook: Prerouting}
		r := &Rules{Endian: binary.LittleEndian, Chains: []*Chain{first, c}}
		r.add(c, rule{exprs: test.rule})
		r.add(first, rule{exprs: test.more})
		f := Flow{Dst: netip.MustParseAddr("10.99.0.3"), Proto: 17, Port: 4789, Carries: test.carries}
		if o := r.Pass(Output, f); o.Drops != test.drops || !o.Drops && !o.May {
			t.Errorf("%s: have drops %v, may %v", test.name, o.Drops, o.May)
		}
	}
}
