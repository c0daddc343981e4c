package pool

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/spec"
)

// Who stands next to whom: whether a packet from one member to the other's underlay
// address needs a gateway is for the routes of both to say.

// near says whether m reaches the address by its own underlay device without a
// gateway, by the longest prefix that contains it.
func (p *Pool) near(m *Member, to netip.Addr) bool {
	f := p.Cluster.Servers[m.Server].Facts
	best, direct := -1, false
	take := func(prefix netip.Prefix, yes bool) {
		if prefix.Masked().Contains(to) && (prefix.Bits() > best || prefix.Bits() == best && yes) {
			best, direct = prefix.Bits(), yes
		}
	}
	for _, i := range f.Interfaces {
		for _, a := range i.Addrs {
			take(a, i.Name == m.Dev)
		}
		for _, a := range i.Direct {
			take(a, i.Name == m.Dev)
		}
	}
	return direct && !slices.ContainsFunc(f.Routed, func(r netip.Prefix) bool { return r.Bits() >= best && r.Contains(to) })
}

// adjacent says whether a and b reach each other without a gateway, in a family. Both
// ways count: packets that come in by another way than they would leave are dropped
// where reverse paths are filtered (rp_filter).
func (p *Pool) adjacent(a, b *Member, v6 bool) bool {
	from, to := a.addrOf(v6), b.addrOf(v6)
	return from.IsValid() && to.IsValid() && p.near(a, to) && p.near(b, from)
}

// nextToAll refuses a member that is not on one layer 2 segment with those before it.
func (p *Pool) nextToAll(m *Member) error {
	for _, other := range p.Members {
		for _, v6 := range p.families() {
			if p.adjacent(m, other, v6) {
				continue
			}
			next := "a type that crosses routers: flock changetype " + p.Name + " " + overRouters
			if !m.addrOf(v6).IsValid() || !other.addrOf(v6).IsValid() {
				return hint.Errorf("server "+m.Server, next, "%s and %s have no %s addresses on %s and %s to route to",
					m.Server, other.Server, ground.FamilyName(v6), m.Dev, other.Dev)
			}
			return hint.Errorf("server "+m.Server, next, "%s (%s) and %s (%s) are not on one layer 2 segment: between them is a gateway",
				m.Server, m.addrOf(v6), other.Server, other.addrOf(v6))
		}
	}
	return nil
}

// Unencapsulated adds a route without encapsulation to what is behind other.
func (p *Pool) Unencapsulated(m, other *Member, q netip.Prefix) {
	h := p.Out.Hosts[m.Server]
	h.Routes = append(h.Routes, spec.Route{Dst: q, Via: other.addrOf(q.Addr().Is6()), Dev: m.Dev, Proto: spec.RouteProto})
}

// Each calls do for everything that is routed from m to others; what a network with
// direct routing brings there without encapsulation gets its plain route. Packed are
// the members that something is left for.
func (p *Pool) Each(m *Member, do func(other *Member, q netip.Prefix)) (packed []*Member) {
	packed = make([]*Member, 0, len(p.Members))
	for _, other := range p.Members {
		if other == m {
			continue
		}
		rest := false
		for _, q := range other.Routed {
			if p.N.Direct && p.adjacent(m, other, q.Addr().Is6()) {
				p.Unencapsulated(m, other, q)
				continue
			}
			rest = true
			do(other, q)
		}
		if rest {
			packed = append(packed, other)
		} else {
			m.direct = append(m.direct, other.Server)
		}
	}
	return packed
}

// noteDirect says once per network who needs no encapsulation towards whom.
func (p *Pool) noteDirect() {
	var groups []string
	done := map[string]bool{}
	for _, m := range p.Members {
		if done[m.Server] || len(m.direct) == 0 {
			continue
		}
		group := append([]string{m.Server}, m.direct...)
		for _, server := range group {
			done[server] = true
		}
		groups = append(groups, strings.Join(group, " "))
	}
	wire := p.back.Wire
	text := "no two members share a segment: " + wire + " between all"
	switch {
	case len(groups) == 1 && len(strings.Fields(groups[0])) == len(p.Members):
		text = "plain routes between all members"
	case len(groups) > 0:
		text = "plain routes among " + strings.Join(groups, ", among ") + "; " + wire + " between others"
	}
	p.Note(p.Name, "%s", text)
}
