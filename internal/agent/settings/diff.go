package settings

import (
	"github.com/flocknet/flock/internal/agent/family"
	"github.com/flocknet/flock/internal/agent/sysctl"
	"github.com/flocknet/flock/internal/spec"
)

// diffSysctls tells settings of links, which go with them, from global ones,
// which are restored.
func diffSysctls(want, have []spec.Sysctl) (ofLinks, global family.Pair) {
	key := func(s spec.Sysctl) string { return s.Key }
	object := func(s spec.Sysctl) string { return "sysctl " + s.Key }
	all := family.Compare(want, have, key, object)
	for _, op := range all.Come {
		w := op.Want.(spec.Sysctl)
		op.Step.Detail = w.Value
		if h, ok := op.Have.(spec.Sysctl); ok {
			if h.Value == w.Value {
				continue // nothing to write: only the note differs whose it is
			}
			op.Step.Detail = h.Value + " -> " + w.Value
		}
		if w.Link != "" {
			ofLinks.Come = append(ofLinks.Come, op)
		} else {
			global.Come = append(global.Come, op)
		}
	}
	for _, op := range all.Gone {
		h := op.Have.(spec.Sysctl)
		if h.Link != "" {
			continue
		}
		op.Step.Detail = h.Value + " -> " + h.Back
		if h.Kept != "" {
			op.Step.Detail = "stays " + h.Value + " for " + h.Kept
		}
		global.Gone = append(global.Gone, op)
	}
	// A host that forwards forgets the routers it learned unless accept_ra is 2
	// by then (linux, addrconf.c: rt6_purge_dflt_routers): first in, last out.
	first := func(a, b family.Op) int { return sysctl.AcceptsRA(b.Step.Object) - sysctl.AcceptsRA(a.Step.Object) }
	global.Come = family.InSequence(global.Come, first)
	global.Gone = family.InSequence(global.Gone, func(a, b family.Op) int { return first(b, a) })
	return ofLinks, global
}
