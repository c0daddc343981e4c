package network

import (
	"crypto/sha256"
	"fmt"
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/prefix"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// routerID is a member's IPv4 address in the underlay or, without one, an address
// that nobody has, made of its number in the network.
func routerID(cluster, network string, u underlay, a *state.Allocation) netip.Addr {
	if u.addr.Is4() {
		return u.addr
	}
	sum := sha256.Sum256([]byte(cluster + "/" + network))
	return netip.AddrFrom4([4]byte{245, sum[0], byte(a.ID >> 8), byte(a.ID)})
}

// speaker is a member of a BGP network.
type speaker struct {
	underlay
	other  netip.Addr     // its address of the other family on that device; invalid: none
	within []netip.Prefix // what it reaches there without a router
	over   string         // the overlay network whose address it has; "": the underlay
	shares []netip.Prefix
}

func (s *speaker) addrOf(v6 bool) netip.Addr {
	for _, a := range []netip.Addr{s.addr, s.other} {
		if a.IsValid() && a.Is6() == v6 {
			return a
		}
	}
	return netip.Addr{}
}

func compileBGP(b *builder, name string, n *state.Network) error {
	places, err := b.underlays(name, n)
	if err != nil {
		return err
	}
	speakers, err := b.speakers(name, n, places)
	if err != nil {
		return err
	}
	b.apartNotes(name, n, speakers)
	b.externalNotes(name, n, speakers)
	if len(n.Members) > meshMost && n.Mode == state.Mesh {
		b.note(name, "%d members in a full mesh are %d sessions: flock addbgp %s reflector SERVER1 SERVER2", len(n.Members), len(n.Members)*(len(n.Members)-1)/2, name)
	}
	if n.Mode == state.Reflector && len(n.Reflectors) < FewReflectors && len(n.Members) > 2 {
		b.note(name, "all routes hang on one reflector, %s: flock addbgp %s reflector SERVER", n.Reflectors[0], name)
	}
	if n.Before != nil {
		b.note(name, Settling)
	}
	g := &group{network: name, all: speakers, v6: map[bool]bool{}, reach: b.reach(name)}
	for _, s := range speakers {
		for _, p := range s.shares {
			g.v6[p.Addr().Is6()] = true
		}
	}
	for _, s := range speakers {
		if err := b.addSpeaker(g, n, s); err != nil {
			return err
		}
	}
	return nil
}

// group are the speakers of a network, and what is between them.
type group struct {
	network string
	all     []*speaker
	v6      map[bool]bool  // the families of what is shared
	reach   []netip.Prefix // where packets of shared subnets go with their own source
}

// families are the families of sessions, true for IPv6: that of the underlay, and
// the other where it is shared, for a route's next hop is of its own family. But
// sessions over IPv6 carry IPv4 as well (RFC 8950) where not all members have that.
func (g *group) families() []bool {
	base := g.all[0].addr.Is6()
	has4 := func(s *speaker) bool { return s.addrOf(false).IsValid() }
	if !g.v6[!base] || base && slices.ContainsFunc(g.all, func(s *speaker) bool { return !has4(s) }) {
		return []bool{base}
	}
	return []bool{base, !base}
}

func (b *builder) note(network, format string, args ...any) {
	b.out.Notes = append(b.out.Notes, Note{Network: network, Text: fmt.Sprintf(format, args...)})
}

// speakers are the members that have a place.
func (b *builder) speakers(name string, n *state.Network, places []underlay) ([]*speaker, error) {
	shares, err := sharesOf(n)
	if err != nil {
		return nil, err
	}
	var out []*speaker
	var ends []*end
	for _, u := range places {
		s := &speaker{underlay: u, shares: shares[u.server]}
		if at := overlayOf(b.c, u.server, u.addr); at != nil {
			s.over, s.within = at.network, at.within
			s.other = at.otherThan(u.addr)
		} else {
			s.within = b.connected(u.server, u.dev)
			if o, err := place(nil, b.c.Servers[u.server], state.Member{Server: u.server, Interface: u.dev}, !u.addr.Is6()); err == nil {
				s.other = o.addr
			}
			if b.c.Servers[u.server].NAT {
				b.problem(u.server, name, hint.Errorf("server "+u.server, "flock addbgp "+name+" peer "+u.server+":OVERLAYIP, its address in a wireguard network",
					"%s is behind NAT: nobody can route to it", u.server))
				continue
			}
		}
		out = append(out, s)
		ends = append(ends, &end{underlay: u, shares: s.shares})
	}
	b.shareProblems(name, ends)
	return out, nil
}

// connected is what a device of a server reaches without a router.
func (b *builder) connected(server, dev string) []netip.Prefix {
	var out []netip.Prefix
	for _, i := range b.c.Servers[server].Facts.Interfaces {
		for _, a := range i.Addrs {
			if i.Name == dev || dev == "" {
				out = append(out, a.Masked())
			}
		}
	}
	return out
}

func (s *speaker) reaches(a netip.Addr) bool {
	return slices.ContainsFunc(s.within, func(p netip.Prefix) bool { return p.Contains(a) })
}

// apartNotes says who cannot be another's next hop: a route's gateway must be on
// the same segment, and a router between does not know the container subnets,
// unless it is told of them by BGP itself.
func (b *builder) apartNotes(name string, n *state.Network, speakers []*speaker) {
	var seen []*speaker
	for _, s := range speakers {
		if hasRouter(n, s.server) {
			continue
		}
		if slices.ContainsFunc(seen, func(o *speaker) bool { return o.reaches(s.addr) && s.reaches(o.addr) }) {
			continue
		}
		if len(seen) > 0 {
			b.note(name, "%s (%s) and %s (%s) are on no common segment: no routes between them, unless routers of both are told, flock addbgp %s external SERVER PEERIP --as ASN, or a wireguard network carries them, flock addbgp %s peer SERVER:OVERLAYIP",
				seen[0].server, seen[0].addr, s.server, s.addr, name, name)
		}
		seen = append(seen, s)
	}
}

// hasRouter says whether server talks to a router of another AS.
func hasRouter(n *state.Network, server string) bool {
	return slices.ContainsFunc(n.Externals, func(e state.External) bool { return e.Server == server && e.AS != n.AS })
}

// addSpeaker adds what a member of a BGP network must look like.
func (b *builder) addSpeaker(g *group, n *state.Network, s *speaker) error {
	name := g.network
	h, a := b.out.Hosts[s.server], n.Allocated[s.server]
	if a == nil {
		return fmt.Errorf("%s has no id: the cluster is not complete", s.server)
	}
	bgp := &spec.BGP{Network: name, AS: n.AS, RouterID: routerID(b.c.Name, name, s.underlay, a), Hold: n.Hold, Prefixes: s.shares}
	if reflects(n, s.server) {
		// Each a cluster of its own, as RFC 4456 has it by default: of one cluster, a
		// reflector that prefers another's path to a client's own (GoBGP does not look
		// at the cluster list's length) would tell its clients nothing.
		bgp.ClusterID = bgp.RouterID
	}
	bgp.Neighbors, bgp.Forced = g.neighbors(n, s), forcedRules(n)
	for _, e := range n.Externals {
		if e.Server == s.server {
			neighbor, err := b.external(name, n, s, e)
			if err != nil {
				b.problem(s.server, name, err)
				continue
			}
			bgp.Neighbors = append(bgp.Neighbors, neighbor)
			bgp.Own = b.own(n, s.server)
		}
	}
	for _, p := range s.shares {
		if p.Addr().Is6() && !s.addrOf(true).IsValid() {
			b.problem(s.server, name, hint.Errorf("server "+s.server, "give "+s.server+" an IPv6 address on "+s.dev+", or flock delbgp "+name+" network "+s.server+":"+p.String(),
				"%s shares %s and has no IPv6 address on %s that others could route to", s.server, p, s.dev))
		}
	}
	h.BGP = bgp
	b.addRouting(g, h, s)
	return nil
}

// addRouting adds what lets packets of shared subnets through a server.
func (b *builder) addRouting(g *group, h *spec.Host, s *speaker) {
	name := g.network
	for six, key := range map[bool]string{false: "net/ipv4/ip_forward", true: "net/ipv6/conf/all/forwarding"} {
		if g.v6[six] {
			h.Sysctls = append(h.Sysctls, spec.Sysctl{Key: key, Value: "1"})
		}
	}
	for _, p := range s.shares {
		to := slices.DeleteFunc(slices.Clone(g.reach), func(q netip.Prefix) bool { return q.Addr().Is6() != p.Addr().Is6() })
		h.Keeps = append(h.Keeps, spec.PreserveSource{Network: name, Subnet: p, To: to})
		h.Forwards = append(h.Forwards, spec.Forward{Network: name, Subnet: p})
	}
	for _, other := range g.all {
		if other == s {
			continue
		}
		for _, p := range other.shares {
			h.Claims = append(h.Claims, b.shareClaim(name, other.server, p))
		}
	}
	h.Claims = append(h.Claims, spec.Claim{Network: name, TCPPort: spec.BGPPort})
}

// reach is where packets of shared subnets keep their source: all that is shared
// in the network and those it is joined with, and what its routers are known to
// announce. Neighbouring prefixes become one.
func (b *builder) reach(name string) []netip.Prefix {
	var out []netip.Prefix
	for _, other := range joined(b.c, name) {
		n := b.c.Networks[other]
		out = append(out, sharedSubnets(n)...)
		for _, e := range n.Externals {
			for _, text := range e.Accept {
				if r, err := parseRule(text); err == nil && r.Prefix.Bits() > 0 {
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
		server := ServerOf(m)
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

// own is what no router outside may announce: the network's shared subnets, and the
// subnets of the server's own interfaces.
func (b *builder) own(n *state.Network, server string) []netip.Prefix {
	out := append(sharedSubnets(n), b.connected(server, "")...)
	if p := b.c.Servers[server].Subnet; p.IsValid() {
		out = append(out, p.Masked())
	}
	for _, name := range Networks(b.c, server) {
		out = append(out, b.c.Networks[name].Subnets...)
		if m := b.c.Networks[name].Mesh; m.IsValid() {
			out = append(out, m)
		}
	}
	slices.SortFunc(out, netip.Prefix.Compare)
	return slices.Compact(out)
}
