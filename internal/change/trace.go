package change

import (
	"context"
	"crypto/rand"
	"maps"
	"slices"

	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/remote"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/trace"
)

// Traced is the way of a packet, and who did not answer on it.
type Traced struct {
	Result *trace.Result
	Absent []Server
}

// Trace follows a packet from one place to another by what servers say, sends it, and changes
// nothing. Proto is PROTO/PORT, or "" for an echo; by is the network that it goes by, or "" for the
// first that both share.
func (e *Engine) Trace(ctx context.Context, from, to, proto, by string) (*Traced, error) {
	c, compiled, err := e.read(ctx)
	if err != nil {
		return nil, err
	}
	t, err := trace.New(c, compiled, network.Joining, from, to, proto, by)
	if err != nil {
		return nil, inputError{err}
	}
	r := &run{e: e, c: c, peers: map[string]*peer{}}
	defer r.end()
	for name, want := range compiled.Hosts {
		r.peers[name] = &peer{name: name, want: want}
	}
	out, random := &Traced{}, make([]byte, 16)
	_, _ = rand.Read(random)
	out.Result = t.Run(ctx, func(reqs map[string][]*spec.Request) map[string][]*spec.Reply { return out.ask(ctx, r, reqs) }, random)
	if err := out.Result.Refusal; err != nil {
		return nil, inputError{err}
	}
	return out, ctx.Err()
}

// ask asks servers, each one thing after the other, and notes who does not answer: that one is
// not asked again.
func (o *Traced) ask(ctx context.Context, r *run, reqs map[string][]*spec.Request) map[string][]*spec.Reply {
	out, names := map[string][]*spec.Reply{}, slices.Sorted(maps.Keys(reqs))
	names = slices.DeleteFunc(names, func(name string) bool {
		return slices.ContainsFunc(o.Absent, func(s Server) bool { return s.Name == name })
	})
	for i, res := range remote.Each(ctx, names, r.e.parallel(), func(ctx context.Context, name string) (replies []*spec.Reply, err error) {
		p := r.peers[name]
		err = p.dial(ctx, r.e, r.c)
		for _, req := range reqs[name] {
			var reply *spec.Reply
			if err == nil {
				reply, err = p.do(ctx, r.e, req)
			}
			replies = append(replies, reply)
		}
		return replies, err
	}) {
		if res.Err != nil {
			o.Absent = append(o.Absent, Server{Name: names[i], State: Unreachable, Err: res.Err})
			continue
		}
		out[names[i]] = res.Value
	}
	return out
}
