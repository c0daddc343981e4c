//go:build linux

package agent

import (
	"context"

	"github.com/flocknet/flock/internal/spec"
)

// family is one sort of object that a server can hold: how it is seen, what differs, and
// how a difference is made good. It is a table line of functions and no interface: the
// table is laid out at build time, and costs the program no type and no method table.
//
// Of one, batch and all there is exactly one; what comes after them may be nil.
type family struct {
	stage stage
	what  string // what observe looks at, for errors

	// observe adds to have what is there. Links, and all that Kernel.look reads, are
	// there before those behind them in the table.
	observe func(ctx context.Context, k *Kernel, want, have *spec.Host) error
	// diff puts into d what differs. It is pure.
	diff func(d *difference)
	// standsOn takes out of have what stands on links that vanish: it goes with them.
	standsOn func(have *spec.Host, vanish map[string]bool)

	// one carries out an op at once.
	one func(ctx context.Context, a *applier, op Op) error
	// batch is an op as messages to the kernel, which are sent with others.
	batch func(a *applier, op Op) (messages, error)
	// took hears of an op whose messages the kernel took.
	took func(k *Kernel, op Op)
	// all carries out ops, which were held back for that, when their stage ends.
	all func(ctx context.Context, a *applier, ops []Op) error

	// prepare remembers, before the first op, what the ops of want must not lose.
	prepare func(k *Kernel, want *spec.Host) error
	// settle ends a Reconcile that found nothing more to do.
	settle func(k *Kernel, want *spec.Host) error

	// glance looks again at these objects alone, after ops on them; nil where such an op
	// can change more than it names.
	glance func(k *Kernel, want, have *spec.Host) error
	// shaken is glance where ops on whatever objects may have moved them.
	shaken func(k *Kernel, want, have *spec.Host) error
}

// families are all sorts of objects, in the order in which they come.
var families = [...]*family{
	&unmanagedFamily, &linkFamily, &sysctlFamily, &addrFamily, &neighFamily, &fdbFamily, &peerFamily, &memberFamily,
	&filterFamily, &routeFamily, &dhcpFamily, &envFamily, &bgpFamily,
}

// stage of a round, whose end something waits for.
type stage int

const (
	stageOther   stage = iota
	stageMake          // links and what stands on them
	stageFilters       // packet filters, written as a whole
	stageUse           // what needs links that are up
	stageBGP           // the BGP daemon, which takes up all changes at once
)

// Diff returns what turns have into want, in the order in which it must happen.
// It is pure; equal arguments give equal results whatever the order of their
// slices. Objects that go with a link that goes are not listed; a link that is
// made anew brings all that was on it back.
func Diff(want, have *spec.Host) []Op {
	d := &difference{want: want, have: have, links: diffLinks(want.Links, have.Links)}
	if len(d.links.vanish) > 0 {
		less := *have
		for _, f := range families {
			if f.standsOn != nil {
				f.standsOn(&less, d.links.vanish)
			}
		}
		d.have = &less
	}
	var all [len(families)][turns][]Op
	for i, f := range families {
		d.found = [turns][]Op{}
		f.diff(d)
		for _, ops := range d.found {
			for j := range ops {
				ops[j].family = i
			}
		}
		all[i] = d.found
	}
	var out []Op
	for turn := range turns {
		for i := range all {
			if turn.backward() {
				i = len(all) - 1 - i
			}
			out = append(out, all[i][turn]...)
		}
	}
	return out
}
