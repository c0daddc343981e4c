package segment

import (
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/prefix"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// Guards keep what is plugged into a bridge from passing for a server. The guards of all
// members are alike, and a server that joins does not change them as a rule: their
// packet filters stay as they are.

// MembersGuard is what the guards of a network's members have in common.
func MembersGuard(b *ground.Builder, name string, n *state.Network, uplink string) spec.Guard {
	g := spec.Guard{
		Uplink: uplink, ServerMACs: ground.MAC(ground.RoleBridge, b.Cluster.Name, ground.BornNetwork(b.Cluster, name), 0), ServerMask: ground.RouterMask, DHCP: n.DHCP != state.DHCPOff,
	}
	for i, p := range n.Subnets {
		g.Servers = append(g.Servers, serversOf(n, i)...)
		if n.DHCP == state.DHCPSingle {
			at := NameServerOf(p)
			g.Servers = append(g.Servers, netip.PrefixFrom(at, at.BitLen()))
		}
	}
	return g
}

// serversOf are the addresses of a network's subnet that no container answers for: those
// that servers have, and as many more as are next. Nothing of it is handed out.
func serversOf(n *state.Network, subnet int) []netip.Prefix {
	p := n.Subnets[subnet]
	bits, widest := serversBits(n, p)
	top := prefix.Top(p)
	if slaac(p) {
		top = GatewayOf(p)
	}
	var own []netip.Addr
	for _, a := range n.Allocated {
		own = append(own, a.Addrs[subnet])
	}
	outside := func(a netip.Addr) bool { return !netip.PrefixFrom(top, bits).Masked().Contains(a) }
	for bits > widest && slices.ContainsFunc(own, outside) {
		bits--
	}
	out := []netip.Prefix{netip.PrefixFrom(top, bits).Masked()}
	for _, a := range own {
		if outside(a) {
			out = append(out, netip.PrefixFrom(a, a.BitLen()))
		}
	}
	return prefix.Aggregate(out)
}

// serversBits is the prefix length of the block in p that is kept for servers, and that of
// the widest that may be kept: with distributed DHCP the block beside is dealt.
func serversBits(n *state.Network, p netip.Prefix) (bits, widest int) {
	switch {
	case p.Addr().Is6():
		bits = max(min(p.Bits()+4, 128), 120) // clients choose the rest themselves
		return bits, max(p.Bits()+2, min(bits, 112))
	case n.DHCP == state.DHCPDistributed:
		bits = max(poolBits(p), min(p.Bits()+1, 32))
		return bits, bits
	}
	return min(p.Bits()+4, 32), p.Bits() + 2
}

// guarded is the guard before the bridge's ports.
func (s Segment) guarded() spec.Guard {
	g := s.Guard
	g.Network, g.Bridge, g.Servers = s.Network, s.Bridge, slices.Clone(g.Servers) // shared by members
	if g.ServerMACs == "" {
		g.ServerMACs, g.ServerMask = s.MAC, ground.WholeMask
	}
	for _, p := range s.Subnets {
		g.Subnets = append(g.Subnets, p.Masked())
	}
	for _, gw := range s.Gateways {
		g.Servers = append(g.Servers, netip.PrefixFrom(gw, gw.BitLen()))
	}
	slices.SortFunc(g.Servers, netip.Prefix.Compare)
	g.Servers = slices.Compact(g.Servers)
	return g
}

// ClosePorts tells h's guards which ports are tunnels' ends, or where the servers of a
// network agree whose names are.
func ClosePorts(h *spec.Host) {
	var ports []uint16
	for _, l := range h.Links {
		if l.Tunnel != nil && l.Tunnel.Port != 0 {
			ports = append(ports, l.Tunnel.Port)
		}
	}
	if slices.ContainsFunc(h.DHCPs, func(d spec.DHCP) bool { return len(d.Peers) > 0 }) {
		ports = append(ports, spec.ClaimsPort)
	}
	if slices.ContainsFunc(h.DHCPs, func(d spec.DHCP) bool { return d.Zone != nil }) {
		ports = append(ports, spec.NamesPort)
	}
	slices.Sort(ports)
	ports = slices.Compact(ports)
	for i := range h.Guards {
		h.Guards[i].Closed = ports
	}
}
