package edit

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/option"
	"github.com/flocknet/flock/internal/prefix"
	"github.com/flocknet/flock/internal/segment"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

func distributed(t *testing.T, subnet string, servers int) (*state.Cluster, *state.Network) {
	t.Helper()
	c := cluster(t, servers)
	if err := done(c, Create(c, "vx1", network.VXLAN, option.Options{"dhcp": state.DHCPDistributed, "subnet": prefixes(subnet)})); err != nil {
		t.Fatal(err)
	}
	return c, c.Networks["vx1"]
}

// Whoever joins gets enough, and what was dealt stays.
func TestDistributedDHCPDealsEnough(t *testing.T) {
	for _, test := range []struct {
		subnet string
		joins  [][]int // who join together
		least  int     // addresses of each of the first three
	}{
		{"10.0.4.0/24", [][]int{{1}, {2}, {3}, {4}, {5}}, 64},
		{"10.0.4.0/24", [][]int{{1, 2, 3}, {4}, {5}}, 64},
		{"10.0.4.0/24", [][]int{{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14}}, 16},
		{"10.0.4.0/25", [][]int{{1}, {2}, {3}}, 16},
		{"10.0.0.0/16", [][]int{{1}, {2}, {3}, {4}, {5}, {6}}, 3328},
	} {
		c, n := distributed(t, test.subnet, 14)
		for _, join := range test.joins {
			before := map[string][]netip.Prefix{}
			for server, a := range n.Allocated {
				before[server] = slices.Clone(a.Pool)
			}
			var members []string
			for _, i := range join {
				members = append(members, fmt.Sprint("s", i))
			}
			if err := done(c, Join(c, "vx1", members)); err != nil {
				t.Fatalf("%s: %v", test.subnet, err)
			}
			n = c.Networks["vx1"]
			for server, pool := range before {
				if !slices.Equal(n.Allocated[server].Pool, pool) {
					t.Errorf("%s: what %s had was %v, now %v", test.subnet, server, pool, n.Allocated[server].Pool)
				}
			}
		}
		for _, server := range []string{"s1", "s2", "s3"} {
			if have := addressesIn(n.Allocated[server].Pool); have < test.least {
				t.Errorf("%s: %s hands out %d addresses, want %d", test.subnet, server, have, test.least)
			}
		}
		checkPools(t, n)
	}
}

// checkPools demands that blocks are apart, and apart from the servers' addresses.
func checkPools(t *testing.T, n *state.Network) {
	t.Helper()
	owner := map[netip.Prefix]string{}
	for server, a := range n.Allocated {
		for _, p := range a.Pool {
			if owner[p] != "" {
				t.Errorf("%s belongs to %s and %s", p, owner[p], server)
			}
			owner[p] = server
			for other, b := range n.Allocated {
				if p.Contains(b.Addrs[0]) || p.Contains(n.Subnets[0].Addr().Next()) {
					t.Errorf("%s of %s has the address of %s or of the gateway", p, server, other)
				}
			}
		}
	}
}

// Who runs full is dealt more until nothing is left; then the file says so.
func TestDistributedDHCPGrows(t *testing.T) {
	c, _ := distributed(t, "10.0.4.0/24", 3)
	if err := done(c, Join(c, "vx1", []string{"s1", "s2", "s3"})); err != nil {
		t.Fatal(err)
	}
	n := c.Networks["vx1"]
	a := n.Allocated["s1"]
	for _, use := range []spec.PoolUse{{Network: "vx1", Used: 50, Size: 64}, {Network: "vx1", Used: 16, Size: 16}, {Network: "gone", Used: 64, Size: 64}} {
		if segment.Leased(c, "s1", use) || addressesIn(a.Pool) != 64 {
			t.Errorf("%v: was dealt more", use)
		}
	}
	if !segment.Leased(c, "s1", spec.PoolUse{Network: "vx1", Used: 57, Size: 64}) || addressesIn(a.Pool) != 80 {
		t.Errorf("57 of 64: has %v", a.Pool)
	}
	if segment.Leased(c, "s1", spec.PoolUse{Network: "vx1", Used: 64, Size: 64}) || a.Full {
		t.Error("what is not applied yet is dealt once more, or is called full")
	}
	if !segment.Leased(c, "s1", spec.PoolUse{Network: "vx1", Used: 80, Size: 80}) || segment.MoreToDeal(n) {
		t.Errorf("80 of 80: has %v", a.Pool)
	}
	checkPools(t, n)
	if segment.Leased(c, "s1", spec.PoolUse{Network: "vx1", Used: 96, Size: 96}) || !a.Full {
		t.Errorf("nothing is left: %v, full: %v", a.Pool, a.Full)
	}
	out, err := network.Compile(c)
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Notes) != 1 || !strings.Contains(out.Notes[0].Text, "s1 hands out") {
		t.Errorf("notes: %v", out.Notes)
	}
	want := "10.0.4.16-10.0.4.79 10.0.4.208-10.0.4.239"
	var have []string
	for _, r := range out.Hosts["s1"].DHCPs[0].Ranges {
		have = append(have, r.First.String()+"-"+r.Last.String())
	}
	if strings.Join(have, " ") != want {
		t.Errorf("s1 hands out %q, want %q", have, want)
	}
	segment.Leased(c, "s1", spec.PoolUse{Network: "vx1", Used: 95, Size: 96})
	if a.Full {
		t.Error("full for ever")
	}
	if err := network.Complete(c); err != nil || addressesIn(n.Allocated["s1"].Pool) != 96 {
		t.Errorf("after completion: %v, %v", n.Allocated["s1"].Pool, err)
	}
}

