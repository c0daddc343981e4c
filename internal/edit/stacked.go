package edit

import (
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/segment"
	"github.com/flocknet/flock/internal/state"
)

// standing is a part of a network that needs another one to be there: a member named
// by an address or a device that the other gives its server, or a router that is
// reached in the other.
type standing struct {
	network, member string // as written; of a router the member that talks to it
	router          netip.Addr
	in              string // the other network; subnetNetwork: the server's own bridge
}

// stackedIn lists what needs other networks of ours as its underlay, by network and in
// the order of the file.
func stackedIn(c *state.Cluster) []standing {
	var out []standing
	for _, name := range c.NetworkNames() {
		n := c.Networks[name]
		for _, text := range n.Members {
			if in := network.PlaceNetwork(c, name, text); in != "" {
				out = append(out, standing{network: name, member: text, in: in})
			}
		}
		for _, e := range n.Externals {
			if in := routerIn(c, name, e.Server, e.Address); in != "" {
				out = append(out, standing{name, e.Server, e.Address, in})
			}
		}
	}
	return out
}

// routerIn is the network whose subnet a router of server's is on; "": none of ours.
func routerIn(c *state.Cluster, name, server string, router netip.Addr) string {
	s := c.Servers[server]
	if s == nil {
		return ""
	}
	if s.Subnet.IsValid() && s.Subnet.Masked().Contains(router) {
		return segment.SubnetNetwork
	}
	for _, other := range c.NetworkNames() {
		n := c.Networks[other]
		dealt := n.Allocated[server]
		if other == name || dealt == nil || network.KindOf(n).Pooled() && n.Bridge == "" {
			continue
		}
		within := slices.Concat(dealt.Subnets, []netip.Prefix{n.Mesh})
		if !network.KindOf(n).Pooled() {
			within = append(within, n.Subnets...)
		}
		if slices.ContainsFunc(within, func(p netip.Prefix) bool { return p.Contains(router) }) {
			return other
		}
	}
	return ""
}

// stillStacked refuses a cluster in which a network lost the network that was its
// underlay: it could not be compiled any more.
func stillStacked(c *state.Cluster, before []standing) error {
	for _, s := range before {
		if !s.fell(c) {
			continue
		}
		n, server := c.Networks[s.network], ground.ServerOf(s.member)
		where, place := "network "+s.in, s.in
		if s.in == segment.SubnetNetwork {
			where, place = "server "+server+", subnet", ground.OwnSubnet(server)
		}
		if s.router.IsValid() {
			return hint.Errorf(where, "flock delbgp "+s.network+" external "+server+" "+s.router.String(),
				"%s stands in %s: the router %s of %s is reached there", s.network, place, s.router, server)
		}
		next := network.LeaveCommand(c, s.network, server)
		if s.in != segment.SubnetNetwork && c.Networks[s.in] == nil {
			next = network.RemoveCommand(n, s.network)
		}
		return hint.Errorf(where, next, "%s stands in %s: its member %s has its place there", s.network, place, s.member)
	}
	return nil
}

// fell says whether s is still in c, and its underlay is not.
func (s standing) fell(c *state.Cluster) bool {
	n := c.Networks[s.network]
	if n == nil {
		return false
	}
	if s.router.IsValid() {
		return network.ExternalAt(n, s.member, s.router) >= 0 && routerIn(c, s.network, s.member, s.router) == ""
	}
	return slices.Contains(n.Members, s.member) && network.PlaceNetwork(c, s.network, s.member) == ""
}
