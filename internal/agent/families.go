//go:build linux

package agent

import (
	"context"

	"github.com/flocknet/flock/internal/agent/host"
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
	observe func(ctx context.Context, k *host.Host, want, have *spec.Host) error
	// diff puts into d what differs. It is pure.
	diff func(d *difference)
	// standsOn takes out of have what stands on links that vanish: it goes with them.
	standsOn func(have *spec.Host, vanish map[string]bool)

	// one carries out an op at once.
	one func(ctx context.Context, a *applier, op Op) error
	// batch is an op as messages to the kernel, which are sent with others.
	batch func(a *applier, op Op) (messages, error)
	// took hears of an op whose messages the kernel took.
	took func(k *host.Host, op Op)
	// all carries out ops, which were held back for that, when their stage ends.
	all func(ctx context.Context, a *applier, ops []Op) error

	// implied returns want with what follows from it on this server.
	implied func(k *host.Host, want *spec.Host) (*spec.Host, error)
	// explain adds to the step of an op what it costs others.
	explain func(k *host.Host, op *Op)
	// status adds to a status how these objects get on.
	status func(k *host.Host, plan *spec.Plan)

	tried // while planning

	// prepare remembers, before the first op, what the ops of want must not lose.
	prepare func(k *host.Host, want *spec.Host) error
	// finish ends a Reconcile that found nothing more to do.
	finish func(ctx context.Context, k *host.Host, want *spec.Host) error
	// strays ends what nobody knows any more, when nothing is to be left.
	strays func(ctx context.Context, k *host.Host) error
	// remains names what is there of the cluster's objects, after a look.
	remains func(k *host.Host) ([]string, error)

	// marked says that each of remains bears the cluster's mark, which needs no memory.
	marked bool

	// glance looks again at these objects alone, after ops on them; nil where such an op
	// can change more than it names.
	glance func(k *host.Host, want, have *spec.Host) error
	// shaken is glance where ops on whatever objects may have moved them.
	shaken func(k *host.Host, want, have *spec.Host) error
}

// tried is what a plan tries of ops: a server that cannot take a change says so before any
// other has taken it.
type tried struct {
	// files are the directories in which an op writes. Systemd says that it asks systemd.
	files func(s *host.Files, op Op) (dirs []string, systemd bool)
	// watcher is a process that op starts and that takes an inotify instance, "" for none.
	watcher func(k *host.Host, op Op) (string, error)
	// listens are the sockets that op opens.
	listens func(k *host.Host, op Op) []sockets
	// claim says what stands in the way of want, of which ops are these objects' part.
	claim func(ctx context.Context, k *host.Host, want *spec.Host, ops []Op) ([]spec.Problem, error)
	// ask is claim where somebody else has to answer: the kernel a trial, a resolver.
	ask func(ctx context.Context, k *host.Host, want *spec.Host, ops []Op) []spec.Problem

	// planned hears that a plan was made, whose look Reconcile may do without.
	planned func(k *host.Host)
	// moved says that this look may be stale, though Kernel.watch saw nothing.
	moved func(k *host.Host, want *spec.Host) bool
}

// families are all sorts of objects, in the order in which they come.
var families = []*family{
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
	all := make([][turns][]Op, len(families))
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

// opsOf are the ops of one family.
func opsOf(ops []Op, family int) []Op {
	var out []Op
	for _, op := range ops {
		if op.family == family {
			out = append(out, op)
		}
	}
	return out
}
