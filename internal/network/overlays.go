package network

import (
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// An overlay is a device of one of our own networks with addresses on a server: members of
// other networks, and BGP sessions, may use these.
type overlay struct {
	network, dev string
	addrs        []netip.Addr
	within       []netip.Prefix
}

func (o *overlay) otherThan(a netip.Addr) netip.Addr {
	for _, other := range o.addrs {
		if other.Is6() != a.Is6() {
			return other
		}
	}
	return netip.Addr{}
}

// overlayOf finds what of ours gives address a to a server: a network, or its own
// bridge, which is called subnetNetwork; nil if nothing does.
func overlayOf(c *state.Cluster, server string, a netip.Addr) *overlay {
	s := c.Servers[server]
	if s == nil || !a.IsValid() {
		return nil
	}
	if s.Subnet.IsValid() && s.Subnet.Addr() == a {
		return &overlay{SubnetNetwork, subnetBridge, []netip.Addr{a}, []netip.Prefix{s.Subnet.Masked()}}
	}
	for _, name := range c.NetworkNames() {
		n := c.Networks[name]
		if n.Allocated[server] == nil {
			continue
		}
		for _, o := range overlaysOf(name, n, server) {
			if slices.Contains(o.addrs, a) {
				return &o
			}
		}
	}
	return nil
}

// overlaysOf are the devices with addresses that a network gives a member.
func overlaysOf(name string, n *state.Network, server string) []overlay {
	if of := meaning(n).overlays; of != nil {
		return of(name, n, server)
	}
	return nil
}

// segmentOverlays are the bridge of a layer 2 network, with the addresses that it has on a
// server, and the device of the mesh below it.
func segmentOverlays(name string, n *state.Network, server string) []overlay {
	if n.Bridge == "" { // not completed yet
		return nil
	}
	dealt := n.Allocated[server]
	out := []overlay{{name, n.Bridge, dealt.Addrs, n.Subnets}, {name, n.Bridge, gateways(n), n.Subnets}}
	if DHCPServer(n) == server {
		names := make([]netip.Addr, len(n.Subnets))
		for i, p := range n.Subnets {
			names[i] = nameServerOf(p)
		}
		out = append(out, overlay{name, n.Bridge, names, n.Subnets})
	}
	if dealt.Mesh.IsValid() {
		out = append(out, overlay{name, meshDevice(name), []netip.Addr{dealt.Mesh}, []netip.Prefix{n.Mesh}})
	}
	return out
}

// poolOverlays are the bridge of a pool network, with the gateways of the member's
// subnets, and the device between members, with their first addresses.
func poolOverlays(name string, n *state.Network, server string) []overlay {
	dealt := n.Allocated[server]
	var gateways, first []netip.Addr
	for _, own := range dealt.Subnets {
		gateways, first = append(gateways, gatewayOf(own)), append(first, own.Addr())
	}
	var out []overlay
	if n.Bridge != "" {
		out = append(out, overlay{name, n.Bridge, gateways, dealt.Subnets})
	}
	if device := poolDevice(name, n); device != "" {
		out = append(out, overlay{name, device, first, dealt.Subnets})
	}
	return out
}

// devicesOf are the devices that a network makes on its members.
func devicesOf(name string, n *state.Network) []string {
	var out []string
	if n.Bridge != "" {
		out = append(out, n.Bridge, spec.IfName(n.Bridge, "vx"))
	}
	if device := meaning(n).device; device != nil && device(name, n) != "" {
		out = append(out, device(name, n))
	}
	return out
}
