package change

import (
	"context"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/remote"
	"github.com/flocknet/flock/internal/spec"
)

// probePaths probes paths, every server all of its own at once, and notes those without
// an answer.
func (r *run) probePaths(ctx context.Context, paths []network.Path) {
	of := map[*peer][]network.Path{}
	var askers []*peer
	for _, path := range paths {
		p := r.peers[path.From]
		if of[p] == nil {
			askers = append(askers, p)
		}
		of[p] = append(of[p], path)
	}
	results := remote.Each(ctx, askers, r.parallel(), func(ctx context.Context, p *peer) ([]spec.Probe, error) {
		var probes []spec.Probe
		for _, path := range of[p] {
			probes = append(probes, path.Probe)
		}
		reply, err := p.do(ctx, r.e, &spec.Request{Op: spec.OpProbe, Want: p.want, Holder: r.e.Holder, Probes: probes})
		if err != nil {
			return nil, err
		}
		return reply.Unheard, nil
	})
	unheard := map[string][]network.Path{}
	for i, res := range results { // an error here is no news about a path
		for _, path := range of[askers[i]] {
			if slices.Contains(res.Value, path.Probe) {
				unheard[path.Network] = append(unheard[path.Network], path)
			}
		}
	}
	for _, name := range r.c.NetworkNames() {
		if list := unheard[name]; len(list) > 0 {
			r.deaf = append(r.deaf, list...)
			r.silent = append(r.silent, ground.Note{Network: name, Text: network.Unheard(list), Amiss: true})
		}
	}
}

// probeAll probes the paths between the members that were looked at, if both ends are as
// they should be.
func (r *run) probeAll(ctx context.Context) {
	var paths []network.Path
	for _, name := range r.c.NetworkNames() {
		if len(r.req.Networks) > 0 && !slices.Contains(r.req.Networks, name) {
			continue
		}
		for _, path := range network.Paths(r.c, r.compiled, name) {
			from, to := r.peers[path.From], r.peers[path.To]
			if from.answered() && to.answered() && !touches(from.plan.Steps, path) && !touches(to.plan.Steps, path) {
				paths = append(paths, path)
			}
		}
	}
	r.probePaths(ctx, paths)
}

// probeNew probes the paths that the change made. handshake does it for WireGuard.
func (r *run) probeNew(ctx context.Context) {
	var paths []network.Path
	for _, name := range r.c.NetworkNames() {
		if !r.made(name) {
			continue
		}
		for _, path := range network.Paths(r.c, r.compiled, name) {
			from, to := r.peers[path.From], r.peers[path.To]
			if path.Probe.Key != "" || !from.answered() || !to.answered() {
				continue
			}
			came, goes := to.gained(path), from.gained(path)
			if came && !goes { // the few new members probe, not all the others
				path.From, path.To, path.Probe, path.Back = path.To, path.From, path.Back, path.Probe
			}
			if came || goes {
				paths = append(paths, path)
			}
		}
	}
	r.probePaths(ctx, paths)
}

// made says whether the change created a device of the network on some server.
func (r *run) made(name string) bool {
	for _, p := range r.peers {
		if p.want == nil || p.report == nil {
			continue
		}
		for _, l := range p.want.Links {
			if l.Network == name && slices.ContainsFunc(p.report.Steps, func(s spec.Step) bool { return s.Object == "link "+l.Name }) {
				return true
			}
		}
	}
	return false
}

func (p *peer) answered() bool { return p != nil && p.err == nil && p.plan != nil && p.want != nil }

// gained says whether the change created the device of a path, or created it again.
func (p *peer) gained(path network.Path) bool {
	return p.report != nil && slices.ContainsFunc(p.report.Steps, func(s spec.Step) bool { return s.Object == "link "+path.Probe.Link })
}

// touches says whether steps concern the device of a path, its ports or entries.
func touches(steps []spec.Step, path network.Path) bool {
	return slices.ContainsFunc(steps, func(s spec.Step) bool { return strings.Contains(s.Object, path.Probe.Link) })
}
