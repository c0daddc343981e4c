//go:build linux

package bgp

import (
	"net/netip"
	"slices"
)

// reached is how the next hop of a path resolves. It is computed once per round.
type reached struct {
	hops   []hop // one, or none; routes with the same next hop share it
	why    string
	silent bool // there is a route to it, but it does not answer
}

// resolve returns the hops of the route to p; nil if there can be none.
func (f *fib) resolve(p netip.Prefix, reach map[learned]reached) []hop {
	paths := f.best.paths(p)
	if len(paths) == 0 {
		return nil
	}
	if why := f.world.refuses(p); why != "" {
		f.why[p] = why
		return nil
	}
	hops, why := f.inReach(paths, reach)
	if len(hops) == 0 {
		f.retry = true
		for _, path := range f.others(p) {
			if hops, _ = f.inReach([]learned{path}, reach); len(hops) > 0 {
				break
			}
		}
	}
	if len(hops) == 0 {
		if hops = f.stays(p, paths, reach); len(hops) > 0 {
			f.silent[p], why = why, ""
		}
	}
	if takes := f.takes(p, hops); takes != "" {
		f.held[p], why, hops = true, takes, nil
	}
	if len(hops) == 0 {
		f.why[p] = why
	}
	return hops
}

// inReach returns the hops of the paths whose next hops answer; why says what is wrong
// with the last of the others.
func (f *fib) inReach(paths []learned, reach map[learned]reached) (hops []hop, why string) {
	for _, path := range paths {
		switch r := f.reaches(path, reach); {
		case r.why != "":
			why = r.why
		case len(hops) == 0:
			hops = r.hops
		default:
			hops = append(slices.Clip(hops), r.hops...)
		}
	}
	if len(hops) < 2 {
		return hops, why
	}
	slices.SortFunc(hops, compareHops)
	return slices.Compact(hops), why
}

// reaches resolves path's next hop. A neighbour that is its own next hop has a session
// with this server: it answers.
func (f *fib) reaches(path learned, reach map[learned]reached) reached {
	if path.from != path.hop {
		path.from = netip.Addr{}
	}
	r, known := reach[path]
	if known {
		return r
	}
	h, why := f.world.resolve(path.hop, f.allowed.anywhere[path.hop])
	r.why = why
	if why == "" {
		r.hops = []hop{h}
	}
	if why == "" && !path.from.IsValid() && f.world.devices[h.dev].arp && !f.answers(h) {
		r.why, r.silent = "next hop "+path.hop.String()+" does not answer", true
		if h.via != path.hop {
			r.why = "the way to next hop " + path.hop.String() + ", " + h.via.String() + ", does not answer"
		}
	}
	reach[path] = r
	return r
}

// stays returns the kernel's route to p if all its hops are next hops of paths that do
// not answer any more. There is no better route, and traffic flows again as soon as one
// of them answers.
func (f *fib) stays(p netip.Prefix, paths []learned, reach map[learned]reached) []hop {
	have := f.have[p]
	for _, h := range have {
		if !slices.ContainsFunc(paths, func(path learned) bool { r := f.reaches(path, reach); return r.silent && r.hops[0] == h }) {
			return nil
		}
	}
	return have
}
