//go:build linux

package family

import (
	"context"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/rtnl"
	"github.com/flocknet/flock/internal/spec"
)

// Applier performs the ops of one round. Messages to the kernel about small
// objects are gathered and sent together; new links stay down until what stands on
// them is there, so that no frame passes a half-made network.
type Applier struct {
	Host *host.Host
	Want *spec.Host
	GoOn func() bool // beyond objects of families that stand Apart, and fail to come; nil: no
	Left error       // what was wrong with those
	done func(spec.Step)

	families []*Family // the table
	held     [][]Op    // until their stage ends, by family
	batch    []*nl.NetlinkRequest
	batched  []Op        // one per message; without a step where it only prepares or ends another one
	Cover    *host.Cover // of routes, nil until it is asked for
	Down     []string    // links that are still down
}

// NewApplier returns what carries out ops of a table of families on k; done hears of each step.
func NewApplier(k *host.Host, table []*Family, want *spec.Host, done func(spec.Step)) *Applier {
	return &Applier{Host: k, Want: want, done: done, families: table, held: make([][]Op, len(table))}
}

// Apply carries out ops, which are sorted as Diff sorts them. The error of the first that
// fails ends it, unless it goes to Left.
func (a *Applier) Apply(ctx context.Context, ops []Op) error {
	a.Host.Fresh = false
	for i, op := range ops {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := a.one(ctx, op); err != nil {
			if err = a.leave(op, fmt.Errorf("%s: %w", Verb(op.Step), err)); err != nil {
				return err
			}
		}
		of := a.stage(op)
		if last := i == len(ops)-1; last || a.stage(ops[i+1]) != of {
			if err := a.leave(op, a.finish(ctx, of, last)); err != nil {
				return err
			}
		}
	}
	return nil
}

// leave keeps an error of op for Left, if nothing waits for what op is about.
func (a *Applier) leave(op Op, err error) error {
	if err == nil || op.Want == nil || !a.families[op.Family].Apart || a.GoOn == nil || !a.GoOn() {
		return err
	}
	a.Left = errors.Join(a.Left, err)
	return nil
}

func (a *Applier) stage(op Op) Stage { return a.families[op.Family].Stage }

// finish ends a stage: what was gathered is sent.
func (a *Applier) finish(ctx context.Context, of Stage, last bool) error {
	if err := a.Flush(ctx); err != nil {
		return err
	}
	if of == StageFilters || last {
		return a.Up()
	}
	return nil
}

// one performs op, or gathers it.
func (a *Applier) one(ctx context.Context, op Op) error {
	f := a.families[op.Family]
	switch {
	case f.Batch != nil:
		return a.gather(op, f.Batch)
	case f.All != nil:
		a.held[op.Family] = append(a.held[op.Family], op)
		return nil
	}
	err := f.One(ctx, a, op)
	if err == nil {
		a.done(op.Step)
	}
	return err
}

// Messages are those of one op: what must be sent before, its own, and what must be sent
// after it; nil for none.
type Messages [3]*nl.NetlinkRequest

// Alone is an op's own message with none around it.
func Alone(m *nl.NetlinkRequest, err error) (Messages, error) { return Messages{1: m}, err }

// gather keeps the messages of a small object until the batch is full.
func (a *Applier) gather(op Op, batch func(*Applier, Op) (Messages, error)) error {
	list, err := batch(a, op)
	if err != nil {
		return err
	}
	if len(a.batch)+len(list) > rtnl.MaxBatch {
		if err := a.send(); err != nil {
			return err
		}
	}
	for i, m := range list {
		switch {
		case m == nil:
		case i == 1:
			a.batch, a.batched = append(a.batch, m), append(a.batched, op)
		default:
			a.batch, a.batched = append(a.batch, m), append(a.batched, Op{})
		}
	}
	return nil
}

// Flush sends what was gathered, and does what was held back.
func (a *Applier) Flush(ctx context.Context) error {
	errs := []error{a.send()}
	for i, ops := range a.held {
		if len(ops) == 0 {
			continue
		}
		a.held[i] = nil
		err := a.families[i].All(ctx, a, ops)
		errs = append(errs, err)
		if err != nil {
			continue
		}
		for _, op := range ops {
			a.done(op.Step)
		}
	}
	return errors.Join(errs...)
}

// send sends what was gathered.
func (a *Applier) send() error {
	if len(a.batch) == 0 {
		return nil
	}
	answers, err := a.Host.RT.Send(a.batch...)
	if err != nil {
		return err
	}
	var failed error
	for i, err := range answers {
		op := a.batched[i]
		s := op.Step
		switch {
		case s.Object == "": // what it was for says whether it was of use
		case err == nil:
			a.done(s)
			if took := a.families[op.Family].Took; took != nil {
				took(a.Host, op)
			}
		case s.Action == spec.Remove && host.Gone(err):
			// It went by itself: a secondary address with its primary, a route with
			// its device.
		case failed != nil:
		case errors.Is(err, unix.EEXIST):
			failed = hint.With(fmt.Errorf("%s: %w", Verb(s), err), "", "remove what is there, then flock apply")
		default:
			failed = fmt.Errorf("%s: %w", Verb(s), err)
		}
	}
	a.batch, a.batched = a.batch[:0], a.batched[:0]
	return failed
}

// Verb is what a step does, for errors: add link vxl0.
func Verb(s spec.Step) string {
	switch s.Action {
	case spec.Add:
		return "add " + s.Object
	case spec.Remove:
		return "remove " + s.Object
	}
	return "change " + s.Object
}

// Up sets the links up that were made.
func (a *Applier) Up() error {
	err := a.Host.Raise(a.Down)
	a.Down = nil
	return err
}

// UpNow is up for an op that is about to be gathered and needs links that are up.
func (a *Applier) UpNow() error {
	if len(a.Down) == 0 {
		return nil
	}
	if err := a.send(); err != nil {
		return err
	}
	return a.Up()
}
