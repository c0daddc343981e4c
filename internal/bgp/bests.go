//go:build linux

package bgp

import (
	"net/netip"
	"slices"
)

// bests are the best paths to each destination; several if they are equally good. GoBGP
// reports only which paths became best and which ceased to be. A list is never changed
// in place: destinations share it, as most of ten thousand have the same.
type bests map[netip.Prefix][]learned

// learned is the part of a path that the kernel's route depends on.
type learned struct {
	from, hop netip.Addr // invalid: announced by this server
}

// told is one report of GoBGP: that a path is among the best, or not any more.
type told struct {
	to netip.Prefix
	learned
	gone bool
}

// note applies reports. Each neighbour has at most one path to a destination.
func (b bests) note(all []told) {
	var one []learned // the list with the last reported path alone
	for _, t := range all {
		have := b[t.to]
		at := slices.IndexFunc(have, func(o learned) bool { return o.from == t.from })
		switch {
		case t.gone && at >= 0 && len(have) == 1:
			delete(b, t.to)
		case t.gone && at >= 0:
			b[t.to] = slices.Delete(slices.Clone(have), at, at+1)
		case t.gone:
		case at < 0 && len(have) > 0:
			b[t.to] = append(slices.Clip(have), t.learned)
		case at >= 0 && len(have) > 1:
			have = slices.Clone(have)
			have[at] = t.learned
			b[t.to] = have
		default:
			if len(one) == 0 || one[0] != t.learned {
				one = []learned{t.learned}
			}
			b[t.to] = one
		}
	}
}

// paths are the best paths to p; none if this server announces p. The list is shared: it
// must not be changed.
func (b bests) paths(p netip.Prefix) []learned {
	own := func(l learned) bool { return !l.from.IsValid() || !l.hop.IsValid() }
	if list := b[p]; !slices.ContainsFunc(list, own) {
		return list
	}
	return slices.DeleteFunc(slices.Clone(b[p]), own)
}
