//go:build linux

package bgp

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/osrg/gobgp/v4/api"

	"github.com/flocknet/flock/internal/spec"
)

// GoBGP filters by one list of statements for all neighbours. A statement names the
// neighbours and the prefixes that it applies to. Withdrawals pass every filter.

// Names of our policies in GoBGP.
const (
	importPolicy = "flock-import"
	exportPolicy = "flock-export"
)

// everybody is the set of all neighbours.
const everybody = "everybody"

// bogons are prefixes that no neighbour has a reason to announce: this host, its
// loopback, link-local addresses, multicast and what lies beyond (RFC 6890).
var bogons = []spec.PrefixRule{
	{Prefix: netip.MustParsePrefix("0.0.0.0/8"), LE: 32},
	{Prefix: netip.MustParsePrefix("127.0.0.0/8"), LE: 32},
	{Prefix: netip.MustParsePrefix("169.254.0.0/16"), LE: 32},
	{Prefix: netip.MustParsePrefix("224.0.0.0/3"), LE: 32},
	{Prefix: netip.MustParsePrefix("::/96"), LE: 128},
	{Prefix: netip.MustParsePrefix("fe80::/10"), LE: 128},
	{Prefix: netip.MustParsePrefix("ff00::/8"), LE: 128},
}

var defaultRoutes = []spec.PrefixRule{
	{Prefix: netip.MustParsePrefix("0.0.0.0/0")},
	{Prefix: netip.MustParsePrefix("::/0")},
}

// filters is what GoBGP is given for s.
type filters struct {
	sets     []*api.DefinedSet
	policies map[string][]*api.Statement // by name
}

// filtersOf returns the filters of s. It is pure.
func filtersOf(s *spec.BGP) *api.SetPoliciesRequest {
	f := &filters{policies: map[string][]*api.Statement{importPolicy: nil, exportPolicy: nil}}
	f.imports(s)
	f.exports(s)
	r := &api.SetPoliciesRequest{DefinedSets: f.sets}
	for _, name := range []string{importPolicy, exportPolicy} {
		r.Policies = append(r.Policies, &api.Policy{Name: name, Statements: f.policies[name]})
	}
	return r
}

func (f *filters) imports(s *spec.BGP) {
	// A route that this server announces has no neighbour.
	f.sets = append(f.sets, &api.DefinedSet{DefinedType: api.DefinedType_DEFINED_TYPE_NEIGHBOR, Name: everybody, List: []string{"0.0.0.0/0", "::/0"}})
	f.rules(importPolicy, "bogons", everybody, bogons, api.RouteAction_ROUTE_ACTION_REJECT)
	f.rules(importPolicy, "local", everybody, overlapping(s.Prefixes), api.RouteAction_ROUTE_ACTION_REJECT)
	for _, n := range s.Neighbors {
		if !n.External {
			continue
		}
		who := f.neighbors(n.Addr)
		f.rules(importPolicy, who+"-own", who, overlapping(s.Own), api.RouteAction_ROUTE_ACTION_REJECT)
		f.received(n, who)
		if len(n.Import) == 0 {
			f.rules(importPolicy, who+"-default", who, defaultRoutes, api.RouteAction_ROUTE_ACTION_REJECT)
			continue
		}
		for i, r := range n.Import {
			action := api.RouteAction_ROUTE_ACTION_ACCEPT
			if r.Deny {
				action = api.RouteAction_ROUTE_ACTION_REJECT
			}
			f.rules(importPolicy, fmt.Sprintf("%s-import-%d", who, i), who, []spec.PrefixRule{r}, action)
		}
		f.state(importPolicy, who+"-rest", conditions(who, ""), api.RouteAction_ROUTE_ACTION_REJECT)
	}
}

func (f *filters) exports(s *spec.BGP) {
	for _, n := range s.Neighbors {
		switch {
		case n.External:
			who := f.neighbors(n.Addr)
			f.told(s, n, who)
			f.rules(exportPolicy, who+"-export", who, exactly(announced(s, n)), api.RouteAction_ROUTE_ACTION_ACCEPT)
			f.state(exportPolicy, who+"-nothing-else", conditions(who, ""), api.RouteAction_ROUTE_ACTION_REJECT)
		case n.NextHopSelf:
			who := f.neighbors(n.Addr)
			c := conditions(who, "")
			c.RouteType = api.Conditions_ROUTE_TYPE_EXTERNAL
			f.state(exportPolicy, who+"-next-hop", c, api.RouteAction_ROUTE_ACTION_ACCEPT).Actions.Nexthop = &api.NexthopAction{Self: true}
		}
	}
}

// gracefulShutdown is the community that asks to send nothing by a path (RFC 8326).
const gracefulShutdown = "65535:0"

// leastPref is the preference of paths by which nothing is to be sent. It should be 0, which
// GoBGP's filters take for no change (v4.8.0, NewLocalPrefAction).
const leastPref = 1

// othersMED is how much worse the MED is that a router is told of what another member shares: one
// that meets several members sends to each what it has itself, and by the others where that is away.
// (RFC 4271, §5.1.4: routers compare it among routes of one AS.)
const othersMED = 100

// received changes how much n's routes are preferred; later statements decide whether they
// are accepted.
func (f *filters) received(n spec.BGPNeighbor, who string) {
	if n.LocalPref > 0 {
		f.change(importPolicy, who+"-preferred", who).LocalPref = &api.LocalPrefAction{Value: n.LocalPref}
	}
	if n.Drain {
		f.change(importPolicy, who+"-drained", who).LocalPref = &api.LocalPrefAction{Value: leastPref}
		return
	}
	// It says so itself.
	f.sets = append(f.sets, &api.DefinedSet{DefinedType: api.DefinedType_DEFINED_TYPE_COMMUNITY, Name: who + "-leaves", List: []string{gracefulShutdown}})
	c := conditions(who, "")
	c.CommunitySet = &api.MatchSet{Type: api.MatchSet_TYPE_ANY, Name: who + "-leaves"}
	f.state(importPolicy, who+"-leaving", c, api.RouteAction_ROUTE_ACTION_UNSPECIFIED).Actions.LocalPref = &api.LocalPrefAction{Value: leastPref}
}

