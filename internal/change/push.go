package change

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/passage"
	"github.com/flocknet/flock/internal/remote"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// save writes the desired state; nothing has been changed on a server so far.
func (r *run) save() error {
	if err := r.locked.Save(r.c); err != nil {
		return err
	}
	r.saved = true
	r.c = r.locked.Cluster()
	var err error
	if r.copy, err = r.c.Packed(); err != nil {
		return err
	}
	return r.compile()
}

// push applies on every server that agreed and has something to do.
func (r *run) push(ctx context.Context) {
	var todo []*peer
	for _, name := range sortedNames(r.peers) {
		p := r.peers[name]
		if p.err != nil || p.plan == nil || r.forced(name) && len(p.plan.Problems) > 0 {
			continue
		}
		p.want = r.compiled.Hosts[name]
		if len(p.plan.Steps) > 0 || p.plan.Sum != r.sums.of(p.want) {
			todo = append(todo, p)
		} else {
			r.e.event(Event{Server: name, Line: "unchanged", Done: true})
		}
	}
	leases := leavingLeases(todo)
	var done map[*peer][]spec.Step
	if r.exchanged() {
		done = r.overlap(ctx, todo)
		todo = slices.DeleteFunc(todo, func(p *peer) bool { return p.err != nil })
		arrive(ctx)
	}
	var kept error // why the server that should change its key first did not
	for _, wave := range r.waves(todo) {
		results := remote.Each(ctx, wave, r.e.parallel(), func(ctx context.Context, p *peer) (*spec.Report, error) {
			if kept != nil {
				return nil, hint.Errorf("server "+p.name, "flock apply", "%s was not changed: %s did not change its key", p.name, r.turn.Server)
			}
			return p.apply(ctx, r.e, r.given(p, leases))
		})
		for i, res := range results {
			p := wave[i]
			p.report, p.err = res.Value, res.Err
			if p.report != nil {
				p.report.Steps = append(done[p], p.report.Steps...)
				if done != nil {
					p.report.Steps = passage.Lasting(r.was[p.name], p.want, p.report.Steps)
				}
			}
			r.e.event(Event{Server: p.name, Line: "done", Done: true, Err: p.err})
			if p.name == r.turn.Server {
				kept = p.err
			}
		}
	}
}

// given is what p's server needs for an apply besides its spec: secrets, and the leases
// of the networks in which it runs DHCP.
func (r *run) given(p *peer, leases map[string]string) spec.Request {
	out := spec.Request{Secrets: r.secrets(p.want), Copy: r.copy, Leases: map[string]string{}}
	for _, d := range p.want.DHCPs {
		if text := leases[cmp.Or(r.called[d.Network], d.Network)]; text != "" {
			out.Leases[d.Network] = text
		}
		if !slices.ContainsFunc(d.Ranges, r.handedOut) {
			out.Untouched = append(out.Untouched, d.Network)
		}
	}
	return out
}

// handedOut says whether some server ran DHCP in of's subnet before this change. If the
// file made no sense before, the answer is yes, for safety.
func (r *run) handedOut(of spec.Range) bool {
	return r.was == nil || r.handed[of.Subnet]
}

// leavingLeases are the leases of networks whose DHCP moves to another server, by
// network.
func leavingLeases(from []*peer) map[string]string {
	out := map[string]string{}
	for _, p := range from {
		maps.Copy(out, p.plan.Leases)
	}
	return out
}

// record notes what the servers confirmed. The file is written only where that
// changed.
func (r *run) record() error {
	was := map[string]*state.Confirmed{}
	for name, p := range r.peers {
		if p.err != nil || p.want == nil {
			continue
		}
		s := r.c.Servers[name]
		if s == nil {
			continue // it was removed
		}
		sum := r.sums.of(p.want)
		if s.Confirmed != nil && s.Confirmed.Sum == sum || s.Confirmed == nil && sum == "" {
			continue
		}
		was[name] = s.Confirmed
		s.Confirmed = &state.Confirmed{Generation: r.c.Generation, Sum: sum, Time: r.e.now()}
	}
	if !r.clouds.After(&r.c.Clouds) && len(was) == 0 {
		return nil
	}
	if err := r.locked.Save(r.c); err != nil {
		for name, confirmed := range was {
			r.c.Servers[name].Confirmed = confirmed // as in the file
		}
		return fmt.Errorf("note what the servers confirmed: %w", err)
	}
	return nil
}

// underway is how long a packet may be on its way on a path that nobody uses any more: on
// busy servers it waits in the queues of tunnel devices, and for the processes behind
// devices in userspace. A device that goes takes its queues along.
const underway = 300 * time.Millisecond

// arrive lets packets arrive that were sent before all servers turned away from a path.
func arrive(ctx context.Context) {
	over, end := context.WithTimeout(ctx, underway)
	defer end()
	<-over.Done()
}
