package change

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/flocknet/flock/internal/edit"
	"github.com/flocknet/flock/internal/remote"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// goneWait is how long the first packet of a server that left the cluster, and was away then,
// may take. Most of them never answer.
const goneWait = 3 * time.Second

// visit looks for servers that are gone and have something of flock's on them, where all
// servers are concerned, or one has just been replaced: if it runs after all, two have its
// addresses. A dry run has their plans; otherwise they are cleaned, and
// forgotten. One that does not answer is tried again next time.
func (r *run) visit(ctx context.Context) error {
	if (!r.req.All || len(r.req.Networks) > 0) && !r.req.Replaces || len(r.c.Gone) == 0 {
		return nil
	}
	results := remote.Each(ctx, r.c.Gone, r.e.parallel(), r.exhume)
	done := map[state.Gone]bool{}
	for i, res := range results {
		g := r.c.Gone[i]
		switch p := res.Value; {
		case p == nil || errors.Is(res.Err, remote.ErrUnreachable):
		case p.plan == nil: // it is a server of this cluster again, or of another
			done[g] = true
		default:
			p.err = res.Err
			r.visited = append(r.visited, p)
			done[g] = p.report != nil && p.err == nil
		}
	}
	if r.locked == nil || !edit.Forget(r.c, func(g state.Gone) bool { return done[g] }) {
		return ctx.Err()
	}
	return r.locked.Save(r.c)
}

// exhume contacts a server that is gone. The peer is nil where it is not there, and without
// plan where it belongs to the cluster again, or another cluster file has it now: that
// server refuses a plan of this one, and a purge asks only for the cluster's name.
func (r *run) exhume(ctx context.Context, g state.Gone) (*peer, error) {
	p := &peer{name: g.Name, patience: goneWait, anew: true, gone: true, want: &spec.Host{Cluster: r.c.Name, Store: r.c.ID, Server: g.Name, Generation: r.c.Generation}}
	defer p.close()
	if err := p.dial(ctx, r.e, &state.Cluster{Servers: map[string]*state.Server{g.Name: g.Way()}}); err != nil {
		return nil, nil //nolint:nilerr // it is away still, or somebody else is there
	}
	reply, err := p.do(ctx, r.e, &spec.Request{Op: spec.OpPlan, Want: p.want, Holder: r.e.Holder, Change: r.id})
	if err != nil || reply.Facts == nil || reply.Facts.Machine != g.Machine || g.HostKey != "" && p.session.HostKey() != g.HostKey {
		return nil, err
	}
	if reply.Plan == nil || len(reply.Plan.Problems) > 0 || r.belongs(edit.FactsOf(reply.Facts)) {
		return p, nil
	}
	p.plan = reply.Plan
	if !r.req.DryRun {
		p.report, err = p.purge(ctx, r.e, p.want)
	}
	return p, err
}

// belongs says whether a server of the cluster is the machine of f.
func (r *run) belongs(f *state.Facts) bool {
	for _, s := range r.c.Servers {
		if slices.ContainsFunc(s.Facts.Identities(), func(id state.Identity) bool { return slices.Contains(f.Identities(), id) }) {
			return true
		}
	}
	return false
}
