package change

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/flocknet/flock/internal/edit"
	"github.com/flocknet/flock/internal/ground"
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
	Absent  []Server            // that did not answer
	Drifted []Server            // that are not as the cluster file says, with what differs
	Untried map[string]int      // by network, how many legs from and to those were not tried
	Bare    map[string][]string // by network, members without an address in it, which were not tried

	Services []*verify.Service // what new containers get on the members' bridges
	Outside  []verify.Outside  // packets and routes that must not be
	Speakers []Speaker         // the BGP daemons of members that answered
}

// Effort is how much a verification tries.
type Effort struct {
	All   bool // no pair of a large network is left out
	Data  bool // TCP data is sent, too
	Bench bool // many echoes, and data of one pair of a server at a time: what is measured counts
}

// Verify sends packets between all members of networks, of all without names, and changes
// nothing.
func (e *Engine) Verify(ctx context.Context, names []string, effort Effort) (*Verification, error) {
	c, compiled, err := e.read(ctx)
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		names = c.NetworkNames()
	}
	v := &Verification{Cluster: c, Untried: map[string]int{}, Bare: map[string][]string{}}
	r := &run{e: e, c: c, compiled: compiled, peers: map[string]*peer{}, sums: sums{}}
	defer r.end()
	for _, name := range names {
		for _, member := range c.Networks[name].Members {
			server := ground.ServerOf(member)
			r.peers[server] = &peer{name: server, want: compiled.Hosts[server]}
		}
	}
	there := v.look(ctx, r)
	for _, name := range names {
		legs, bare := verify.Legs(c, compiled, name, effort.All)
		if len(legs) == 0 {
			v.Without = append(v.Without, name)
		}
		v.Bare[name] = bare
		for _, w := range legs {
			v.Legs = append(v.Legs, verify.Tried{Leg: w, Below: [2]netip.Addr{verify.Underlay(compiled, name, w.From), verify.Underlay(compiled, name, w.To)}})
		}
	}
	v.leaveOut(r)
	watch := v.watch(ctx, r, there, names)
	v.try(ctx, r, there, effort)
	v.talk(ctx, r)
	if effort.Data {
		verify.Flow(v.Legs, effort.All, effort.Bench, r.bulk(ctx))
	}
	watch()
	v.serve(ctx, r, names)
	return v, ctx.Err()
}

// look asks all servers what differs there from the cluster file, and which addresses they have
// now. It returns those that answered.
func (v *Verification) look(ctx context.Context, r *run) []*peer {
	peers := slices.SortedFunc(maps.Values(r.peers), func(x, y *peer) int { return strings.Compare(x.name, y.name) })
	for i, res := range remote.Each(ctx, peers, r.e.parallel(), func(ctx context.Context, p *peer) (*spec.Reply, error) {
		if err := p.dial(ctx, r.e, r.c); err != nil {
			return nil, err
		}
		return p.do(ctx, r.e, &spec.Request{Op: spec.OpStatus, Want: p.want, Holder: r.e.Holder})
	}) {
		p := peers[i]
		if p.err = res.Err; p.err != nil {
			v.Absent = append(v.Absent, Server{Name: p.name, State: Unreachable, Err: p.err})
			continue
		}
		if p.plan = res.Value.Plan; len(p.plan.Steps) > 0 {
			v.Drifted = append(v.Drifted, Server{Name: p.name, State: Planned, Plan: p.plan})
		}
		if p.facts = res.Value.Facts; v.Cluster.Servers[p.name] != nil && p.facts != nil {
			v.Cluster.Servers[p.name].Facts = edit.FactsOf(p.facts)
		}
	}
	return slices.DeleteFunc(peers, func(p *peer) bool { return p.err != nil })
}

// try has all servers send at one time, so that each hears who calls it.
func (v *Verification) try(ctx context.Context, r *run, there []*peer, effort Effort) {
	of := map[string][]int{}
	for i, t := range v.Legs {
		of[t.From] = append(of[t.From], i)
	}
	there = slices.DeleteFunc(there, func(p *peer) bool { return len(of[p.name]) == 0 })
	replies := remote.Each(ctx, there, len(there), func(ctx context.Context, p *peer) (*spec.Reply, error) {
		req := &spec.Request{Op: spec.OpMeasure, Want: p.want, Holder: r.e.Holder}
		if effort.Bench {
			req.Times = spec.EchoMost
		}
		for _, i := range of[p.name] {
			req.Echoes = append(req.Echoes, v.Legs[i].Leg.Echo)
		}
		line := fmt.Sprintf("trying %d paths", len(req.Echoes))
		if len(req.Echoes) == 1 {
			line = "trying one path"
		}
		r.e.event(Event{Server: p.name, Line: line})
		return p.do(ctx, r.e, req)
	})
	callers := map[string][]netip.Addr{}
	for i, res := range replies {
		p := there[i]
		r.e.event(Event{Server: p.name, Done: true})
		if p.err = res.Err; p.err != nil {
			v.Absent = append(v.Absent, Server{Name: p.name, State: Unreachable, Err: p.err})
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
}

// talk notes what the sessions are below what was tried: those of BGP daemons, which are asked now,
// and of WireGuard peers, as they were before the first packet, by the clock of the server that tells.
func (v *Verification) talk(ctx context.Context, r *run) {
	r.askBGP(ctx)
	owners, ages := r.owners(), map[[3]string]int{}
	for _, name := range sortedNames(r.peers) {
		p := r.peers[name]
		if p.err != nil {
			continue
		}
		if p.bgp != nil {
			v.Speakers = append(v.Speakers, Speaker{Server: name, Status: p.bgp})
		}
		for _, s := range p.plan.Sessions {
			age := -1
			if !s.Handshake.IsZero() {
				age = int(max(p.plan.Clock.Sub(s.Handshake), 0) / time.Second)
			}
			o := owners[s.Key]
			ages[[3]string{o.network, name, o.server}] = age
		}
	}
	for i, t := range v.Legs {
		if age, is := ages[[3]string{t.Network, t.From, t.To}]; is {
			v.Legs[i].Handshake = &age
		}
	}
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
