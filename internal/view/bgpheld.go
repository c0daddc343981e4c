package view

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/spec"
)

// heldRoutes describes, by neighbour, which routes server keeps out of its kernel because of
// protected addresses (spec.BGPRoute.Held), and how to allow them.
func heldRoutes(server string, status *spec.BGPStatus) []string {
	type group struct {
		from  netip.Addr
		first spec.BGPRoute
		count int
	}
	var groups []*group
	for _, r := range status.Routes {
		if !r.Held || len(r.Paths) == 0 {
			continue
		}
		from := r.Paths[0].From
		at := slices.IndexFunc(groups, func(g *group) bool { return g.from == from })
		if at < 0 {
			at, groups = len(groups), append(groups, &group{from: from, first: r})
		}
		groups[at].count++
	}
	var out []string
	for _, g := range groups {
		who, next := g.first.Paths[0].Name, ""
		if who == "" {
			who = g.from.String()
			next = fmt.Sprintf("; flock addbgp %s external %s %s --force lets it", status.Network, server, g.from)
		}
		text := fmt.Sprintf("%s does not use %s of %s, %s", server, g.first.Prefix, who, g.first.Why)
		if g.count > 1 {
			text = fmt.Sprintf("%s does not use %d routes of %s, %s among them, %s", server, g.count, who, g.first.Prefix, g.first.Why)
		}
		out = append(out, text+next)
	}
	return out
}
