//go:build linux

package bgp

import (
	"net/netip"
	"slices"
)

// bests are the best paths to each destination, several where they are equally good.
// GoBGP tells only which of them came and went. A list is never changed, so that
// destinations may share it: of ten thousand most have the same.
type bests map[netip.Prefix][]learned

// learned is a path as far as the kernel's route depends on it.
type learned struct {
	from, hop netip.Addr // invalid: of our own
}

// told is what GoBGP said about one path: that it is among the best, or no more.
type told struct {
	to netip.Prefix
	learned
	gone bool
}

// note takes up what was told; each neighbour has one path to a destination at most.
func (b bests) note(all []told) {
	var one []learned // of the path told last
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

// paths are the best paths to p; none if they are of our own. The list is shared.
func (b bests) paths(p netip.Prefix) []learned {
	own := func(l learned) bool { return !l.from.IsValid() || !l.hop.IsValid() }
	if list := b[p]; !slices.ContainsFunc(list, own) {
		return list
	}
	return slices.DeleteFunc(slices.Clone(b[p]), own)
}
