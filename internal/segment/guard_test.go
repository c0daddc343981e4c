package segment

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// Whatever the subnet and the number of members: servers' addresses are guarded, what is
// handed out is not, and most members that join change nobody's guard.
func TestGuardsHoldServersAndNobodyElse(t *testing.T) {
	for _, dhcp := range []string{state.DHCPSingle, state.DHCPDistributed} {
		for _, subnets := range []string{"10.0.4.0/24", "10.0.0.0/20", "10.0.4.0/27", "10.0.0.0/16", "10.0.4.0/24 fd00:4::/64", "fd00:4::/112", "fd00:4::/120"} {
			for _, members := range []int{1, 2, 3, 15, 70} {
				name := fmt.Sprintf("%s %s %d", dhcp, subnets, members)
				n := &state.Network{DHCP: dhcp, Allocated: map[string]*state.Allocation{}}
				for _, p := range strings.Fields(subnets) {
					n.Subnets = append(n.Subnets, netip.MustParsePrefix(p))
				}
				d := newDealer(n)
				for i := range members {
					a, err := d.deal(fmt.Sprint("s", i), 1)
					if err != nil {
						break // the subnet is full
					}
					n.Allocated[fmt.Sprint("s", i)] = a
				}
				checkGuards(t, name, n)
			}
		}
	}
}

func checkGuards(t *testing.T, name string, n *state.Network) {
	t.Helper()
	for i, p := range n.Subnets {
		guarded := serversOf(n, i)
		for server, a := range n.Allocated {
			holds := func(q netip.Prefix) bool { return q.Contains(a.Addrs[i]) }
			if !slices.ContainsFunc(guarded, holds) {
				t.Errorf("%s: %s at %s is not guarded: %v", name, server, a.Addrs[i], guarded)
			}
			d := &spec.DHCP{}
			if n.DHCP == state.DHCPSingle {
				singleDHCP(d, n, server)
			} else {
				distributedDHCP(d, n, server)
			}
			for _, r := range d.Ranges {
				if r.Subnet != p || slaac(p) {
					continue
				}
				for _, q := range guarded {
					if q.Contains(r.First) || q.Contains(r.Last) || r.First.Less(q.Addr()) && q.Addr().Less(r.Last) {
						t.Errorf("%s: %s hands out %s to %s, of which %s is guarded", name, server, r.First, r.Last, q)
					}
				}
			}
		}
	}
}
