//go:build linux

package family

import (
	"context"
	"net/netip"

	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/unit"
	"github.com/flocknet/flock/internal/spec"
)

// Family is one sort of object that a server can hold: how it is seen, what differs, and
// how a difference is made good. It is a table line of functions and no interface: the
// table is laid out at build time, and costs the program no type and no method table.
//
// Of One, Batch and All there is exactly one; what comes after them may be nil.
type Family struct {
	Stage Stage
	What  string // what Observe looks at, for errors

	// Observe adds to have what is there. Links, and all that Host.Look reads, are
	// there before those behind them in the table.
	Observe func(ctx context.Context, k *host.Host, want, have *spec.Host) error
	// Diff puts into d what differs. It is pure.
	Diff func(d *Difference)
	// StandsOn takes out of have what stands on links that vanish: it goes with them.
	StandsOn func(have *spec.Host, vanish map[string]bool)

	// One carries out an op at once.
	One func(ctx context.Context, a *Applier, op Op) error
	// Batch is an op as messages to the kernel, which are sent with others.
	Batch func(a *Applier, op Op) (Messages, error)
	// Took hears of an op whose messages the kernel took.
	Took func(k *host.Host, op Op)
	// All carries out ops, which were held back for that, when their stage ends.
	All func(ctx context.Context, a *Applier, ops []Op) error

	// Implied returns want with what follows from it on this server.
	Implied func(k *host.Host, want *spec.Host) (*spec.Host, error)
	// Underlay names what want's objects stand on that is no object of ours and is not
	// there yet, "" if all of it is; there are the addresses of the server.
	Underlay func(want *spec.Host, there map[netip.Addr]bool) string
	// Explain adds to the step of an op what it costs others.
	Explain func(k *host.Host, op *Op)
	// Status adds to a status how these objects get on.
	Status func(k *host.Host, plan *spec.Plan)

	Tried // while planning

	// Prepare remembers, before the first op, what the ops of want must not lose.
	Prepare func(k *host.Host, want *spec.Host) error
	// Finish ends a Reconcile that found nothing more to do.
	Finish func(ctx context.Context, k *host.Host, want *spec.Host) error
	// Daemons are the daemons that want asks for.
	Daemons func(s *host.Files, want *spec.Host) []unit.Daemon
	// Run starts those that do not run and ends the others. It comes after every Finish,
	// because it can take seconds.
	Run func(ctx context.Context, s *host.Files, want *spec.Host) error
	// Strays ends what nobody knows any more, when nothing is to be left.
	Strays func(ctx context.Context, k *host.Host) error
	// Remains names what is there of the cluster's objects, after a look.
	Remains func(k *host.Host) ([]string, error)

	// Apart says that no other family's objects need these.
	Apart bool

	// Marked says that each of remains bears the cluster's mark, which needs no memory.
	Marked bool

	// Glance looks again at these objects alone, after ops on them; nil where such an op
	// can change more than it names.
	Glance func(k *host.Host, want, have *spec.Host) error
	// Shaken is Glance where ops on whatever objects may have moved them.
	Shaken func(k *host.Host, want, have *spec.Host) error
}

// Tried is what a plan tries of ops: a server that cannot take a change says so before any
// other has taken it.
type Tried struct {
	// Files are the directories in which an op writes. Systemd says that it asks systemd.
	Files func(s *host.Files, op Op) (dirs []string, systemd bool)
	// Watcher is a process that op starts and that takes an inotify instance, "" for none.
	Watcher func(k *host.Host, op Op) (string, error)
	// Listens are the sockets that op opens.
	Listens func(k *host.Host, op Op) []host.Sockets
	// Claim says what stands in the way of want, of which ops are these objects' part.
	Claim func(ctx context.Context, k *host.Host, want *spec.Host, ops []Op) ([]spec.Problem, error)
	// Ask is Claim where somebody else has to answer: the kernel a trial, a resolver.
	Ask func(ctx context.Context, k *host.Host, want *spec.Host, ops []Op) []spec.Problem

	// Planned hears that a plan was made, whose look Reconcile may do without.
	Planned func(k *host.Host)
	// Moved says that this look may be stale, though the kernel reported nothing.
	Moved func(k *host.Host, want *spec.Host) bool
}

// Stage of a round, whose end something waits for.
type Stage int

const (
	StageOther   Stage = iota // what nothing waits for
	StageMake                 // links and what stands on them
	StageFilters              // packet filters, written as a whole
	StageUse                  // what needs links that are up
	StageBGP                  // the BGP daemon, which takes up all changes at once
)

// Diff returns what turns have into want, by the families of a table, in the order in
// which it must happen. It is pure; equal arguments give equal results whatever the order
// of their slices. Objects that go with a link that goes are not listed; a link that is
// made anew brings all that was on it back.
func Diff(table []*Family, want, have *spec.Host) []Op {
	less := *have
	d := &Difference{Want: want, Have: &less}
	all := make([][turns][]Op, len(table))
	for i, f := range table {
		if f.StandsOn != nil && len(d.Vanish) > 0 {
			f.StandsOn(d.Have, d.Vanish)
		}
		d.Found = [turns][]Op{}
		f.Diff(d)
		for _, ops := range d.Found {
			for j := range ops {
				ops[j].Family = i
			}
		}
		all[i] = d.Found
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

// OpsOf are the ops of one family.
func OpsOf(ops []Op, family int) []Op {
	var out []Op
	for _, op := range ops {
		if op.Family == family {
			out = append(out, op)
		}
	}
	return out
}
