//go:build linux

package bgp

import (
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/spec"
)

// A learned route must not cut the server off, nor break its tunnels. Traffic to the
// workstation, to the other ends of its tunnels and sessions, and to its default gateway
// follows the routes that exist without BGP, unless the operator allows otherwise
// (spec.BGP.Forced).

// guarded is an address whose traffic no learned route may take over.
type guarded struct {
	addr  netip.Addr
	what  string
	bits  int // of the route by which it is reached
	route foreign
}

// guarded lists the protected addresses that have a route, sorted.
func (w *world) guarded(p protectedAddrs) []guarded {
	var out []guarded
	add := func(a netip.Addr, what string) {
		_, own := w.local[a]
		if bits, to, ok := w.lookUp(a); ok && !own {
			out = append(out, guarded{a, what, bits, to})
		}
	}
	if p.workstation.IsValid() {
		add(p.workstation, "the workstation")
	}
	for _, six := range []bool{false, true} {
		if to, ok := w.routes[everything(six)]; ok && to.hop.via.IsValid() {
			add(to.hop.via, "the default gateway")
		}
	}
	for _, a := range p.underlay {
		add(a, "another server")
	}
	slices.SortStableFunc(out, func(a, b guarded) int { return a.addr.Compare(b.addr) })
	return out
}

// everything is the destination of default routes.
func everything(six bool) netip.Prefix {
	if six {
		return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
}

// lookUp is the foreign route by which a is reached, and its prefix length.
func (w *world) lookUp(a netip.Addr) (bits int, to foreign, ok bool) {
	for bits = a.BitLen(); bits >= 0; bits-- {
		if to, ok = w.routes[netip.PrefixFrom(a, bits).Masked()]; ok && !to.dead {
			return bits, to, true
		}
	}
	return 0, foreign{}, false
}

// takes names the protected address whose traffic a route to p by these hops would take
// over, "" if there is none. Such a route has a longer prefix than the one there is, or
// a better metric, and other hops.
func (f *fib) takes(p netip.Prefix, hops []hop) string {
	if len(hops) == 0 {
		return ""
	}
	from, _ := slices.BinarySearchFunc(f.guarded, p.Masked().Addr(), func(g guarded, a netip.Addr) int { return g.addr.Compare(a) })
	for _, g := range f.guarded[from:] {
		if !p.Contains(g.addr) {
			break
		}
		prevails := p.Bits() > g.bits || p.Bits() == g.bits && g.route.metric > spec.BGPMetric
		if prevails && !g.sameWay(hops) && !slices.ContainsFunc(f.allowed.forced, func(r spec.PrefixRule) bool { return r.Matches(p) }) {
			return "held back: it would take the way to " + g.what + ", " + g.addr.String()
		}
	}
	return ""
}

// sameWay says whether hops lead to g as its present route does.
func (g guarded) sameWay(hops []hop) bool {
	now := g.route.hop
	if !now.via.IsValid() {
		now.via = g.addr
	}
	return len(hops) == 1 && hops[0] == now
}
