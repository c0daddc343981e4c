package network

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// What a member shares, or was dealt for its containers, others send to it. Where it
// is not there, a packet would leave by the default route, in clear and for strangers
// to read. So a route of the last resort says that the subnet cannot be reached. The
// real one wins whenever it comes, and takes over again should it go.
//
// Three sorts of subnet have no such route: a part of a larger network on the server,
// which would lose the part; what libvirt is to make, for it starts no network that
// there is a route to; and what was dealt where others make the routes.

// guardShares sees to it that nothing shared leaves its server by the default route,
// and notes what is not there.
func (b *builder) guardShares() error {
	guarded := map[string][]netip.Prefix{}
	for _, name := range b.Cluster.NetworkNames() {
		n := b.Cluster.Networks[name]
		if back := backendOf(n); back != nil && !back.Routes {
			continue
		}
		shares, err := ground.SharesOf(n)
		if err != nil {
			return err
		}
		var gone absence
		for _, m := range n.Members {
			server := ground.ServerOf(m)
			if _, placed := b.Out.Places[ground.Membership{Server: server, Network: name}]; !placed {
				continue
			}
			list := shares[server]
			if a := n.Allocated[server]; a != nil && backendOf(n) != nil {
				list = slices.Concat(a.Subnets, list) // what was told first is among both
				slices.SortFunc(list, netip.Prefix.Compare)
				list = slices.Compact(list)
			}
			for _, p := range list {
				if b.guard(server, p, slices.Contains(n.Anycast, p), &gone) && !slices.Contains(guarded[server], p) {
					guarded[server] = append(guarded[server], p)
					b.Refuse(name, server, p)
				}
			}
		}
		for _, text := range gone.texts() {
			b.Out.Notes = append(b.Out.Notes, ground.Note{Network: name, Text: text, Amiss: true, Found: true})
		}
	}
	return nil
}

// guard says whether a server needs the route for p, and notes p if it is not there.
func (b *builder) guard(server string, p netip.Prefix, anycast bool, gone *absence) bool {
	f := b.Cluster.Servers[server].Facts
	here := direct(f)
	partOf := func(q netip.Prefix) bool { return q.Bits() < p.Bits() && q.Contains(p.Addr()) }
	if onOwnBridge(b.Out.Hosts[server], p) || slices.ContainsFunc(here, partOf) {
		return false
	}
	part := func(q netip.Prefix) bool { return q.Bits() >= p.Bits() && p.Contains(q.Addr()) }
	awaited := slices.Contains(f.Awaited, p)
	if !slices.ContainsFunc(f.Prefixes, part) && !slices.ContainsFunc(here, part) {
		text := fmt.Sprintf("%s is not on %s", p, server)
		switch {
		case anycast:
			gone.withdrawn = append(gone.withdrawn, text)
		case awaited:
			gone.awaited = append(gone.awaited, text)
		default:
			gone.dropped = append(gone.dropped, text)
		}
	}
	return !awaited
}

// absence is what of a network's shared subnets is not there.
type absence struct {
	dropped []string // packets to it are
	awaited []string // libvirt is to make it
	// withdrawn are those of anycast: others may have them.
	withdrawn []string
}

func (a *absence) texts() []string {
	var out []string
	if len(a.dropped) > 0 {
		out = append(out, ground.Few(a.dropped)+": traffic to "+itOrThem(a.dropped)+" is dropped there")
	}
	if len(a.withdrawn) > 0 {
		out = append(out, ground.Few(a.withdrawn)+": announced there once "+itIs(a.withdrawn))
	}
	if len(a.awaited) > 0 {
		out = append(out, ground.Few(a.awaited)+", where libvirt has a network of it that is not started: until then traffic to "+itOrThem(a.awaited)+" leaves by the default route")
	}
	return out
}

func itIs(list []string) string {
	if len(list) == 1 {
		return "it is"
	}
	return "they are"
}

func itOrThem(list []string) string {
	if len(list) == 1 {
		return "it"
	}
	return "them"
}

// direct is what a server reaches without a gateway and flock did not make.
func direct(f *state.Facts) []netip.Prefix {
	out := slices.Clone(f.Local)
	for _, i := range f.Interfaces {
		for _, a := range i.Addrs {
			out = append(out, a.Masked())
		}
		out = append(out, i.Direct...)
	}
	return out
}

// onOwnBridge says whether p is on, or part of, what a bridge of ours has.
func onOwnBridge(h *spec.Host, p netip.Prefix) bool {
	return slices.ContainsFunc(h.Addrs, func(a spec.Addr) bool {
		return a.Prefix.Bits() <= p.Bits() && a.Prefix.Contains(p.Addr()) &&
			slices.ContainsFunc(h.Links, func(l spec.Link) bool { return l.Name == a.Link && l.Kind == spec.Bridge })
	})
}
