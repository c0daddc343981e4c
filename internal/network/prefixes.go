package network

import (
	"cmp"
	"net/netip"
	"slices"
)

// aggregate covers the same addresses with as few prefixes as there can be, sorted.
func aggregate(list []netip.Prefix) []netip.Prefix {
	list = slices.Clone(list)
	slices.SortFunc(list, byPrefix)
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

func byPrefix(a, b netip.Prefix) int {
	return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
}
