package change

import (
	"context"

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
	plans, of := map[string]*spec.Plan{}, map[*peer][]*verify.Service{}
	for server, p := range r.peers {
		if p.err == nil {
			plans[server] = p.plan
		}
	}
	for _, name := range names {
		for _, s := range verify.Services(v.Cluster, r.compiled, name, plans, v.Legs) {
			of[r.peers[s.Server]] = append(of[r.peers[s.Server]], s)
			v.Services = append(v.Services, s)
		}
	}
	var peers []*peer
	for p := range of {
		peers = append(peers, p)
	}
	remote.Each(ctx, peers, len(peers), func(ctx context.Context, p *peer) (bool, error) {
		ask := p.captures(ctx, r.e)
		for _, s := range of[p] {
			for q := s.Ask(); q != nil && s.Err == nil; q = s.Ask() {
				reply, err := ask(q)
				if err == nil {
					err = s.Take(reply)
				}
				s.Err = err
			}
		}
		return true, nil
	})
}
