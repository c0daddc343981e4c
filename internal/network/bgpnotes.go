package network

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// What the specs do not show about speakers outside: whose default route they take
// over, and which of their rules are about nothing.

func (b *builder) externalNotes(name string, n *state.Network, speakers []*speaker) {
	for _, six := range []bool{false, true} {
		b.defaultNotes(name, n, speakers, six)
	}
	shares := sharedSubnets(n)
	for _, e := range n.Externals {
		for _, text := range e.Announce {
			r, err := parseRule(text)
			if err == nil && !slices.ContainsFunc(shares, r.Matches) {
				text := fmt.Sprintf("%s tells %s nothing by --announce %q: no shared subnet matches", e.Server, e.Address, text)
				b.out.Notes = append(b.out.Notes, Note{Network: name, Text: text, Amiss: true})
			}
		}
	}
}

// sharedSubnets are what all members share.
func sharedSubnets(n *state.Network) (out []netip.Prefix) {
	for _, text := range n.Shares {
		if s, err := state.ParseShare(text); err == nil {
			out = append(out, s.Subnet)
		}
	}
	return out
}

// defaultNotes say what becomes of the members' default routes where one is accepted
// of a router: the kernel takes the one with the lowest metric.
func (b *builder) defaultNotes(name string, n *state.Network, speakers []*speaker, six bool) {
	var by []string // servers with such a router
	var routers []string
	forced := false
	for _, e := range n.Externals {
		forced = forced || acceptsDefault(e, six) && e.Force
		if acceptsDefault(e, six) && !slices.Contains(by, e.Server) {
			by = append(by, e.Server)
		}
		if acceptsDefault(e, six) {
			routers = append(routers, e.Address.String())
		}
	}
	if len(by) == 0 {
		return
	}
	var loses, keeps []string
	for _, s := range speakers {
		f := b.c.Servers[s.server].Facts
		dev, metric := f.Default4, f.Metric4
		if six {
			dev, metric = f.Default6, f.Metric6
		}
		text := fmt.Sprintf("%s (dev %s, metric %d)", s.server, dev, metric)
		switch {
		case dev == "":
		case metric > spec.BGPMetric:
			loses = append(loses, text)
		default:
			keeps = append(keeps, text)
		}
	}
	family, from := familyName(six), JoinWords(routers)
	if len(loses) > 0 {
		until := "; where the workstation, another server or the default gateway is reached by it, it is held back (--force)"
		if forced {
			until = ""
		}
		b.note(name, "an %s default route of %s takes over from that of %s: all that they send to the outside goes by %s then%s",
			family, from, few(loses), JoinWords(by), until)
	}
	if len(keeps) > 0 {
		b.note(name, "an %s default route of %s is not used on %s: their own goes before it", family, from, few(keeps))
	}
}

// acceptsDefault says whether a default route of e's is let in.
func acceptsDefault(e state.External, six bool) bool {
	all := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	if six {
		all = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	return slices.ContainsFunc(e.Accept, func(text string) bool {
		r, err := parseRule(text)
		return err == nil && r.Matches(all)
	})
}
