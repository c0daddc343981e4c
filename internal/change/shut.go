package change

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/flocknet/flock/internal/doctor"
	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/remote"
	"github.com/flocknet/flock/internal/spec"
)

// A firewall of a server's own that drops a tunnel's packets is named with the line that lets
// them in: in a dry run, before there is a tunnel, and where members do not hear each other. A
// change that works asks no firewall.

// meeting are the servers that are to have a tunnel.
func (r *run) meeting() []*peer {
	var out []*peer
	for _, name := range sortedNames(r.peers) {
		p := r.peers[name]
		if p.answered() && slices.ContainsFunc(p.want.Links, func(l spec.Link) bool {
			return doctor.Tunnelled(l) && slices.ContainsFunc(p.plan.Steps, func(s spec.Step) bool { return s.Action == spec.Add && s.Object == "link "+l.Name })
		}) {
			out = append(out, p)
		}
	}
	return out
}

// unheardOf are the servers of pairs that do not hear each other.
func (r *run) unheardOf() []*peer {
	var out []*peer
	for _, name := range slices.Sorted(maps.Keys(r.muted)) {
		if p := r.peers[name]; p.answered() && p.session != nil {
			out = append(out, p)
		}
	}
	return out
}

// askFirewalls notes what lets no packets of tunnels in. One that cannot tell is none.
func (r *run) askFirewalls(ctx context.Context, peers []*peer) {
	facts := &doctor.Facts{Cluster: r.c}
	for _, res := range remote.Each(ctx, peers, r.e.parallel(), func(ctx context.Context, p *peer) ([]doctor.Finding, error) {
		s := doctor.Filed(p.name, r.c.Servers[p.name], p.want)
		if s == nil {
			return nil, nil
		}
		reply, err := p.do(ctx, r.e, &spec.Request{Op: spec.OpDoctor, Want: p.want, Doctor: doctor.ShutRequest()})
		if err != nil {
			return nil, err
		}
		s.Seen = reply.Doctor
		s.Rules, _ = doctor.Rules(s.Facts.Arch, p.kernel(ctx, r.e)) // the others are judged without
		return doctor.Shut(s, facts), nil
	}) {
		for _, f := range res.Value {
			r.beside = append(r.beside, ground.Note{Network: f.Server, Text: fmt.Sprintf("%s; on %s: %s", f.What, f.Server, f.Fix)})
		}
	}
}
