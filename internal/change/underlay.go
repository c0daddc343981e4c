package change

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/flocknet/flock/internal/edit"
	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/remote"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
	"github.com/flocknet/flock/internal/underlay"
)

// Probing is what packets between servers, below all networks, showed.
type Probing struct {
	Servers  []underlay.Server // that answered to the end
	Services []underlay.Service
	Paths    []underlay.Path
	Absent   []Server // that did not answer
	Sampled  bool     // not all pairs were tried
}

// Advice is what works between all servers, the best first.
func (p *Probing) Advice() []underlay.Advice { return underlay.Recommend(p.Servers, p.Paths) }

// Probe sends packets like those of each kind of network between servers, to more UDP ports than
// the kinds' own where some are named, and changes nothing. Of many servers it tries some pairs, unless all is set.
func (e *Engine) Probe(ctx context.Context, names []string, more []int, all bool) (*Probing, error) {
	c, compiled, err := e.read(ctx)
	if err != nil {
		return nil, err
	}
	ports := underlay.Ports()
	for _, p := range more {
		if !slices.Contains(ports, p) {
			ports = append(ports, p)
		}
	}
	b := &below{e: e, c: c, ports: ports, with: underlay.Sample(names, all), out: &Probing{Services: underlay.Services(ports)}}
	b.out.Sampled = b.with != nil
	for _, name := range names {
		want := compiled.Hosts[name]
		if want == nil {
			want = &spec.Host{Cluster: c.Name, Store: c.ID, Server: name}
		}
		b.peers = append(b.peers, &peer{name: name, want: want})
	}
	defer func() {
		for _, p := range b.peers {
			p.close()
		}
	}()
	b.meet(ctx)
	b.open(ctx)
	b.send(ctx)
	return b.out, ctx.Err()
}

// below is a probing under way.
type below struct {
	e      *Engine
	c      *state.Cluster
	ports  []int
	with   map[string]map[string]bool // see underlay.Sample
	peers  []*peer
	found  []underlay.Server // as peers
	routes map[[2]string]spec.UnderlayRoute
	out    *Probing
}

// each asks all servers that remain at once. Who does not answer is left out from then on.
func (b *below) each(ctx context.Context, ask func(context.Context, *peer, int) error) {
	index := map[*peer]int{}
	for i, p := range b.peers {
		index[p] = i
	}
	there := slices.DeleteFunc(slices.Clone(b.peers), func(p *peer) bool { return p.err != nil })
	for i, res := range remote.Each(ctx, there, len(there), func(ctx context.Context, p *peer) (struct{}, error) {
		return struct{}{}, ask(ctx, p, index[p])
	}) {
		if there[i].err = res.Err; res.Err != nil {
			b.out.Absent = append(b.out.Absent, Server{Name: there[i].name, State: Unreachable, Err: res.Err})
		}
	}
}

// meet learns what the servers are like now.
func (b *below) meet(ctx context.Context) {
	b.found = make([]underlay.Server, len(b.peers))
	facts := make([]*spec.Facts, len(b.peers))
	b.each(ctx, func(ctx context.Context, p *peer, i int) error {
		if err := p.dial(ctx, b.e, b.c); err != nil {
			return err
		}
		reply, err := p.do(ctx, b.e, &spec.Request{Op: spec.OpFacts, Want: p.want, Devs: network.Devices(b.c, p.name)})
		if err == nil {
			facts[i] = reply.Facts
		}
		return err
	})
	for i, p := range b.peers {
		if p.err == nil {
			if b.found[i], p.err = b.server(p.name, facts[i]); p.err != nil {
				b.out.Absent = append(b.out.Absent, Server{Name: p.name, State: Unreachable, Err: p.err})
			}
		}
	}
}

// server is one by its facts.
func (b *below) server(name string, f *spec.Facts) (underlay.Server, error) {
	entry := *b.c.Servers[name]
	if f != nil {
		entry.Facts = edit.FactsOf(f)
	}
	dev, addr, mtu, ok := ground.DefaultUnderlay(name, &entry)
	if !ok {
		return underlay.Server{}, hint.Errorf("server "+name, "flock setserver "+name+" --interface IFACE",
			"%s has no address by which others could reach it: no default route, and no interface is set", name)
	}
	s := underlay.Server{Name: name, Addr: addr, Device: dev, MTU: mtu, NAT: entry.NAT, With: b.with[name]}
	for _, i := range entry.Facts.Interfaces {
		for _, p := range i.Addrs {
			s.Own = append(s.Own, p.Addr())
		}
	}
	s.Login, _ = netip.ParseAddr(entry.Address)
	return s, nil
}

