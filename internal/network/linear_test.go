package network

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/flocknet/flock/internal/prefix"
	"github.com/flocknet/flock/internal/seed"
	"github.com/flocknet/flock/internal/state"
)

// TestOverlappingIsWhatOverlaps, whatever is asked for among prefixes that are apart.
func TestOverlappingIsWhatOverlaps(t *testing.T) {
	rnd := seed.New(t)
	random := func() netip.Prefix {
		if rnd.IntN(4) == 0 {
			return netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfd, byte(rnd.IntN(4)), byte(rnd.IntN(256))}), 8+rnd.IntN(20)).Masked()
		}
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(rnd.IntN(4)), byte(rnd.IntN(256)), 0}), 8+rnd.IntN(17)).Masked()
	}
	for range 500 {
		var list []dealt
		for _, p := range prefix.Aggregate([]netip.Prefix{random(), random(), random(), random(), random(), random()}) {
			list = append(list, dealt{subnet: p})
		}
		for range 20 {
			p := random()
			want := ""
			for _, d := range list {
				if d.subnet.Overlaps(p) {
					want += fmt.Sprint(d.subnet, " ")
				}
			}
			have := ""
			for _, d := range overlapping(list, dealt.prefixed, p) {
				have += fmt.Sprint(d.subnet, " ")
			}
			if have != want {
				t.Fatalf("%s among %v: have %q, want %q", p, list, have, want)
			}
		}
	}
}

// TestSharedTwiceIsFound, as by a look at each pair.
func TestSharedTwiceIsFound(t *testing.T) {
	rnd := seed.New(t)
	c := cluster(t, 4)
	c.Networks = map[string]*state.Network{}
	for i := range 3 {
		n := &state.Network{Type: BGP}
		for s := range 4 {
			if rnd.IntN(3) > 0 || s == i {
				n.Members = append(n.Members, fmt.Sprint("s", s+1))
			}
		}
		c.Networks[fmt.Sprint("n", i)] = n
	}
	g := newGrounds(c)
	for range 3000 {
		var all []share
		for range 1 + rnd.IntN(5) {
			p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(rnd.IntN(8)), 0}), 21+rnd.IntN(4)).Masked()
			all = append(all, share{fmt.Sprint("n", rnd.IntN(3)), fmt.Sprint("s", 1+rnd.IntN(4)), p})
		}
		want := false
		for i, a := range all {
			for _, b := range all[:i] {
				want = want || a.subnet.Overlaps(b.subnet) && !g.apart(a, b)
			}
		}
		if err := g.checkTwice(all); (err != nil) != want {
			t.Fatalf("%v: %v, want an error: %v", all, err, want)
		}
	}
}
