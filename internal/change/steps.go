package change

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/flocknet/flock/internal/edit"
	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// A command may be a change of several steps: keys rotate one after the other, previous
// BGP sessions end when the current ones are up, a server's entry is removed when
// nothing is on the server any more. All steps are one run: the file stays locked, gets
// one new generation, and each server has one session. Every step saves the desired
// state before it is pushed, so that apply can finish an interrupted command.

// step has the servers plan the last edit, and applies it.
func (r *run) step(ctx context.Context) error {
	if err := r.plan(ctx, spec.OpPlan); err != nil {
		return err
	}
	if err := r.agreed(); err != nil {
		return err
	}
	return r.carry(ctx)
}

// agreed is the error about a server that must answer and does not, or that refuses.
func (r *run) agreed() error {
	if err := r.mustAnswer(); err != nil {
		return err
	}
	return r.refusal()
}

// carry applies the plans.
func (r *run) carry(ctx context.Context) error {
	if err := r.keys(ctx); err != nil {
		return err
	}
	if err := r.mustAnswer(); err != nil {
		return err
	}
	r.clouds.Before(&r.c.Clouds)
	if err := r.save(); err != nil {
		return err
	}
	r.clouds.Make(ctx)
	for name, err := range r.clouds.Lacking() {
		if p := r.peers[name]; p != nil && p.err == nil && p.plan != nil && len(p.plan.Steps) > 0 {
			p.err = err
		}
	}
	r.push(ctx)
	r.clouds.Clear(ctx, r.clouded, func(server string) bool {
		p := r.peers[server]
		return p != nil && p.err != nil && !r.forced(server)
	})
	err := r.record() // before the outcome, which tells what is pending
	r.handshake(ctx)
	r.probeNew(ctx)
	// What cannot be noted is found again by whoever looks.
	_ = r.e.Store.NoteVerdicts(r.c, r.called, r.verdicts)
	return err
}

// again begins the next step with its own edit. What was done on the servers so far
// stays in the outcome.
func (r *run) again(edit func(*state.Cluster) error) error {
	for _, p := range r.peers {
		p.turnOver()
	}
	r.formerly = append(r.formerly, r.cloudServers()...)
	r.clouds = nil
	r.req.Edit, r.req.All, r.req.Contact = edit, false, nil
	return r.edit()
}

// turnOver prepares p for another step. A server that failed takes no part in later
// steps.
func (p *peer) turnOver() {
	if p.err != nil {
		return
	}
	if p.plan != nil {
		p.planned = append(p.planned, p.plan.Steps...)
	}
	if p.report != nil {
		p.did, p.done = append(p.did, p.report.Steps...), true
	}
	p.want, p.plan, p.report, p.refused = nil, nil, nil, nil
}

// whole returns the plan and the report of all steps.
func (p *peer) whole() (*spec.Plan, *spec.Report) {
	plan, report := p.plan, p.report
	if len(p.planned) > 0 {
		all := spec.Plan{}
		if plan != nil {
			all = *plan
		}
		all.Steps = slices.Concat(p.planned, all.Steps)
		plan = &all
	}
	if p.done {
		all := spec.Report{}
		if report != nil {
			all = *report
		}
		all.Steps = slices.Concat(p.did, all.Steps)
		report = &all
	}
	return plan, report
}

// follow does the steps after the first one.
func (r *run) follow(ctx context.Context) error {
	if err := r.rotate(ctx); err != nil {
		return err
	}
	if err := r.await(ctx); err != nil {
		return err
	}
	return r.retire(ctx)
}

// rotate changes the remaining keys, until one fails.
func (r *run) rotate(ctx context.Context) error {
	edit := r.req.Edit
	for i, t := range r.req.Rotate {
		if i > 0 {
			r.turn = t
			if err := r.again(edit); err != nil {
				return err
			}
			r.req.Contact = []string{t.Server}
			if err := r.step(ctx); err != nil {
				return err
			}
		}
		if p := r.peers[t.Server]; p == nil || p.err != nil {
			return ctx.Err()
		}
	}
	return nil
}

// retire removes the leaving servers from the file, and what remains of flock from the
// servers. A server that still has something of flock's stays in the file, unless it is
// forced.
func (r *run) retire(ctx context.Context) error {
	var leave []string
	for _, name := range r.leaving() {
		p := r.peers[name]
		if p != nil && p.err != nil && !r.req.Force {
			continue
		}
		if s := r.c.Servers[name]; s.Facts != nil || s.Confirmed != nil || p != nil { // flock has been there
			if err := r.clean(ctx, name); err != nil {
				if !r.req.Force {
					continue // it is told
				}
				r.stayed = append(r.stayed, Stayed{Server: name, Err: err})
			}
		}
		leave = append(leave, name)
	}
	if len(leave) == 0 {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("delete %s: %w", ground.Few(leave), err)
	}
	err := r.again(func(c *state.Cluster) error {
		var errs []error
		for _, name := range leave {
			if slices.ContainsFunc(r.stayed, func(s Stayed) bool { return s.Server == name }) {
				edit.Bury(c, name, c.Servers[name], false)
			}
			errs = append(errs, edit.DelServer(c, name, false))
		}
		return errors.Join(errs...)
	})
	if err != nil {
		return err
	}
	r.retired = leave
	return r.step(ctx)
}

// clean removes everything from a server, the agent included.
func (r *run) clean(ctx context.Context, name string) error {
	p := r.peers[name]
	if p == nil {
		p = &peer{name: name}
		r.peers[name] = p
	}
	if p.err != nil && p.session == nil {
		return p.err
	}
	if p.err = p.dial(ctx, r.e, r.c); p.err != nil {
		return p.err
	}
	report, err := p.purge(ctx, r.e, &spec.Host{Cluster: r.c.Name, Store: r.c.ID, Server: name})
	if p.err = err; err != nil {
		return err
	}
	p.turnOver()
	p.did, p.done = append(p.did, report.Steps...), true
	return nil
}

// purge removes everything of want's cluster from p's server. Something that remains is
// an error.
func (p *peer) purge(ctx context.Context, e *Engine, want *spec.Host) (*spec.Report, error) {
	e.touching()
	reply, err := p.do(ctx, e, &spec.Request{Op: spec.OpPurge, Want: want, Holder: e.Holder})
	if reply == nil {
		return nil, err
	}
	return reply.Report, err
}

// foresee makes a dry run show the result of all steps, and what is removed from the
// file.
func (r *run) foresee(was *state.Cluster) error {
	r.renamed(func(from, to string) { _ = edit.RenameServer(was, from, to) }) // the edit did it too
	for name, n := range r.c.Networks {
		if of, known := r.networks[n]; known && of != name {
			_ = edit.RenameNetwork(was, of, name)
		}
	}
	r.gone = edit.Leaving(was, r.c, r.leaving())
	if r.req.Await == nil {
		return nil
	}
	for _, name := range network.BGPNetworks(r.c) {
		if r.c.Networks[name].Before != nil && r.mayAwait(name) {
			if err := edit.FinishSessions(r.c, name); err != nil {
				return err
			}
		}
	}
	return nil
}