// open has all listen.
func (b *below) open(ctx context.Context) {
	number := make([]byte, 4)
	_, _ = rand.Read(number)
	run := binary.BigEndian.Uint32(number)
	routes := make([]map[[2]string]spec.UnderlayRoute, len(b.peers))
	all := slices.Clone(b.found)
	b.each(ctx, func(ctx context.Context, p *peer, i int) error {
		ask := &spec.UnderlayRequest{Run: run, Own: all[i].Addr, Ports: b.ports, Group: underlay.Group}
		var to []string
		for k, other := range all {
			if k != i && other.Addr.IsValid() && (b.with == nil || b.with[p.name][other.Name]) {
				ask.Toward, to = append(ask.Toward, other.Addr), append(to, other.Name)
			}
		}
		b.e.event(Event{Server: p.name, Line: fmt.Sprintf("listening to %d servers", len(to))})
		began := time.Now()
		reply, err := p.do(ctx, b.e, &spec.Request{Op: spec.OpUnderlay, Want: p.want, Holder: b.e.Holder, Underlay: ask})
		if err != nil {
			return err
		}
		u := reply.Underlay
		b.found[i].Skew = u.Clock - began.Add(time.Since(began)/2).UnixNano()
		b.found[i].Taken = map[int]string{}
		for text, who := range u.Taken {
			port, _ := strconv.Atoi(text)
			b.found[i].Taken[port] = who
		}
		routes[i] = map[[2]string]spec.UnderlayRoute{}
		for k := range min(len(u.Routes), len(to)) {
			routes[i][[2]string{p.name, to[k]}] = u.Routes[k]
		}
		return nil
	})
	b.routes = map[[2]string]spec.UnderlayRoute{}
	for _, of := range routes {
		for pair, route := range of {
			b.routes[pair] = route
		}
	}
}

// remaining are the servers that answered so far.
func (b *below) remaining() []underlay.Server {
	var out []underlay.Server
	for i, p := range b.peers {
		if p.err == nil {
			out = append(out, b.found[i])
		}
	}
	return out
}

// send has all send to all, again what did not arrive, and judges.
func (b *below) send(ctx context.Context) {
	by, send := underlay.Packets(b.remaining(), b.out.Services)
	h := underlay.Heard{Came: map[string][]spec.UnderlayArrival{}, Refused: map[uint32]bool{}}
	for range 2 {
		b.exchange(ctx, send, &h)
		missing := map[uint32]bool{}
		for _, number := range underlay.Missing(by, b.remaining(), h) {
			missing[number] = true
		}
		if len(missing) == 0 || ctx.Err() != nil {
			break
		}
		for name, list := range send {
			send[name] = slices.DeleteFunc(list, func(p spec.UnderlayPacket) bool { return !missing[p.Number] })
		}
	}
	echoed := b.echo(ctx)
	b.out.Servers = b.remaining()
	b.out.Paths = underlay.Paths(b.out.Servers, b.out.Services, by, h, echoed, b.routes)
}

// exchange sends, and collects what came.
func (b *below) exchange(ctx context.Context, send map[string][]spec.UnderlayPacket, h *underlay.Heard) {
	refused := make([][]uint32, len(b.peers))
	b.each(ctx, func(ctx context.Context, p *peer, i int) error {
		list := send[p.name]
		if len(list) == 0 {
			return nil
		}
		b.e.event(Event{Server: p.name, Line: fmt.Sprintf("sending %d packets", len(list))})
		reply, err := p.do(ctx, b.e, &spec.Request{Op: spec.OpUnderlay, Want: p.want, Underlay: &spec.UnderlayRequest{Send: list}})
		if err == nil {
			refused[i] = reply.Underlay.Refused
		}
		return err
	})
	came := make([][]spec.UnderlayArrival, len(b.peers))
	b.each(ctx, func(ctx context.Context, p *peer, i int) error {
		reply, err := p.do(ctx, b.e, &spec.Request{Op: spec.OpUnderlay, Want: p.want, Underlay: &spec.UnderlayRequest{}})
		if err == nil {
			came[i] = reply.Underlay.Came
		}
		return err
	})
	for i, p := range b.peers {
		for _, number := range refused[i] {
			h.Refused[number] = true
		}
		if p.err == nil {
			h.Came[p.name] = came[i]
		}
	}
}

// echo measures round trips, and how much passes in one piece.
func (b *below) echo(ctx context.Context) map[[2]string]spec.Echoed {
	all := b.remaining()
	found := make([]map[[2]string]spec.Echoed, len(b.peers))
	b.each(ctx, func(ctx context.Context, p *peer, i int) error {
		echoes, to := underlay.Echoes(all, b.found[i])
		if len(echoes) == 0 {
			return nil
		}
		b.e.event(Event{Server: p.name, Line: fmt.Sprintf("measuring %d round trips", len(echoes))})
		reply, err := p.do(ctx, b.e, &spec.Request{Op: spec.OpMeasure, Want: p.want, Echoes: echoes})
		b.e.event(Event{Server: p.name, Done: true})
		if err != nil {
			return err
		}
		found[i] = map[[2]string]spec.Echoed{}
		for k, e := range reply.Echoes {
			found[i][[2]string{p.name, to[k]}] = e
		}
		return nil
	})
	out := map[[2]string]spec.Echoed{}
	for _, of := range found {
		for pair, e := range of {
			out[pair] = e
		}
	}
	return out
}
