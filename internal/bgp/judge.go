//go:build linux

package bgp

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/osrg/gobgp/v4/pkg/apiutil"
	"github.com/osrg/gobgp/v4/pkg/packet/bgp"

	"github.com/flocknet/flock/internal/spec"
)

// judge says what became of the routes of one neighbour, and why. That a route was
// accepted shows in GoBGP's table; why it was not, GoBGP does not say (v4.8.0), so the
// filters are gone through again.
type judge struct {
	s      *spec.BGP
	n      spec.BGPNeighbor
	routes map[netip.Prefix]*spec.BGPRoute // all that were accepted
	links  []netip.Prefix                  // networks of this server's devices
	shared map[netip.Prefix]string         // announced by servers of the network, by name
}

func newJudge(s *spec.BGP, n spec.BGPNeighbor, routes map[netip.Prefix]*spec.BGPRoute) *judge {
	j := &judge{s: s, n: n, routes: routes, links: connected(), shared: map[netip.Prefix]string{}}
	for p, r := range routes {
		for _, path := range r.Paths {
			if path.Name != "" {
				j.shared[p] = path.Name
			}
		}
	}
	return j
}

// connected are the networks of this server's addresses.
func connected() (out []netip.Prefix) {
	list, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	for _, a := range list {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			out = append(out, p.Masked())
		}
	}
	return out
}

// decide notes what became of t, which path is.
func (j *judge) decide(t *spec.BGPTold, path *apiutil.Path) {
	r := j.routes[t.Prefix]
	at := -1
	if r != nil {
		at = slices.IndexFunc(r.Paths, func(p spec.BGPPath) bool { return p.From == j.n.Addr })
	}
	if at < 0 {
		t.Refused = cmp.Or(j.loop(path), j.refuses(t.Prefix), "filters: those of the daemon that runs do not take it")
		return
	}
	switch p := r.Paths[at]; {
	case r.Local:
		t.Why = "this server announces it itself"
	case p.Used:
		t.Used, t.Why = r.Kernel, cmp.Or(r.Why, r.Unused)
	default:
		t.Why = "the path " + fromWhom(r.Paths[0]) + " goes before it"
	}
	if p := r.Paths[at].LocalPref; p != nil {
		t.LocalPref = p
	}
}

func fromWhom(p spec.BGPPath) string {
	switch {
	case p.Name != "":
		return "of " + p.Name
	case p.From.IsValid():
		return "of " + p.From.String()
	}
	return "of this server"
}

// loop says why GoBGP takes path for one that came from here; "" if it does not
// (RFC 4271, 9.1.2; RFC 4456, 8).
func (j *judge) loop(path *apiutil.Path) string {
	for _, a := range path.Attrs {
		switch a := a.(type) {
		case *bgp.PathAttributeAsPath:
			for _, v := range a.Value {
				if slices.Contains(v.GetAS(), j.s.AS) {
					return fmt.Sprintf("loop: AS %d, this server's own, is in its AS path", j.s.AS)
				}
			}
		case *bgp.PathAttributeOriginatorId:
			if a.Value == j.s.RouterID {
				return "loop: it came from this server"
			}
		}
	}
	return ""
}

// refuses says why the filters refuse p, "" if they do not. It goes through them as
// filters.imports makes them.
func (j *judge) refuses(p netip.Prefix) string {
	matches := func(r spec.PrefixRule) bool { return r.Matches(p) }
	if slices.ContainsFunc(bogons, matches) {
		return "reserved: nobody has a reason to announce addresses of this host, link-local ones or multicast (RFC 6890)"
	}
	if q := overlapped(j.s.Prefixes, p); q.IsValid() {
		return fmt.Sprintf("overlap: with %s, which this server shares", q)
	}
	if !j.n.External {
		return ""
	}
	if q := overlapped(j.s.Own, p); q.IsValid() {
		switch {
		case j.shared[q] != "":
			return fmt.Sprintf("overlap: with %s, which %s shares", q, j.shared[q])
		case slices.Contains(j.links, q):
			return fmt.Sprintf("own segment: this server is itself on %s", q)
		}
		return fmt.Sprintf("overlap: with %s, a subnet of the cluster", q)
	}
	switch {
	case len(j.n.Import) == 0 && slices.ContainsFunc(defaultRoutes, matches):
		return "accept list: a default route is taken only where --accept names it"
	case len(j.n.Import) > 0 && !slices.ContainsFunc(j.n.Import, matches):
		return "accept list: no line of --accept matches it"
	case !permits(j.n.Import, p):
		return "accept list: a line denies it"
	}
	return ""
}

// overlapped is the first of list that p contains or lies in, default routes aside;
// invalid if there is none.
func overlapped(list []netip.Prefix, p netip.Prefix) netip.Prefix {
	for _, q := range list {
		if q.Overlaps(p) && (p.Bits() > 0 || q.Bits() == 0) {
			return q
		}
	}
	return netip.Prefix{}
}