// addressesIn is how many addresses the blocks of a pool have together.
func addressesIn(pool []netip.Prefix) int {
	size := 0
	for _, p := range pool {
		size += 1 << (32 - p.Bits())
	}
	return size
}

// Of an IPv6 subnet that is no /64, no address is handed out by two members, and no server's;
// what a member hands out stays when others come and go. Who would have no part of its own
// cannot join.
func TestDistributedDHCPPartsIPv6(t *testing.T) {
	for _, test := range []struct {
		subnet  string
		members int // as many as can join
		bits    int // of what each hands out
	}{
		{"fd00::/120", 11, 124},
		{"fd00::/118", 40, 124},
		{"fd00::/112", 40, 120},
		{"fd00:0:0:1::/80", 40, 88},
		{"fd00:0:8000::/50", 40, 58},
	} {
		c := cluster(t, 40)
		if err := done(c, Create(c, "vx1", network.VXLAN, option.Options{"dhcp": state.DHCPDistributed, "subnet": prefixes(test.subnet)})); err != nil {
			t.Fatalf("%s: %v", test.subnet, err)
		}
		joined := 0
		for i := range 40 {
			if err := done(c, Join(c, "vx1", []string{fmt.Sprint("s", i+1)})); err != nil {
				if !strings.Contains(err.Error(), "no part left") && !strings.Contains(err.Error(), "no address left") {
					t.Errorf("%s: %v", test.subnet, err)
				}
				delete(c.Networks["vx1"].Allocated, fmt.Sprint("s", i+1))
				c.Networks["vx1"].Members = c.Networks["vx1"].Members[:i]
				break
			}
			joined++
		}
		if joined != test.members {
			t.Errorf("%s: %d members could join, want %d", test.subnet, joined, test.members)
		}
		before := checkParts(t, c, test.bits)
		if joined < 2 {
			continue
		}
		if err := done(c, Leave(c, "vx1", []string{"s1"})); err != nil {
			t.Fatal(err)
		}
		after := checkParts(t, c, test.bits)
		for server, r := range after {
			if r != before[server] {
				t.Errorf("%s: %s hands out %v after s1 left, %v before", test.subnet, server, r, before[server])
			}
		}
	}
}

// checkParts returns what each member hands out of the first subnet, each bits long.
func checkParts(t *testing.T, c *state.Cluster, bits int) map[string]spec.Range {
	t.Helper()
	compiled, err := network.Compile(c)
	if err != nil {
		t.Fatal(err)
	}
	n, out := c.Networks["vx1"], map[string]spec.Range{}
	for server, a := range n.Allocated {
		r := compiled.Hosts[server].DHCPs[0].Ranges[0]
		for _, own := range append(segment.Gateways(n), a.Addrs[0]) {
			if r.First.Compare(own) <= 0 && own.Compare(r.Last) <= 0 {
				t.Errorf("%s hands out %v with %s", server, r, own)
			}
		}
		if part := netip.PrefixFrom(r.First, bits); !n.Subnets[0].Contains(r.First) || part.Masked() != part || prefix.Last(part) != r.Last {
			t.Errorf("%s hands out %v of %s, want a /%d", server, r, n.Subnets[0], bits)
		}
		for other, o := range out {
			if r.First.Compare(o.Last) <= 0 && o.First.Compare(r.Last) <= 0 {
				t.Errorf("%s hands out %v and %s %v", server, r, other, o)
			}
		}
		out[server] = r
	}
	return out
}
