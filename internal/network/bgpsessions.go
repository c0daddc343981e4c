package network

import (
	"net/netip"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/mesh"
	"github.com/flocknet/flock/internal/peering"
	"github.com/flocknet/flock/internal/state"
)

// routedOver finds what BGP networks route over the network called mesh. WireGuard gives
// an address to one peer only: what a member shares goes to that member, and what is
// behind several members goes to the first of them.
func (b *builder) routedOver(of string) (mesh.RoutedBy, error) {
	out, taken := mesh.RoutedBy{}, map[string]map[netip.Prefix]bool{}
	add := func(at, to string, list []netip.Prefix) {
		if taken[at] == nil {
			taken[at] = map[netip.Prefix]bool{}
		}
		for _, p := range list {
			if !taken[at][p] {
				taken[at][p] = true
				out[[2]string{at, to}] = append(out[[2]string{at, to}], p)
			}
		}
	}
	in := func(server string, a netip.Addr) bool {
		o := overlayOf(b.Cluster, server, a)
		return o != nil && o.Network == of
	}
	for _, name := range b.Cluster.NetworkNames() {
		n := b.Cluster.Networks[name]
		if !meaning(n).BGP {
			continue
		}
		shares, err := ground.SharesOf(n)
		if err != nil {
			return nil, err
		}
		var on []string
		for _, text := range n.Members {
			if m, err := state.ParseMember(text); err == nil && m.Addr.IsValid() && in(m.Server, m.Addr) {
				on = append(on, m.Server)
			}
		}
		for _, at := range on {
			for _, to := range on {
				if at != to {
					add(at, to, shares[to])
					add(at, to, peering.Accepted(n, to))
				}
			}
		}
	}
	b.routedByJoined(of, in, add)
	return out, nil
}

// routedByJoined adds what sessions between two BGP networks bring.
func (b *builder) routedByJoined(of string, in func(string, netip.Addr) bool, add func(at, to string, list []netip.Prefix)) {
	for _, name := range b.Cluster.NetworkNames() {
		n := b.Cluster.Networks[name]
		for _, e := range n.Externals {
			for _, to := range b.Cluster.ServerNames() {
				if to == e.Server || !in(to, e.Address) || b.Cluster.Networks[of].Allocated[e.Server] == nil {
					continue
				}
				for _, other := range ground.Networks(b.Cluster, to) {
					if other != name && meaning(b.Cluster.Networks[other]).BGP {
						add(e.Server, to, peering.SharedSubnets(b.Cluster.Networks[other]))
					}
				}
				add(to, e.Server, peering.SharedSubnets(n))
			}
		}
	}
}
