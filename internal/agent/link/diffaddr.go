package link

import (
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/agent/family"
	"github.com/flocknet/flock/internal/spec"
)

// The addresses of a link have one order, whatever happened to them: the server's own
// first, then those that are a host's prefix, the gateway and what floats. Docker takes
// a bridge's first IPv4 address for its gateway (20.10), and dnsmasq 2.90 calls itself
// by the first one that is in its range (complete_context): at the gateway's every server
// answers for itself, so that renewals and releases would not arrive.

// byPlace orders addresses of one family as ip addr is to show them.
func byPlace(a, b netip.Prefix) int {
	if a.Bits() != b.Bits() {
		return a.Bits() - b.Bits()
	}
	return a.Addr().Compare(b.Addr())
}

// byTurn orders addresses as they have to be added: the kernel puts a new IPv4 address
// behind those that are there, a new IPv6 address before them (__inet_insert_ifa,
// ipv6_link_dev_addr; linux 6.18).
func byTurn(a, b netip.Prefix) int {
	switch {
	case a.Addr().Is4() != b.Addr().Is4():
		return a.Addr().BitLen() - b.Addr().BitLen()
	case a.Addr().Is4():
		return byPlace(a, b)
	}
	return byPlace(b, a)
}

func diffAddrs(want, have []spec.Addr) family.Pair {
	c := family.Compare(want, have, func(a spec.Addr) spec.Addr { return spec.Addr{Link: a.Link, Prefix: a.Prefix} }, spec.Addr.String)
	for i := range c.Come {
		if c.Come[i].Have != nil {
			c.Come[i].Step.Detail = "out of order"
		}
	}
	c.Come = family.InSequence(c.Come, func(a, b family.Op) int { return byTurn(a.Want.(spec.Addr).Prefix, b.Want.(spec.Addr).Prefix) })
	return c
}

// followed says whether gone leaves its link after another address has come: with the last
// IPv4 address of a link the kernel drops its routes and neighbours. Bridges have their
// order, and an address of the same subnet would go along.
func followed(want *spec.Host, gone spec.Addr) bool {
	for _, l := range want.Links {
		if l.Name == gone.Link && l.Kind == spec.Bridge {
			return false
		}
	}
	comes := false
	for _, a := range want.Addrs {
		if a.Link != gone.Link || a.Prefix.Addr().Is4() != gone.Prefix.Addr().Is4() {
			continue
		}
		if a.Prefix.Overlaps(gone.Prefix) {
			return false
		}
		comes = true
	}
	return comes
}

// foundAddr is an address of a link as the kernel lists them.
type foundAddr struct {
	spec.Addr
	secondary bool // IPv4: goes with another one of its subnet, unless the kernel promotes it
}

// displace marks those of found, which are in the kernel's order, that have to be added
// anew for all that are wanted to come into their order: as few as possible. Added anew,
// they come after what stays; so what stays are the first ones of the order in which all
// have to be added, as far as they were.
func displace(want []spec.Addr, found []foundAddr) []spec.Addr {
	type group struct {
		link string
		four bool
	}
	of := func(a spec.Addr) group { return group{a.Link, a.Prefix.Addr().Is4()} }
	turns, wanted := map[group][]netip.Prefix{}, map[spec.Addr]bool{}
	for _, a := range want {
		turns[of(a)], wanted[a] = append(turns[of(a)], a.Prefix), true
	}
	for _, list := range turns {
		spec.SortPrefixesBy(list, byTurn)
	}
	out := make([]spec.Addr, len(found))
	place := func(i int) {
		f := found[i]
		out[i] = f.Addr
		if !wanted[f.Addr] {
			return
		}
		list := turns[of(f.Addr)]
		if len(list) == 0 || list[0] != f.Prefix || f.secondary && leans(f, found, wanted) {
			out[i].Displaced = true
			return
		}
		turns[of(f.Addr)] = list[1:]
	}
	for i, f := range found {
		if f.Prefix.Addr().Is4() {
			place(i)
		}
	}
	for i, f := range slices.Backward(found) {
		if !f.Prefix.Addr().Is4() {
			place(i)
		}
	}
	return out
}

// leans says whether f may go with an address that is not wanted.
func leans(f foundAddr, found []foundAddr, wanted map[spec.Addr]bool) bool {
	return slices.ContainsFunc(found, func(o foundAddr) bool {
		return o.Link == f.Link && !o.secondary && o.Prefix.Masked() == f.Prefix.Masked() && !wanted[o.Addr]
	})
}
