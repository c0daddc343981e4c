//go:build linux

package nft

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/seed"
	"github.com/flocknet/flock/internal/spec"
)

// TestRangesHoldTheSameAddresses compares ranges of random prefixes with the prefixes.
func TestRangesHoldTheSameAddresses(t *testing.T) {
	r := seed.New(t)
	for range 500 {
		var list []netip.Prefix
		for range 1 + r.IntN(12) {
			list = append(list, netip.PrefixFrom(netip.AddrFrom4([4]byte{255, 255, 255, byte(r.UintN(256))}), 24+r.IntN(9)).Masked())
		}
		found := ranges(list)
		for i := 1; i < len(found); i++ {
			if !found[i-1].last.Next().Less(found[i].first) {
				t.Fatalf("%v: %v touch or overlap", list, found)
			}
		}
		for i := range 256 {
			a := netip.AddrFrom4([4]byte{255, 255, 255, byte(i)})
			in := slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(a) })
			if have := slices.ContainsFunc(found, func(r addrRange) bool { return !a.Less(r.first) && !r.last.Less(a) }); in != have {
				t.Fatalf("%v: %s in it: want %v, have %v of %v", list, a, in, have, found)
			}
		}
	}
}

// manyKeeps is a member with two subnets of each family that keep their sources towards n
// others.
func manyKeeps(n int) *spec.Host {
	want := &spec.Host{Cluster: "c1"}
	for _, six := range []bool{false, true} {
		var to []netip.Prefix
		for i := range n {
			p := fmt.Sprintf("10.%d.%d.0/25", 64+i/256, i%256)
			if six {
				p = fmt.Sprintf("fd80:%x::/48", 2*i)
			}
			to = append(to, netip.MustParsePrefix(p))
		}
		for _, own := range map[bool][]string{false: {"10.0.4.0/24", "10.0.5.0/24"}, true: {"fd00:4::/64", "fd00:5::/64"}}[six] {
			want.Keeps = append(want.Keeps, spec.PreserveSource{Network: "n1", Subnet: netip.MustParsePrefix(own), To: to})
		}
	}
	return want
}

// TestRulesDoNotGrowWithDestinations: a rule per subnet and a set per family, however many
// others there are.
func TestRulesDoNotGrowWithDestinations(t *testing.T) {
	h := newHost(t)
	for _, n := range []int{2, 3000, 40} {
		want := manyKeeps(n)
		if d := differs(h, want); strings.Count(d, "\n") != 4 {
			t.Fatalf("%d: seen as %q", n, d)
		}
		put(h, want)
		list := h.Sh("nft list table inet flock-c1")
		if rules, sets := strings.Count(list, "comment"), strings.Count(list, "set to-"); rules != 4 || sets != 2 {
			t.Errorf("%d destinations: %d rules, %d sets", n, rules, sets)
		}
		if !strings.Contains(list, "10.64.1.0/25") || !strings.Contains(list, "fd80:2::/48") {
			t.Errorf("nft shows no prefixes:\n%.500s", list)
		}
	}
	put(h, &spec.Host{Cluster: "c1"})
	if have := h.Ruleset(); strings.Contains(have, "flock") {
		t.Errorf("left: %s", have)
	}
}

// TestDamagedSetsAreSeenAndMended, and cost no more than who looks things up in them.
func TestDamagedSetsAreSeenAndMended(t *testing.T) {
	h, want := newHost(t), manyKeeps(5)
	want.Keeps = append(want.Keeps, spec.PreserveSource{Network: "n2", Subnet: netip.MustParsePrefix("10.0.9.0/24"), To: []netip.Prefix{netip.MustParsePrefix("10.9.0.0/16")}})
	put(h, want)
	clean := h.Ruleset()
	set := regexp.MustCompile(`set (to-[0-9a-f]+) \{\s+type ipv4_addr`).FindStringSubmatch(clean)
	if set == nil {
		t.Fatalf("no set of IPv4 addresses in\n%s", clean)
	}
	for _, damage := range []string{
		"delete element inet flock-c1 % { 10.64.2.0/25 }",
		"add element inet flock-c1 % { 172.16.0.0/12 }",
		"add element inet flock-c1 % { 10.64.2.128/25 }",
		"flush set inet flock-c1 %",
	} {
		h.Sh("nft '" + strings.ReplaceAll(damage, "%", set[1]) + "'")
		if d := differs(h, want); strings.Count(d, "\n") != 2 || strings.Count(d, "+ keep 10.0.4.0/24")+strings.Count(d, "+ keep 10.0.5.0/24") != 2 {
			t.Errorf("%s: seen as %q", damage, d)
		}
		put(h, want)
		if have := h.Ruleset(); sortedLines(have) != sortedLines(clean) {
			t.Fatalf("%s: healed to\n%s\nwant\n%s", damage, have, clean)
		}
	}
}