// told changes what n is told of our routes; later statements decide which those are.
func (f *filters) told(s *spec.BGP, n spec.BGPNeighbor, who string) {
	a := f.change(exportPolicy, who+"-told", who)
	communities := n.Communities
	if n.Drain {
		communities = append(slices.Clone(communities), gracefulShutdown)
	}
	if len(communities) > 0 {
		a.Community = &api.CommunityAction{Type: api.CommunityAction_TYPE_ADD, Communities: communities}
	}
	if n.MED > 0 {
		a.Med = &api.MedAction{Type: api.MedAction_TYPE_REPLACE, Value: int64(n.MED)}
	}
	c := conditions(who, "")
	c.RouteType = api.Conditions_ROUTE_TYPE_INTERNAL
	f.state(exportPolicy, who+"-of-others", c, api.RouteAction_ROUTE_ACTION_UNSPECIFIED).Actions.Med = &api.MedAction{Type: api.MedAction_TYPE_REPLACE, Value: int64(n.MED) + othersMED}
	if n.Prepend > 0 {
		a.AsPrepend = &api.AsPrependAction{Asn: s.AS, Repeat: uint32(n.Prepend)} //nolint:gosec // 1…32
	}
	if n.AS == s.AS && (n.Drain || n.LocalPref > 0) {
		a.LocalPref = &api.LocalPrefAction{Value: n.LocalPref}
		if n.Drain {
			a.LocalPref.Value = leastPref
		}
	}
}

// change makes a statement about all routes of, or to, who, which decides nothing.
func (f *filters) change(policy, name, who string) *api.Actions {
	return f.state(policy, name, conditions(who, ""), api.RouteAction_ROUTE_ACTION_UNSPECIFIED).Actions
}

// announced is what s may tell its external neighbour n.
func announced(s *spec.BGP, n spec.BGPNeighbor) []netip.Prefix {
	return slices.DeleteFunc(slices.Clone(s.Own), func(p netip.Prefix) bool { return !permits(n.Export, p) })
}

// permits is the decision of a prefix list about p.
func permits(rules []spec.PrefixRule, p netip.Prefix) bool {
	for _, r := range rules {
		if r.Matches(p) {
			return !r.Deny
		}
	}
	return len(rules) == 0
}

// overlapping matches prefixes that contain one of list (default routes aside) or lie
// within one.
func overlapping(list []netip.Prefix) []spec.PrefixRule {
	var out []spec.PrefixRule
	above := map[netip.Prefix]bool{}
	for _, p := range list {
		out = append(out, spec.PrefixRule{Prefix: p, LE: p.Addr().BitLen()})
		for bits := p.Bits() - 1; bits > 0; bits-- {
			if q := netip.PrefixFrom(p.Addr(), bits).Masked(); !above[q] {
				above[q] = true
				out = append(out, spec.PrefixRule{Prefix: q})
			}
		}
	}
	return out
}

func exactly(list []netip.Prefix) []spec.PrefixRule {
	out := make([]spec.PrefixRule, len(list))
	for i, p := range list {
		out[i] = spec.PrefixRule{Prefix: p}
	}
	return out
}

// neighbors makes a set of one neighbour, once, and returns its name.
func (f *filters) neighbors(addr netip.Addr) string {
	name := addr.String()
	for _, set := range f.sets {
		if set.Name == name {
			return name
		}
	}
	f.sets = append(f.sets, &api.DefinedSet{
		DefinedType: api.DefinedType_DEFINED_TYPE_NEIGHBOR, Name: name, List: []string{netip.PrefixFrom(addr, addr.BitLen()).String()},
	})
	return name
}

// rules adds one statement per address family about the prefixes that rules match,
// whatever the rules decide. who is a set of neighbours, "" for all. A prefix set of
// GoBGP has one family, and an empty one matches everything.
func (f *filters) rules(policy, name, who string, rules []spec.PrefixRule, action api.RouteAction) {
	for _, family := range []string{"4", "6"} {
		set := &api.DefinedSet{DefinedType: api.DefinedType_DEFINED_TYPE_PREFIX, Name: name + "-" + family}
		for _, r := range rules {
			if r.Prefix.Addr().Is4() != (family == "4") {
				continue
			}
			least, most := r.Lengths()
			set.Prefixes = append(set.Prefixes, &api.Prefix{
				IpPrefix: r.Prefix.String(), MaskLengthMin: uint32(least), MaskLengthMax: uint32(most), //nolint:gosec // 0…128
			})
		}
		if len(set.Prefixes) > 0 {
			f.sets = append(f.sets, set)
			f.state(policy, set.Name, conditions(who, set.Name), action)
		}
	}
}

func (f *filters) state(policy, name string, c *api.Conditions, action api.RouteAction) *api.Statement {
	s := &api.Statement{Name: name, Conditions: c, Actions: &api.Actions{RouteAction: action}}
	f.policies[policy] = append(f.policies[policy], s)
	return s
}

func conditions(who, prefixes string) *api.Conditions {
	c := &api.Conditions{NeighborSet: &api.MatchSet{Type: api.MatchSet_TYPE_ANY, Name: who}}
	if prefixes != "" {
		c.PrefixSet = &api.MatchSet{Type: api.MatchSet_TYPE_ANY, Name: prefixes}
	}
	return c
}
