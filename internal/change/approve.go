package change

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/remote"
	"github.com/flocknet/flock/internal/spec"
)

// A person may take an hour to answer. Servers must not be locked for that time: the
// plan that is shown is made without locks, and the servers plan again with locks after
// the answer.

// planAgain has the servers plan again under their locks, and refuses plans that differ
// from what was approved.
func (r *run) planAgain(ctx context.Context) error {
	r.looking = false
	tables := r.clouds.Steps()
	approved := map[string]string{}
	for name, p := range r.peers {
		if p.err == nil && p.plan != nil {
			approved[name] = stepLines(p.plan)
			p.want, p.plan, p.refused = nil, nil, nil
		}
	}
	if err := r.plan(ctx, spec.OpPlan); err != nil {
		return err
	}
	if err := r.agreed(); err != nil {
		return err
	}
	for _, name := range sortedNames(r.peers) {
		p := r.peers[name]
		if p.err != nil || p.plan == nil || stepLines(p.plan) == approved[name] {
			continue
		}
		was := strings.Split(approved[name], "\n")
		other := slices.DeleteFunc(slices.Clone(p.plan.Steps), func(s spec.Step) bool { return slices.Contains(was, s.String()) })
		what := "less is to be done there"
		if len(other) > 0 {
			what = "now this is to be done there: " + spec.FewSteps(other)
		}
		return hint.Errorf("server "+name, r.e.command(), "%s changed while you were asked, nothing was changed: %s", name, what)
	}
	return r.clouds.Same(tables, r.e.command())
}

func stepLines(p *spec.Plan) string {
	var b strings.Builder
	for _, s := range p.Steps {
		fmt.Fprintln(&b, s)
	}
	return b.String()
}

// command is the command line.
func (e *Engine) command() string {
	if e.Dialer == nil || e.Dialer.Command == "" {
		return "flock plan"
	}
	return e.Dialer.Command
}

// meet logs in to new servers of todo before any server is locked: a person may have to
// check their host keys.
func (r *run) meet(ctx context.Context, todo []*peer) {
	strange := slices.DeleteFunc(slices.Clone(todo), func(p *peer) bool {
		s := r.c.Servers[p.name]
		return p.session != nil || s == nil || s.Facts != nil
	})
	if len(strange) == len(todo) || r.looking {
		return // no other server is locked meanwhile
	}
	results := remote.Each(ctx, strange, r.e.parallel(), func(ctx context.Context, p *peer) (struct{}, error) {
		return struct{}{}, p.dial(ctx, r.e, r.c)
	})
	for i, res := range results {
		strange[i].err = res.Err
	}
}
