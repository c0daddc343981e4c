package change

import (
	"context"
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/remote"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/verify"
)

// bulk is the sending of TCP data between members that answer echoes.
type bulk struct {
	r    *run
	v    *Verification
	port map[netip.Addr]int // by address that somebody listens at
	bad  map[string]uint64  // segments with a wrong checksum, by server, as last read
}

// flow sends data on the legs of rounds, one round after the other, and again, alone, on those
// where not all of it arrived. Who accepts no connection is not asked twice.
func (v *Verification) flow(ctx context.Context, r *run, all bool) {
	rounds := verify.Bulks(v.Legs, all)
	b := &bulk{r: r, v: v, port: map[netip.Addr]int{}, bad: map[string]uint64{}}
	b.listen(ctx, slices.Concat(rounds...))
	var again []int
	for _, round := range rounds {
		b.send(ctx, round)
		for _, i := range round {
			if s := v.Legs[i].State(); s == verify.Stalls || s == verify.Broken {
				again = append(again, i)
			}
		}
	}
	for _, i := range again {
		b.send(ctx, []int{i})
	}
}

// ask sends a request about data to servers at once.
func (b *bulk) ask(ctx context.Context, of map[*peer]*spec.BulkRequest) map[*peer]*spec.BulkReply {
	var peers []*peer
	for p := range of {
		peers = append(peers, p)
	}
	out := map[*peer]*spec.BulkReply{}
	for i, res := range remote.Each(ctx, peers, len(peers), func(ctx context.Context, p *peer) (*spec.Reply, error) {
		return p.do(ctx, b.r.e, &spec.Request{Op: spec.OpBulk, Want: p.want, Holder: b.r.e.Holder, Bulk: of[p]})
	}) {
		if res.Err == nil { // an error here is no news about a path
			out[peers[i]] = res.Value.Bulk
		}
	}
	return out
}

// listen opens the ports that the legs lead to.
func (b *bulk) listen(ctx context.Context, legs []int) {
	of := map[*peer]*spec.BulkRequest{}
	for _, i := range legs {
		t := b.v.Legs[i]
		for server, at := range map[string]netip.Addr{t.To: t.Leg.Echo.To, t.From: {}} {
			p := b.r.peers[server]
			if of[p] == nil {
				of[p] = &spec.BulkRequest{}
			}
			if at.IsValid() {
				of[p].Admit = append(of[p].Admit, t.Leg.Echo.From)
				if !slices.Contains(of[p].At, at) {
					of[p].At = append(of[p].At, at)
				}
			}
		}
	}
	for p, reply := range b.ask(ctx, of) {
		b.bad[p.name] = reply.BadSums
		for i, port := range reply.Ports {
			b.port[of[p].At[i]] = port
		}
	}
}

// send sends data on the legs of a round, and looks at the checksums of both ends where it did
// not arrive.
func (b *bulk) send(ctx context.Context, round []int) {
	of, legs := map[*peer]*spec.BulkRequest{}, map[*peer][]int{}
	for _, i := range round {
		t := b.v.Legs[i]
		p, port := b.r.peers[t.From], b.port[t.Leg.Echo.To]
		if port == 0 {
			continue
		}
		if of[p] == nil {
			of[p] = &spec.BulkRequest{}
		}
		of[p].Flows = append(of[p].Flows, spec.Bulk{From: t.Leg.Echo.From, To: t.Leg.Echo.To, Port: port})
		legs[p] = append(legs[p], i)
	}
	look := map[*peer]*spec.BulkRequest{}
	for p, reply := range b.ask(ctx, of) {
		for k, i := range legs[p] {
			b.v.Legs[i].Flow = &reply.Flows[k]
			if !reply.Flows[k].Whole {
				look[p], look[b.r.peers[b.v.Legs[i].To]] = &spec.BulkRequest{}, &spec.BulkRequest{}
			}
		}
	}
	now := map[string]uint64{}
	for p, reply := range b.ask(ctx, look) {
		now[p.name] = reply.BadSums
	}
	for _, i := range round {
		t := &b.v.Legs[i]
		t.BadSums = [2]bool{}
		if t.Flow != nil && !t.Flow.Whole {
			t.BadSums = [2]bool{now[t.From] > b.bad[t.From], now[t.To] > b.bad[t.To]}
		}
	}
	for server, n := range now {
		b.bad[server] = n
	}
}
