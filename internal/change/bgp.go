package change

import (
	"context"
	"time"

	"github.com/flocknet/flock/internal/peering"
	"github.com/flocknet/flock/internal/remote"
	"github.com/flocknet/flock/internal/spec"
)

// Speaker is the answer of one server's BGP daemon.
type Speaker = peering.Answer

// pollBGP is the pause between questions to daemons while something is awaited.
const pollBGP = 100 * time.Millisecond

// BGP asks the BGP daemons of servers, all at once, and again until until returns true
// or within has passed. The order is that of servers. It takes no lock, neither of the
// file nor on a server.
func (e *Engine) BGP(ctx context.Context, servers []string, until func([]Speaker) bool, within time.Duration) ([]Speaker, error) {
	r, peers, err := e.speakersOf(ctx, servers)
	if err != nil {
		return nil, err
	}
	defer r.end()
	return r.poll(ctx, peers, until, within)
}

// speakersOf are servers whose daemons are to be asked; the caller ends r.
func (e *Engine) speakersOf(ctx context.Context, servers []string) (r *run, peers []*peer, err error) {
	c, compiled, err := e.read(ctx)
	if err != nil {
		return nil, nil, err
	}
	r = &run{e: e, c: c, peers: map[string]*peer{}, sums: sums{}}
	for _, name := range servers {
		p := &peer{name: name, want: compiled.Hosts[name]}
		r.peers[name] = p
		peers = append(peers, p)
	}
	return r, peers, nil
}

// BGPRequest is something that a BGP daemon is to do besides what the cluster file says,
// or to tell.
type BGPRequest struct {
	Server string
	spec.BGPRequest
	// Approve is shown how the daemon is before; its error stops the request. nil: nobody
	// is asked.
	Approve func(*spec.BGPStatus) error
	// Until says of the answers after the request whether they are awaited no more; nil:
	// none is awaited.
	Until  func([]Speaker) bool
	Within time.Duration // bounds that wait
}

// RequestBGP has a BGP daemon carry out o, over one session. It returns the answer to the
// request itself and how the daemon was last seen, the same where nothing is awaited. It
// takes no lock, neither of the file nor on a server.
func (e *Engine) RequestBGP(ctx context.Context, o BGPRequest) (answer, last Speaker, err error) {
	r, peers, err := e.speakersOf(ctx, []string{o.Server})
	if err != nil {
		return Speaker{}, Speaker{}, err
	}
	defer r.end()
	if o.Approve != nil {
		before := r.speakers(ctx, peers, nil)[0]
		if before.Status == nil {
			return before, before, ctx.Err()
		}
		if err := o.Approve(before.Status); err != nil {
			return before, before, err
		}
	}
	answer = r.speakers(ctx, peers, &o.BGPRequest)[0]
	if o.Until == nil || answer.Status == nil {
		return answer, answer, ctx.Err()
	}
	all, err := r.poll(ctx, peers, o.Until, o.Within)
	return answer, all[0], err
}

// poll asks the daemons of peers until until returns true, or within has passed.
func (r *run) poll(ctx context.Context, peers []*peer, until func([]Speaker) bool, within time.Duration) ([]Speaker, error) {
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	tick := time.NewTicker(pollBGP)
	defer tick.Stop()
	for {
		out := r.speakers(ctx, peers, nil)
		if until == nil || until(out) {
			return out, ctx.Err()
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			return out, nil
		case <-ctx.Done():
			return out, ctx.Err()
		}
	}
}

// speakers asks every one of peers whose session still works; more is what each is to do
// or tell besides, nil: nothing.
func (r *run) speakers(ctx context.Context, peers []*peer, more *spec.BGPRequest) []Speaker {
	results := remote.Each(ctx, peers, r.e.parallel(), func(ctx context.Context, p *peer) (*spec.BGPStatus, error) {
		if p.err != nil {
			return nil, p.err
		}
		if err := p.dial(ctx, r.e, r.c); err != nil {
			return nil, err
		}
		return p.askBGP(ctx, r.e, more)
	})
	out := make([]Speaker, len(peers))
	for i, res := range results {
		p := peers[i]
		if res.Err != nil && p.err == nil {
			p.err = res.Err
			r.e.event(Event{Server: p.name, Done: true, Err: p.err})
		}
		out[i] = Speaker{Server: p.name, Status: res.Value, Err: p.err}
	}
	return out
}

func (p *peer) askBGP(ctx context.Context, e *Engine, more *spec.BGPRequest) (*spec.BGPStatus, error) {
	reply, err := p.do(ctx, e, &spec.Request{Op: spec.OpBGP, Want: p.want, BGP: more})
	if err != nil {
		return nil, err
	}
	return reply.BGP, nil
}

// askBGP asks the daemons of servers that were looked at. A daemon that does not answer
// shows as a step of the server's plan.
func (r *run) askBGP(ctx context.Context) {
	var peers []*peer
	for _, name := range sortedNames(r.peers) {
		if p := r.peers[name]; p.err == nil && p.want != nil && p.want.BGP != nil {
			peers = append(peers, p)
		}
	}
	results := remote.Each(ctx, peers, r.e.parallel(), func(ctx context.Context, p *peer) (*spec.BGPStatus, error) {
		return p.askBGP(ctx, r.e, nil)
	})
	for i, res := range results {
		peers[i].bgp = res.Value
	}
}

// secrets are the secrets of the request that want names.
func (r *run) secrets(want *spec.Host) map[string]string {
	out := map[string]string{}
	if want.BGP == nil {
		return out
	}
	for _, n := range want.BGP.Neighbors {
		if secret, ok := r.req.Secrets[n.Secret]; ok {
			out[n.Secret] = secret
		}
	}
	return out
}

// announced names the secrets that an apply would send, without their values: a plan
// needs only the names.
func (r *run) announced(want *spec.Host) map[string]string {
	out := r.secrets(want)
	for id := range out {
		out[id] = ""
	}
	return out
}
