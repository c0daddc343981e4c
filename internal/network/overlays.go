package network

import (
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/mesh"
	"github.com/flocknet/flock/internal/segment"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// overlayOf finds what of ours gives address a to a server: a network, or its own
// bridge, which is called subnetNetwork; nil if nothing does.
func overlayOf(c *state.Cluster, server string, a netip.Addr) *ground.Overlay {
	s := c.Servers[server]
	if s == nil || !a.IsValid() {
		return nil
	}
	if own := segment.OwnBridge(s); own.IsValid() && own.Addr() == a {
		return &ground.Overlay{Network: segment.SubnetNetwork, Dev: segment.SubnetBridge, Addrs: []netip.Addr{a}, Within: []netip.Prefix{s.Subnet.Masked()}}
	}
	for _, name := range c.NetworkNames() {
		n := c.Networks[name]
		if n.Allocated[server] == nil {
			continue
		}
		for _, o := range overlaysOf(name, n, server) {
			if slices.Contains(o.Addrs, a) {
				return &o
			}
		}
	}
	return nil
}

// overlaysOf are the devices with addresses that a network gives a member.
func overlaysOf(name string, n *state.Network, server string) []ground.Overlay {
	if of := meaning(n).overlays; of != nil {
		return of(name, n, server)
	}
	return nil
}

// segmentOverlays are the bridge of a layer 2 network, with the addresses that it has on a
// server, and the device of the mesh below it.
func segmentOverlays(name string, n *state.Network, server string) []ground.Overlay {
	if n.Bridge == "" { // not completed yet
		return nil
	}
	dealt := n.Allocated[server]
	out := []ground.Overlay{
		{Network: name, Dev: n.Bridge, Addrs: dealt.Addrs, Within: n.Subnets}, {Network: name, Dev: n.Bridge, Addrs: segment.Gateways(n), Within: n.Subnets},
	}
	if ground.DHCPServer(n) == server {
		names := make([]netip.Addr, len(n.Subnets))
		for i, p := range n.Subnets {
			names[i] = segment.NameServerOf(p)
		}
		out = append(out, ground.Overlay{Network: name, Dev: n.Bridge, Addrs: names, Within: n.Subnets})
	}
	if dealt.Mesh.IsValid() {
		out = append(out, ground.Overlay{Network: name, Dev: mesh.Device(name), Addrs: []netip.Addr{dealt.Mesh}, Within: []netip.Prefix{n.Mesh}})
	}
	return out
}

// poolOverlays are the bridge of a pool network, with the gateways of the member's
// subnets, and the device between members, with their first addresses.
func poolOverlays(name string, n *state.Network, server string) []ground.Overlay {
	dealt := n.Allocated[server]
	var gateways, first []netip.Addr
	for _, own := range dealt.Subnets {
		gateways, first = append(gateways, segment.GatewayOf(own)), append(first, own.Addr())
	}
	var out []ground.Overlay
	if n.Bridge != "" {
		out = append(out, ground.Overlay{Network: name, Dev: n.Bridge, Addrs: gateways, Within: dealt.Subnets})
	}
	if device := poolDevice(name, n); device != "" {
		out = append(out, ground.Overlay{Network: name, Dev: device, Addrs: first, Within: dealt.Subnets})
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
