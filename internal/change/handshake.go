package change

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/remote"
	"github.com/flocknet/flock/internal/spec"
)

// owner is the server and network that a WireGuard key belongs to.
type owner struct{ server, network string }

// owners of the keys of all servers that take part.
func (r *run) owners() map[string]owner {
	out := map[string]owner{}
	for name, p := range r.peers {
		if p.err != nil || p.plan == nil {
			continue
		}
		for _, l := range r.compiled.Hosts[name].Links {
			if l.Key != "" {
				out[l.Key] = owner{name, l.Network}
			}
		}
	}
	return out
}

// met are the WireGuard peers that the change added to p's server.
func (p *peer) met() []spec.Peer {
	if p.err != nil || p.report == nil {
		return nil
	}
	added := map[string]bool{}
	for _, s := range p.report.Steps {
		added[s.Object] = s.Action == spec.Add
	}
	return slices.DeleteFunc(slices.Clone(p.want.Peers), func(q spec.Peer) bool { return !added[q.Object()] })
}

// couples are the pairs of servers that became peers, each once, under the one that
// begins the handshake: it must know the other's endpoint. A server with many new peers
// begins with all of them, so that few servers have to be asked.
func (r *run) couples() (initiators []*peer, to map[*peer][]spec.Peer) {
	owners := r.owners()
	met := map[*peer]int{}
	couple := func(a, b, network string) string { return min(a, b) + " " + max(a, b) + " " + network }
	wanted := map[string]bool{}
	for name, p := range r.peers {
		for _, q := range p.met() {
			if o, ok := owners[q.Key]; ok {
				met[p]++
				wanted[couple(name, o.server, o.network)] = true
			}
		}
	}
	to = map[*peer][]spec.Peer{}
	names := slices.SortedFunc(slices.Values(sortedNames(r.peers)), func(a, b string) int {
		return cmp.Or(met[r.peers[b]]-met[r.peers[a]], strings.Compare(a, b))
	})
	for _, name := range names {
		p := r.peers[name]
		if p.err != nil || p.want == nil {
			continue
		}
		for _, q := range p.want.Peers {
			o := owners[q.Key]
			if id := couple(name, o.server, o.network); wanted[id] && q.Endpoint != "" {
				delete(wanted, id)
				to[p] = append(to[p], q)
			}
		}
		if len(to[p]) > 0 {
			initiators = append(initiators, p)
		}
	}
	return initiators, to
}

// handshake has the WireGuard peers that this change added complete a handshake. Pairs that do
// not, after a second try when all others are done, are noted; that is no failure, since each
// server has the right configuration.
func (r *run) handshake(ctx context.Context) {
	initiators, to := r.couples()
	results := r.greet(ctx, initiators, to)
	if r.req.NoVerify {
		return
	}
	owners, met := r.owners(), map[string]int{}
	for _, p := range initiators {
		for _, q := range to[p] {
			met[owners[q.Key].network]++
		}
	}
	var unheard []*peer
	for i, p := range initiators {
		if len(results[i].Value) > 0 {
			unheard, to[p] = append(unheard, p), results[i].Value
		}
	}
	for i, again := range r.greet(ctx, unheard, to) {
		results[slices.Index(initiators, unheard[i])] = again
	}
	silent := map[string][]string{}
	for i, res := range results {
		for _, q := range res.Value {
			o := owners[q.Key]
			r.muted[initiators[i].name], r.muted[o.server] = true, true
			silent[o.network] = append(silent[o.network], fmt.Sprintf("%s with %s (UDP %s)", initiators[i].name, o.server, q.Endpoint))
		}
		if res.Err != nil && ctx.Err() == nil {
			first := owners[to[initiators[i]][0].Key].network
			silent[first] = append(silent[first], fmt.Sprintf("%s was not heard (%v)", initiators[i].name, res.Err))
		}
	}
	for name, pairs := range met {
		if ctx.Err() == nil {
			r.judge(name, pairs, silent[name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(silent)) {
		note := ground.Note{Network: name, Text: "no handshake yet: " + ground.Few(silent[name]) + "; does every firewall on the way let WireGuard pass?"}
		if !slices.Contains(r.silent, note) {
			r.silent = append(r.silent, note)
		}
	}
}

// greet has each initiator begin a handshake with its peers, and returns those that do not
// answer.
func (r *run) greet(ctx context.Context, initiators []*peer, to map[*peer][]spec.Peer) []remote.Result[[]spec.Peer] {
	return remote.Each(ctx, initiators, r.e.parallel(), func(ctx context.Context, p *peer) ([]spec.Peer, error) {
		reply, err := p.do(ctx, r.e, &spec.Request{Op: spec.OpHandshake, Want: p.want, Holder: r.e.Holder, Peers: to[p]})
		if err != nil {
			return nil, err
		}
		return reply.Silent, nil
	})
}
