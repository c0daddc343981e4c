package peering

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// What the specs do not show about speakers outside: whose default route they take
// over, and which of their rules are about nothing.

// ExternalNotes notes what the specs do not show about speakers outside.
func ExternalNotes(b *ground.Builder, name string, n *state.Network, speakers []*Speaker) {
	for _, six := range []bool{false, true} {
		defaultNotes(b, name, n, speakers, six)
	}
	shares := SharedSubnets(n)
	for _, e := range n.Externals {
		if e.Shutdown {
			text := fmt.Sprintf("%s keeps traffic away from %s, both ways, until: flock addbgp %s external %s %s --shutdown=false", e.Server, e.Address, name, e.Server, e.Address)
			b.Out.Notes = append(b.Out.Notes, ground.Note{Network: name, Text: text, Amiss: true})
		}
		for _, text := range e.Announce {
			r, err := ParseRule(text)
			if err == nil && !slices.ContainsFunc(shares, r.Matches) {
				text := fmt.Sprintf("%s tells %s nothing by --announce %q: no shared subnet matches", e.Server, e.Address, text)
				b.Out.Notes = append(b.Out.Notes, ground.Note{Network: name, Text: text, Amiss: true})
			}
		}
	}
}

// SharedSubnets are what all members share.
func SharedSubnets(n *state.Network) (out []netip.Prefix) {
	for _, text := range n.Shares {
		if s, err := state.ParseShare(text); err == nil {
			out = append(out, s.Subnet)
		}
	}
	return out
}

// defaultNotes say what becomes of the members' default routes where one is accepted
// of a router: the kernel takes the one with the lowest metric.
func defaultNotes(b *ground.Builder, name string, n *state.Network, speakers []*Speaker, six bool) {
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
		f := b.Cluster.Servers[s.Server].Facts
		dev, metric := f.Default4, f.Metric4
		if six {
			dev, metric = f.Default6, f.Metric6
		}
		text := fmt.Sprintf("%s (dev %s, metric %d)", s.Server, dev, metric)
		switch {
		case dev == "":
		case metric > spec.BGPMetric:
			loses = append(loses, text)
		default:
			keeps = append(keeps, text)
		}
	}
	family, from := ground.FamilyName(six), ground.JoinWords(routers)
	if len(loses) > 0 {
		until := "; where the workstation, another server or the default gateway is reached by it, it is held back (--force)"
		if forced {
			until = ""
		}
		b.Note(name, "an %s default route of %s takes over from that of %s: all that they send to the outside goes by %s then%s",
			family, from, ground.Few(loses), ground.JoinWords(by), until)
	}
	if len(keeps) > 0 {
		b.Note(name, "an %s default route of %s is not used on %s: their own goes before it", family, from, ground.Few(keeps))
	}
}

// acceptsDefault says whether a default route of e's is let in.
func acceptsDefault(e state.External, six bool) bool {
	all := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	if six {
		all = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	return slices.ContainsFunc(e.Accept, func(text string) bool {
		r, err := ParseRule(text)
		return err == nil && r.Matches(all)
	})
}
