// Package prefix owns the arithmetic of IP prefixes: the addresses in one, their sum, and
// the first that is free beside others. It knows nothing of networks, servers or files, and
// refuses nothing: what a prefix may be used for is for the caller.
package prefix

import (
	"cmp"
	"net/netip"
	"slices"
)

// Last is the highest address of p.
func Last(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// Top is the highest address that a host may have: below the broadcast
// address of IPv4.
func Top(p netip.Prefix) netip.Addr {
	a := Last(p)
	if a.Is4() {
		return a.Prev()
	}
	return a
}

// Alone is the prefix of a and no other address.
func Alone(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// HostOf says whether a host may have address a of p: in IPv4 not the
// subnet's first nor its last, but for a /31 (RFC 3021); in IPv6 not the routers'
// anycast address, but for a /127 (RFC 6164).
func HostOf(p netip.Prefix, a netip.Addr) bool {
	switch {
	case !p.Contains(a):
		return false
	case p.Bits() >= a.BitLen()-1:
		return true
	}
	return a != p.Addr() && (a.Is6() || a != Last(p))
}

// Lowest is the first address of p above its own that is not taken, and takes it; ok is
// false where none is free.
func Lowest(p netip.Prefix, taken map[netip.Addr]bool) (lowest netip.Addr, ok bool) {
	a := p.Addr().Next()
	for taken[a] {
		a = a.Next()
	}
	taken[a] = true
	return a, p.Contains(a) && (a.Is6() || a != Last(p))
}

// Compare sorts prefixes by their first address, those that begin alike by length, the
// shortest first.
func Compare(a, b netip.Prefix) int {
	return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
}

// Aggregate covers the same addresses with as few prefixes as there can be, sorted.
func Aggregate(list []netip.Prefix) []netip.Prefix {
	list = slices.Clone(list)
	slices.SortFunc(list, Compare)
	var out []netip.Prefix
	for _, p := range list {
		if len(out) > 0 && out[len(out)-1].Overlaps(p) {
			continue // sorted: the one before is the wider
		}
		out = append(out, p)
		for len(out) > 1 {
			a, b := out[len(out)-2], out[len(out)-1]
			wider := netip.PrefixFrom(a.Addr(), a.Bits()-1)
			if a.Bits() != b.Bits() || a.Bits() == 0 || wider != wider.Masked() || !wider.Contains(b.Addr()) || a.Addr().Is6() != b.Addr().Is6() {
				break
			}
			out = append(out[:len(out)-2], wider)
		}
	}
	return out
}
