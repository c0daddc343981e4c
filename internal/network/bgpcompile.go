package network

import (
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/mesh"
	"github.com/flocknet/flock/internal/peering"
	"github.com/flocknet/flock/internal/prefix"
	"github.com/flocknet/flock/internal/state"
)

func compileBGP(b *builder, name string, n *state.Network) error {
	places, err := b.underlays(name, n)
	if err != nil {
		return err
	}
	speakers, err := b.speakers(name, n, places)
	if err != nil {
		return err
	}
	peering.ApartNotes(b.Builder, name, n, speakers)
	peering.ExternalNotes(b.Builder, name, n, speakers)
	if len(n.Members) > peering.MeshMost && n.Mode == state.Mesh {
		b.Note(name, "%d members in a full mesh are %d sessions: flock addbgp %s reflector SERVER1 SERVER2", len(n.Members), len(n.Members)*(len(n.Members)-1)/2, name)
	}
	if n.Mode == state.Reflector && len(n.Reflectors) < peering.FewReflectors && len(n.Members) > 2 {
		b.Note(name, "all routes depend on one reflector, %s: flock addbgp %s reflector SERVER", n.Reflectors[0], name)
	}
	if n.Before != nil {
		b.Note(name, Settling)
	}
	g := &peering.Group{Network: name, All: speakers, Anycast: n.Anycast, V6: map[bool]bool{}, Reach: b.reach(name), At: func(a netip.Addr) string { return memberAt(b.Cluster, name, a) }}
	for _, s := range speakers {
		for _, p := range s.Shares {
			g.V6[p.Addr().Is6()] = true
		}
	}
	for _, s := range speakers {
		if err := peering.Add(b.Builder, g, n, s); err != nil {
			return err
		}
	}
	return nil
}

// speakers are the members that have a place.
func (b *builder) speakers(name string, n *state.Network, places []ground.Underlay) ([]*peering.Speaker, error) {
	shares, err := ground.SharesOf(n)
	if err != nil {
		return nil, err
	}
	var out []*peering.Speaker
	var ends []*mesh.End
	for _, u := range places {
		s := &peering.Speaker{Underlay: u, Shares: shares[u.Server]}
		if at := overlayOf(b.Cluster, u.Server, u.Addr); at != nil {
			s.Over, s.Within = at.Network, at.Within
			s.Other = at.OtherThan(u.Addr)
		} else {
			s.Within = b.Connected(u.Server, u.Dev)
			if o, err := ground.FindPlace(nil, b.Cluster.Servers[u.Server], state.Member{Server: u.Server, Interface: u.Dev}, !u.Addr.Is6()); err == nil {
				s.Other = o.Addr
			}
			if b.Cluster.Servers[u.Server].NAT {
				b.Problem(u.Server, name, hint.Errorf("server "+u.Server, "flock addbgp "+name+" peer "+u.Server+":OVERLAYIP, its address in a wireguard network",
					"%s is behind NAT: nobody can route to it", u.Server))
				continue
			}
		}
		out = append(out, s)
		ends = append(ends, &mesh.End{Underlay: u, Shares: s.Shares})
	}
	b.shareProblems(name, ends)
	return out, nil
}

// reach is where packets of shared subnets keep their source: all that is shared
// in the network and those it is joined with, and what its routers are known to
// announce. Neighbouring prefixes become one.
func (b *builder) reach(name string) []netip.Prefix {
	var out []netip.Prefix
	for _, other := range joined(b.Cluster, name) {
		n := b.Cluster.Networks[other]
		out = append(out, peering.SharedSubnets(n)...)
		for _, e := range n.Externals {
			for _, text := range e.Accept {
				if r, err := peering.ParseRule(text); err == nil && r.Prefix.Bits() > 0 {
					out = append(out, r.Prefix)
				}
			}
		}
	}
	return prefix.Aggregate(out)
}

// joined are the BGP networks that a network exchanges routes with: itself, those whose
// members are externals of its members, and so on.
func joined(c *state.Cluster, name string) []string {
	out := []string{name}
	for i := 0; i < len(out); i++ {
		for _, e := range c.Networks[out[i]].Externals {
			for _, other := range c.NetworkNames() {
				if meaning(c.Networks[other]).BGP && !slices.Contains(out, other) && memberAt(c, other, e.Address) != "" {
					out = append(out, other)
				}
			}
		}
	}
	return out
}

// memberAt is the member of a network that has the address, in the underlay or an
// overlay; "" for none.
func memberAt(c *state.Cluster, name string, a netip.Addr) string {
	for _, m := range c.Networks[name].Members {
		server := ground.ServerOf(m)
		if overlayOf(c, server, a) != nil {
			return server
		}
		if f := c.Servers[server].Facts; f != nil {
			for _, i := range f.Interfaces {
				if slices.ContainsFunc(i.Addrs, func(p netip.Prefix) bool { return p.Addr() == a }) {
					return server
				}
			}
		}
	}
	return ""
}
