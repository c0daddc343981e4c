//go:build linux

package agent

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

// applier performs the ops of one round. Messages to the kernel about small
// objects are gathered and sent together; new links stay down until what stands on
// them is there, so that no frame passes a half-made network.
type applier struct {
	k    *host.Host
	want *spec.Host
	done func(spec.Step)

	families []*family
	held     [][]Op // until their stage ends, by family
	batch    []*nl.NetlinkRequest
	batched  []Op     // one per message; without a step where it only prepares or ends another one
	cover    *cover   // nil until it is asked for
	raise    []string // links that are still down
}

func newApplier(k *host.Host, want *spec.Host, done func(spec.Step)) *applier {
	return &applier{k: k, want: want, done: done, families: families, held: make([][]Op, len(families))}
}

func (a *applier) apply(ctx context.Context, ops []Op) error {
	a.k.Fresh = false
	for i, op := range ops {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := a.one(ctx, op); err != nil {
			return fmt.Errorf("%s: %w", verb(op.Step), err)
		}
		of := a.stage(op)
		if last := i == len(ops)-1; last || a.stage(ops[i+1]) != of {
			if err := a.finish(ctx, of, last); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *applier) stage(op Op) stage { return a.families[op.family].stage }

// finish ends a stage: what was gathered is sent.
func (a *applier) finish(ctx context.Context, of stage, last bool) error {
	if err := a.flush(ctx); err != nil {
		return err
	}
	if of == stageFilters || last {
		return a.up()
	}
	return nil
}

// one performs op, or gathers it.
func (a *applier) one(ctx context.Context, op Op) error {
	f := a.families[op.family]
	switch {
	case f.batch != nil:
		return a.gather(op, f.batch)
	case f.all != nil:
		a.held[op.family] = append(a.held[op.family], op)
		return nil
	}
	err := f.one(ctx, a, op)
	if err == nil {
		a.done(op.Step)
	}
	return err
}

// messages are those of one op: what must be sent before, its own, and what must be sent
// after it; nil for none.
type messages [3]*nl.NetlinkRequest

// alone is an op's own message with none around it.
func alone(m *nl.NetlinkRequest, err error) (messages, error) { return messages{1: m}, err }

// gather keeps the messages of a small object until the batch is full.
func (a *applier) gather(op Op, batch func(*applier, Op) (messages, error)) error {
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

// flush sends what was gathered, and does what was held back.
func (a *applier) flush(ctx context.Context) error {
	errs := []error{a.send()}
	for i, ops := range a.held {
		if len(ops) == 0 {
			continue
		}
		a.held[i] = nil
		err := a.families[i].all(ctx, a, ops)
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
func (a *applier) send() error {
	if len(a.batch) == 0 {
		return nil
	}
	answers, err := a.k.RT.Send(a.batch...)
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
			if took := a.families[op.family].took; took != nil {
				took(a.k, op)
			}
		case s.Action == spec.Remove && host.Gone(err):
			// It went by itself: a secondary address with its primary, a route with
			// its device.
		case failed != nil:
		case errors.Is(err, unix.EEXIST):
			failed = hint.With(fmt.Errorf("%s: %w", verb(s), err), "", "remove what is there, then flock apply")
		default:
			failed = fmt.Errorf("%s: %w", verb(s), err)
		}
	}
	a.batch, a.batched = a.batch[:0], a.batched[:0]
	return failed
}

func verb(s spec.Step) string {
	switch s.Action {
	case spec.Add:
		return "add " + s.Object
	case spec.Remove:
		return "remove " + s.Object
	}
	return "change " + s.Object
}

// up sets the links up that were made.
func (a *applier) up() error {
	err := a.k.Raise(a.raise)
	a.raise = nil
	return err
}

// upNow is up for an op that is about to be gathered and needs links that are up.
func (a *applier) upNow() error {
	if len(a.raise) == 0 {
		return nil
	}
	if err := a.send(); err != nil {
		return err
	}
	return a.up()
}
