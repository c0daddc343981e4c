package change

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/flocknet/flock/internal/remote"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/verify"
)

// bulk asks servers about data.
func (r *run) bulk(ctx context.Context) verify.AskBulk {
	return func(of map[string]*spec.BulkRequest) map[string]*spec.BulkReply {
		var peers []*peer
		for server := range of {
			peers = append(peers, r.peers[server])
		}
		out := map[string]*spec.BulkReply{}
		for i, res := range remote.Each(ctx, peers, len(peers), func(ctx context.Context, p *peer) (*spec.Reply, error) {
			return p.do(ctx, r.e, &spec.Request{Op: spec.OpBulk, Want: p.want, Holder: r.e.Holder, Bulk: of[p.name]})
		}) {
			if res.Err == nil {
				out[peers[i].name] = res.Value.Bulk
			}
		}
		return out
	}
}

// serve finds out what new containers of networks get on the bridges of their members, of all
// servers at once.
func (v *Verification) serve(ctx context.Context, r *run, names []string) {
	plans, facts, of := map[string]*spec.Plan{}, map[string]*spec.Facts{}, map[*peer][]*verify.Service{}
	for server, p := range r.peers {
		if p.err == nil {
			plans[server], facts[server] = p.plan, p.facts
		}
	}
	for _, name := range names {
		v.Outside = append(v.Outside, verify.Strays(v.Cluster, r.compiled, name, facts)...)
		for _, s := range verify.Services(v.Cluster, r.compiled, name, plans, v.Legs) {
			of[r.peers[s.Server]] = append(of[r.peers[s.Server]], s)
			v.Services = append(v.Services, s)
		}
	}
	peers := slices.Collect(maps.Keys(of))
	for i, res := range remote.Each(ctx, peers, len(peers), func(ctx context.Context, p *peer) (bool, error) {
		err := verify.Talk(of[p], p.captures(ctx, r.e), func(s *verify.Service) {
			r.e.event(Event{Server: p.name, Line: "asking for DHCP and names on " + s.Bridge})
		}, func(err error) bool { return errors.Is(err, remote.ErrUnreachable) || errors.Is(err, remote.ErrAgent) })
		r.e.event(Event{Server: p.name, Done: true})
		return err == nil, err
	}) {
		if peers[i].err = res.Err; res.Err != nil {
			v.Absent = append(v.Absent, Server{Name: peers[i].name, State: Unreachable, Err: res.Err})
		}
	}
}

// watch has servers look for packets of encrypted networks below these, until what it returns is
// called.
func (v *Verification) watch(ctx context.Context, r *run, there []*peer, names []string) (end func()) {
	there = slices.Clone(there)
	ask := func(of func(*peer) *spec.CaptureRequest, took func(*peer, *spec.CaptureReply)) {
		for i, res := range remote.Each(ctx, there, max(1, len(there)), func(ctx context.Context, p *peer) (*spec.CaptureReply, error) {
			if q := of(p); q != nil && p.err == nil {
				return p.captures(ctx, r.e)(q)
			}
			return nil, nil
		}) {
			if res.Err == nil && res.Value != nil { // an error here is no news about packets
				took(there[i], res.Value)
			}
		}
	}
	device := map[*peer]string{}
	of := func(p *peer) *spec.CaptureRequest { return verify.Watch(v.Cluster, r.compiled, p.name, names) }
	ask(of, func(p *peer, _ *spec.CaptureReply) { device[p] = of(p).Device })
	return func() {
		ask(func(p *peer) *spec.CaptureRequest {
			if device[p] == "" {
				return nil
			}
			return &spec.CaptureRequest{}
		}, func(p *peer, reply *spec.CaptureReply) {
			leaks, _ := verify.Leaks(v.Cluster, names, p.name, device[p], reply)
			v.Outside = append(v.Outside, leaks...)
		})
	}
}
