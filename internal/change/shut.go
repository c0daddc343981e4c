package change

import (
	"context"

	"github.com/flocknet/flock/internal/doctor"
	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/remote"
	"github.com/flocknet/flock/internal/spec"
)

// A firewall of a server's own that drops a tunnel's packets is named with the line that lets
// them in: in a dry run, before there is a tunnel, and where members do not hear each other. A
// change that works asks no firewall.

// askFirewalls notes what lets no packets of tunnels in, on servers that are meant and can tell.
func (r *run) askFirewalls(ctx context.Context, meant func(*peer) bool) {
	var peers []*peer
	for _, name := range sortedNames(r.peers) {
		if p := r.peers[name]; p.answered() && p.session != nil && meant(p) {
			peers = append(peers, p)
		}
	}
	facts := &doctor.Facts{Cluster: r.c}
	for _, res := range remote.Each(ctx, peers, r.e.parallel(), func(ctx context.Context, p *peer) ([]doctor.Finding, error) {
		reply, err := p.do(ctx, r.e, &spec.Request{Op: spec.OpDoctor, Want: p.want, Doctor: doctor.ShutRequest()})
		if err != nil {
			return nil, err
		}
		return doctor.Shut(facts, p.name, p.want, reply.Doctor, p.kernel(ctx, r.e)), nil
	}) {
		for _, f := range res.Value {
			r.beside = append(r.beside, ground.Note{Network: f.Server, Text: f.What + "; on " + f.Server + ": " + f.Fix})
		}
	}
}
