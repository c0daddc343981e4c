package network

import (
	"net/netip"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/prefix"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// isolate stops containers of isolated networks from reaching h, and through h the other
// members.
func (b *builder) isolate(h *spec.Host) {
	for i := range h.Guards {
		g := &h.Guards[i]
		n := b.Cluster.Networks[g.Network]
		if n == nil || !n.Isolate { // or the server's own bridge
			continue
		}
		from, known := b.apart[g.Network]
		if !known {
			from = b.membersAddrs(n)
			b.apart[g.Network] = from
		}
		g.Isolated = &spec.Isolation{From: from}
		if h.BGP != nil {
			g.Isolated.Open = []uint16{spec.BGPPort}
		}
	}
}

// membersAddrs are the addresses that n's members are known by, but for those in a segment
// of n: what goes there comes in by the members' own bridges. The facts of a server behind NAT
// are left out: other hosts behind other NATs may have the same addresses.
func (b *builder) membersAddrs(n *state.Network) []netip.Prefix {
	var out []netip.Prefix
	add := func(a netip.Addr) {
		for _, p := range n.Subnets {
			if backendOf(n) == nil && p.Contains(a) {
				return
			}
		}
		if a.IsGlobalUnicast() {
			out = append(out, netip.PrefixFrom(a.WithZone(""), a.BitLen()))
		}
	}
	for _, m := range n.Members {
		s, h := b.Cluster.Servers[ground.ServerOf(m)], b.Out.Hosts[ground.ServerOf(m)]
		if s == nil || h == nil {
			continue
		}
		for _, a := range h.Addrs {
			add(a.Prefix.Addr())
		}
		if s.NAT {
			continue
		}
		add(literal(s.Address))
		if s.Facts == nil {
			continue
		}
		for _, i := range s.Facts.Interfaces {
			for _, p := range i.Addrs {
				add(p.Addr())
			}
		}
	}
	return prefix.Aggregate(out)
}

// literal is the address that host is, invalid for a name.
func literal(host string) netip.Addr {
	a, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap()
}
