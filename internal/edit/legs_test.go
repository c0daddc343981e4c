package edit

import (
	"fmt"
	"testing"

	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/option"
	"github.com/flocknet/flock/internal/verify"
)

// TestLegsAreEveryPairBothWays: of each family that a network gives addresses of, from one
// address that only this member has to another such; of networks of more than 50 members a
// part that has everybody in it, unless all are asked for.
func TestLegsAreEveryPairBothWays(t *testing.T) {
	for _, kind := range []string{network.VXLAN, network.L2, network.WireGuard, network.VXLANL3, network.UDP, network.IPIP, network.HostGW} {
		for _, n := range []int{1, 2, 5, 50, 60} {
			for families, subnets := range map[int][]string{1: nil, 2: {"10.244.0.0/16", "fd00:244::/48"}} {
				if kind == network.UDP || kind == network.IPIP || kind == network.HostGW { // no IPv6, or not on this underlay
					families, subnets = 1, nil
				}
				t.Run(fmt.Sprint(kind, n, subnets), func(t *testing.T) {
					c, options := cluster(t, n), option.Options{}
					if subnets != nil {
						options["subnet"] = prefixes(subnets...)
					}
					if err := done(c, Create(c, "n", kind, options)); err != nil {
						t.Fatal(err)
					}
					members := []string{}
					for i := range n {
						members = append(members, fmt.Sprintf("s%d", i+1))
					}
					join := Join(c, "n", members)
					if kind == network.WireGuard {
						join = JoinLead(c, "n", members[0])
						if join == nil && n > 1 {
							join = JoinClients(c, "n", members[1:])
						}
					}
					if err := done(c, join); err != nil {
						t.Fatal(err)
					}
					compiled := compileOK(t, c)
					for _, all := range []bool{false, true} {
						seen, each := map[string]int{}, map[string]int{}
						for _, w := range first(verify.Legs(c, compiled, "n", all)) {
							seen[w.Echo.From.String()+" "+w.Echo.To.String()]++
							each[w.From]++
							if w.From == w.To || w.Echo.From == w.Echo.To || w.Echo.MTU < 1280 || w.Echo.From.Is6() != w.Echo.To.Is6() {
								t.Errorf("leg %+v", w)
							}
						}
						partners := n - 1
						if n > 50 && !all {
							partners = 32
						}
						if kind == network.HostGW { // it has no device of its own
							partners = 0
						}
						if len(seen) != n*partners*families {
							t.Errorf("all %v: want %d legs, have %d", all, n*partners*families, len(seen))
						}
						for leg, times := range seen {
							if times != 1 {
								t.Errorf("%s: %d times", leg, times)
							}
						}
						for server, legs := range each {
							if legs != partners*families {
								t.Errorf("all %v: %s begins %d legs, want %d", all, server, legs, partners*families)
							}
						}
					}
				})
			}
		}
	}
}

func first[T, U any](a T, _ U) T { return a }
