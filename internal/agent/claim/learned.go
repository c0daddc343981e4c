//go:build linux

package claim

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"

	"github.com/flocknet/flock/internal/agent/bgpctl"
	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/spec"
)

// What routers announced is in the way of whoever comes new: its routes would go, or be
// hidden by more particular ones. It is not in the way of what was there before; then
// it is the router that comes late, and the daemon or the kernel prefers ours.

// claimLearned are the claims of want that overlap what our BGP daemon learned.
func claimLearned(ctx context.Context, k *host.Host, want *spec.Host, claims []spec.Claim, foreign []occupant) []spec.Problem {
	routes := spec.Without(k.Routes, func(r netlink.Route) bool { return !byBGP(&r) || host.ToPrefix(r.Dst).Bits() <= 0 })
	if len(routes) == 0 {
		return nil
	}
	last := k.Last()
	type place struct {
		network string
		prefix  netip.Prefix
	}
	known := map[place]bool{}
	if last != nil {
		for _, c := range last.Claims {
			known[place{c.Network, c.Prefix}] = true
		}
	}
	var learned []occupant
	asked := false
	var out []spec.Problem
	for _, c := range claims {
		overlaps := func(r netlink.Route) bool { return c.Prefix.IsValid() && host.ToPrefix(r.Dst).Overlaps(c.Prefix) }
		if known[place{c.Network, c.Prefix}] || !slices.ContainsFunc(routes, overlaps) {
			continue
		}
		if !asked {
			learned, asked = announced(ctx, k, want, routes), true
		}
		if p := claimPrefix(want, c, learned); p != nil {
			p.Next = adviseSubnet(want, c, slices.Concat(foreign, learned))
			out = append(out, *p)
		}
	}
	return out
}

// announced are those of routes, our BGP daemon's, that do not lead to what other
// members share, with who announced them as far as the daemon says.
func announced(ctx context.Context, k *host.Host, want *spec.Host, routes []netlink.Route) []occupant {
	paths := map[netip.Prefix]spec.BGPPath{}
	if s, err := bgpctl.Status(ctx, k.Files, nil); err == nil && s != nil {
		for _, r := range s.Routes {
			if len(r.Paths) > 0 {
				paths[r.Prefix] = r.Paths[0]
			}
		}
	}
	var out []occupant
	for _, r := range routes {
		dst := host.ToPrefix(r.Dst)
		path, known := paths[dst]
		shared := want.BGP != nil && slices.ContainsFunc(want.Claims, func(c spec.Claim) bool { return c.Network == want.BGP.Network && c.Prefix == dst })
		if shared && path.ASPath == "" {
			continue
		}
		what := "BGP route " + routeText(k, r)
		if known {
			what += ", which " + announcer(path) + " announced"
		}
		out = append(out, occupant{dst, what})
	}
	return out
}

// announcer is who told of a path.
func announcer(p spec.BGPPath) string {
	who := p.Name
	if who == "" {
		who = p.From.String()
	}
	if p.ASPath != "" {
		who += fmt.Sprintf(" (AS path %s)", p.ASPath)
	}
	return who
}

// routeText is a route as ip writes it, by its first way out.
func routeText(k *host.Host, r netlink.Route) string {
	text, via, dev := host.ToPrefix(r.Dst).String(), host.ToAddr(r.Gw), r.LinkIndex
	if len(r.MultiPath) > 0 {
		via, dev = host.ToAddr(r.MultiPath[0].Gw), r.MultiPath[0].LinkIndex
	}
	if via.IsValid() {
		text += " via " + via.String()
	}
	if name := k.Devices.Name(dev); name != "" {
		text += " dev " + name
	}
	return text
}
