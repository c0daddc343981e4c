package change

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/remote"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
	"github.com/flocknet/flock/internal/verify"
)

// Verification is what traffic between the members of networks showed.
type Verification struct {
	Cluster *state.Cluster
	Legs    []verify.Tried
	// Without are networks with no leg to try: fewer than two members, or none with an
	// address of the network's.
	Without []string
	Absent  []Server       // that did not answer
	Untried map[string]int // by network, how many legs from and to those were not tried
}

// Verify sends packets between all members of networks, of all without names, and changes
// nothing. With all, no pair of a large network is left out.
func (e *Engine) Verify(ctx context.Context, names []string, all bool) (*Verification, error) {
	c, err := e.Store.Load(ctx)
	if err != nil {
		return nil, err
	}
	if err := network.Complete(c); err != nil {
		return nil, inputError{e.Store.Locate(err)}
	}
	compiled, err := network.Compile(c)
	if err != nil {
		return nil, inputError{err}
	}
	if len(names) == 0 {
		names = c.NetworkNames()
	}
	v := &Verification{Cluster: c, Untried: map[string]int{}}
	r := &run{e: e, c: c, peers: map[string]*peer{}, sums: sums{}}
	defer r.end()
	for _, name := range names {
		legs := verify.Legs(c, compiled, name, all)
		if len(legs) == 0 {
			v.Without = append(v.Without, name)
		}
		for _, w := range legs {
			v.Legs = append(v.Legs, verify.Tried{Leg: w, Below: [2]netip.Addr{verify.Underlay(compiled, name, w.From), verify.Underlay(compiled, name, w.To)}})
			for _, server := range []string{w.From, w.To} {
				if r.peers[server] == nil {
					r.peers[server] = &peer{name: server, want: compiled.Hosts[server]}
				}
			}
		}
	}
	return v, v.try(ctx, r)
}

// try has all servers send at one time, so that each hears who calls it.
func (v *Verification) try(ctx context.Context, r *run) error {
	peers := slices.SortedFunc(maps.Values(r.peers), func(x, y *peer) int { return strings.Compare(x.name, y.name) })
	for i, res := range remote.Each(ctx, peers, r.parallel(), func(ctx context.Context, p *peer) (struct{}, error) {
		return struct{}{}, p.dial(ctx, r.e, r.c)
	}) {
		v.missing(peers[i], res.Err)
	}
	there := slices.DeleteFunc(peers, func(p *peer) bool { return p.err != nil })
	v.leaveOut(r)
	of := map[string][]int{}
	for i, t := range v.Legs {
		of[t.From] = append(of[t.From], i)
	}
	replies := remote.Each(ctx, there, len(there), func(ctx context.Context, p *peer) (*spec.Reply, error) {
		req := &spec.Request{Op: spec.OpMeasure, Want: p.want, Holder: r.e.Holder}
		for _, i := range of[p.name] {
			req.Echoes = append(req.Echoes, v.Legs[i].Leg.Echo)
		}
		r.e.event(Event{Server: p.name, Line: fmt.Sprintf("trying %d paths", len(req.Echoes))})
		return p.do(ctx, r.e, req)
	})
	callers := map[string][]netip.Addr{}
	for i, res := range replies {
		p := there[i]
		r.e.event(Event{Server: p.name, Done: true})
		v.missing(p, res.Err)
		if res.Err != nil {
			continue
		}
		callers[p.name] = res.Value.Callers
		for k, leg := range of[p.name] {
			v.Legs[leg].Echoed = res.Value.Echoes[k]
		}
	}
	v.leaveOut(r)
	for i, t := range v.Legs {
		v.Legs[i].Arrived = slices.Contains(callers[t.To], t.Leg.Echo.From)
	}
	return ctx.Err()
}

// leaveOut takes out the legs from and to servers that are absent.
func (v *Verification) leaveOut(r *run) {
	v.Legs = slices.DeleteFunc(v.Legs, func(t verify.Tried) bool {
		absent := r.peers[t.From].err != nil || r.peers[t.To].err != nil
		if absent {
			v.Untried[t.Network]++
		}
		return absent
	})
}

// missing notes that a server cannot be tried.
func (v *Verification) missing(p *peer, err error) {
	if err != nil {
		p.err = err
		v.Absent = append(v.Absent, Server{Name: p.name, State: Unreachable, Err: err})
	}
}
