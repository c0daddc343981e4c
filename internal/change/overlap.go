package change

import (
	"context"
	"slices"

	"github.com/flocknet/flock/internal/passage"
	"github.com/flocknet/flock/internal/remote"
	"github.com/flocknet/flock/internal/spec"
)

// Servers do not take another path at the same moment: each stage of the passage is applied
// on all of them before the next.

// asTurned makes a plan show routes as the stages change them. The agent compares with
// the last spec alone, and reports routes on a device that is removed, or made anew, as
// lost.
func (r *run) asTurned(p *peer) {
	was := r.was[p.name]
	if was == nil || p.plan == nil {
		return
	}
	var steps []spec.Step
	for _, s := range p.plan.Steps {
		object := func(r spec.Route) bool { return r.Object() == s.Object }
		before, now := slices.IndexFunc(was.Routes, object), slices.IndexFunc(p.want.Routes, object)
		if s.Action == spec.Add && before >= 0 && now >= 0 {
			from, to := was.Routes[before].String(), p.want.Routes[now].String()
			if from == to {
				continue
			}
			s = spec.Step{Action: spec.Change, Object: s.Object, Detail: spec.Difference(from, to)}
		}
		steps = append(steps, s)
	}
	p.plan.Steps = steps
}

// overlap applies all stages but the last on the servers of todo, each stage on all of
// them before the next, and returns what was done on each. A server that fails keeps the
// spec that it went back to, and stays pending.
func (r *run) overlap(ctx context.Context, todo []*peer) map[*peer][]spec.Step {
	done, ways := map[*peer][]spec.Step{}, map[*peer][]*spec.Host{}
	vnis := r.passingVNIs()
	for _, p := range todo {
		if was := r.was[p.name]; was != nil {
			ways[p] = passage.Between(was, p.want, vnis)
		}
	}
	for stage := range passage.Most {
		now := slices.DeleteFunc(slices.Clone(todo), func(p *peer) bool { return p.err != nil || stage >= len(ways[p]) })
		results := remote.Each(ctx, now, r.e.parallel(), func(ctx context.Context, p *peer) (*spec.Report, error) {
			last := p.want
			defer func() { p.want = last }()
			p.want = ways[p][stage]
			return p.apply(ctx, r.e, r.given(p, nil))
		})
		for i, res := range results {
			p := now[i]
			p.report, p.err = res.Value, res.Err
			if res.Value != nil {
				done[p] = append(done[p], res.Value.Steps...)
			}
			if p.err != nil {
				r.e.event(Event{Server: p.name, Done: true, Err: p.err})
			}
		}
	}
	return done
}
