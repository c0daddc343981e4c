package change

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/flocknet/flock/internal/edit"
	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/remote"
	"github.com/flocknet/flock/internal/segment"
	"github.com/flocknet/flock/internal/spec"
)

// scope returns the servers that this change concerns, sorted.
func (r *run) scope() []string {
	members := ground.Memberships(r.c)
	pending := pending(r.c, r.compiled, r.sums)
	named := func(name string) bool {
		return slices.ContainsFunc(members[name], func(n string) bool { return slices.Contains(r.req.Networks, n) })
	}
	in := func(name string) bool {
		switch {
		case slices.Contains(r.req.Contact, name):
			return true
		case r.req.All && (len(r.req.Networks) == 0 || named(name)):
			return true
		case r.req.Only:
			return false
		case r.sums.of(r.compiled.Hosts[name]) != r.before[name]:
			return true
		}
		_, waits := slices.BinarySearch(pending, name)
		return waits && named(name)
	}
	return slices.DeleteFunc(r.c.ServerNames(), func(name string) bool { return !in(name) })
}

// maxRounds bounds how often new facts may change the specs of other servers.
const maxRounds = 4

// plan has every server concerned plan, until the plans are based on the servers'
// current facts: a server's new address or MTU changes the specs of others.
func (r *run) plan(ctx context.Context, op string) error {
	for range maxRounds {
		var todo []*peer
		speaks := network.Speakers(r.c)
		for _, name := range r.scope() {
			p := r.peers[name]
			if p == nil {
				p = &peer{name: name, speaks: speaks[name] || r.spoke[name], former: r.former[name].Server}
				if heard := r.listeners[name]; heard != nil {
					p.session = heard.session
				}
				r.peers[name] = p
			}
			if want := r.compiled.Hosts[name]; p.err == nil && (p.want == nil || r.sums.of(p.want) != r.sums.of(want)) {
				p.want = want
				todo = append(todo, p)
			}
		}
		if len(todo) == 0 {
			return r.planClouds(ctx)
		}
		facts := r.ask(ctx, op, todo)
		if r.exchanged() {
			for _, p := range todo {
				r.asTurned(p)
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		for i, f := range facts {
			if f != nil {
				server := r.c.Servers[todo[i].name]
				before := server.Facts
				server.Facts = edit.FactsOf(f)
				server.Facts.HostKey = todo[i].session.HostKey()
				if server.Facts.HostKey == "" && before != nil && before.Machine == server.Facts.Machine {
					server.Facts.HostKey = before.HostKey // ssh saw it, and not we
				}
				if err := r.followed(todo[i]); err != nil {
					return err
				}
			}
		}
		if op == spec.OpPlan {
			r.deal(todo)
		}
		if r.req.DryRun {
			r.assumeKeys()
		}
		if err := r.compile(); err != nil {
			return err
		}
	}
	return errors.New("the servers' addresses keep changing while planning")
}

// ask sends op to all of todo at once and returns each one's facts.
func (r *run) ask(ctx context.Context, op string, todo []*peer) []*spec.Facts {
	r.meet(ctx, todo)
	probes := map[string][]spec.Probe{}
	if op == spec.OpStatus {
		for _, path := range r.paths() {
			probes[path.From] = append(probes[path.From], path.Probe)
		}
	}
	results := remote.Each(ctx, todo, r.e.parallel(), func(ctx context.Context, p *peer) (*spec.Facts, error) {
		if p.err != nil {
			return nil, p.err
		}
		req := &spec.Request{
			Op: op, Look: r.looking, Want: p.want, Holder: r.e.Holder, Change: r.id, Devs: network.Devices(r.c, p.name), Cloud: network.CloudOf(r.c, p.name), Secrets: r.announced(p.want), Former: r.formerDevices(p.name), Probes: probes[p.name],
		}
		if r.req.DryRun {
			req.Keys = slices.Sorted(maps.Values(network.KeyDevices(r.c, p.name)))
		}
		p.first = req
		if err := p.dial(ctx, r.e, r.c); err != nil {
			return nil, err
		}
		reply, err := p.do(ctx, r.e, req)
		if err != nil {
			return nil, err
		}
		p.plan, p.keys, p.probed, p.unheard = reply.Plan, reply.Keys, nil, reply.Unheard
		if reply.Probed {
			p.probed = req.Probes
		}
		r.e.event(Event{Server: p.name, Line: LinePlanned})
		return reply.Facts, nil
	})
	facts := make([]*spec.Facts, len(todo))
	for i, res := range results {
		facts[i], todo[i].err = res.Value, res.Err
		if res.Err != nil {
			r.e.event(Event{Server: todo[i].name, Done: true, Err: res.Err})
		}
	}
	return facts
}

// deal assigns more addresses to DHCP servers whose range is nearly full.
func (r *run) deal(asked []*peer) {
	for _, p := range asked {
		if p.plan == nil {
			continue
		}
		for _, use := range p.plan.Pools {
			segment.Leased(r.c, p.name, use)
		}
	}
}

// parallel is how many servers are contacted at once.
func (e *Engine) parallel() int { return cmp.Or(max(e.Parallel, 0), 64) }
