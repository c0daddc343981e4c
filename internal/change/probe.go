package change

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/remote"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
	"github.com/flocknet/flock/internal/verify"
)

// probePaths probes paths, every server all of its own at once, and notes those without
// an answer. Those are probed again before they are called so, by themselves and from the
// other end: fifty servers that begin at once drop some of each other's packets.
func (r *run) probePaths(ctx context.Context, paths []network.Path) {
	unheard, pairs := r.unheardTwice(ctx, paths)
	for _, name := range r.c.NetworkNames() {
		var silent []string
		for _, path := range unheard[name] {
			r.muted[path.From], r.muted[path.To], silent = true, true, append(silent, path.From+" with "+path.To)
		}
		if pairs[name] > 0 && ctx.Err() == nil {
			r.judge(name, pairs[name], silent)
		}
		if len(silent) > 0 {
			r.deaf = append(r.deaf, unheard[name]...)
			r.silent = append(r.silent, ground.Note{Network: name, Text: network.Unheard(unheard[name]), Amiss: true})
		}
	}
}

// unheardTwice are the paths without an answer in both looks, by network, and how many of
// paths something is known of.
func (r *run) unheardTwice(ctx context.Context, paths []network.Path) (unheard map[string][]network.Path, known map[string]int) {
	left, unasked := r.unanswered(ctx, paths)
	again := slices.Clone(left)
	for i := range again {
		if again[i].Back.To.IsValid() {
			again[i] = again[i].Turned()
		}
	}
	silent := map[[3]string]bool{}
	of := func(p network.Path) [3]string { return [3]string{p.Network, min(p.From, p.To), max(p.From, p.To)} }
	again, late := r.unanswered(ctx, again)
	for _, path := range again {
		silent[of(path)] = true
	}
	unheard, known = map[string][]network.Path{}, map[string]int{}
	for _, path := range paths {
		known[path.Network]++
	}
	for _, path := range slices.Concat(unasked, late) {
		known[path.Network]--
	}
	for _, path := range left {
		if silent[of(path)] {
			unheard[path.Network] = append(unheard[path.Network], path)
		}
	}
	return unheard, known
}

// unanswered probes paths and returns those without an answer, and those that could not be
// probed: an error is no news about a path.
func (r *run) unanswered(ctx context.Context, paths []network.Path) (silent, unasked []network.Path) {
	of := map[*peer][]network.Path{}
	var askers []*peer
	for _, path := range paths {
		p := r.peers[path.From]
		if of[p] == nil {
			askers = append(askers, p)
		}
		of[p] = append(of[p], path)
	}
	results := remote.Each(ctx, askers, r.e.parallel(), func(ctx context.Context, p *peer) ([]spec.Probe, error) {
		var probes []spec.Probe
		for _, path := range of[p] {
			probes = append(probes, path.Probe)
		}
		tried := p.probed
		if p.probed = nil; tried != nil && !slices.ContainsFunc(probes, func(q spec.Probe) bool { return !slices.Contains(tried, q) }) {
			return p.unheard, nil
		}
		reply, err := p.do(ctx, r.e, &spec.Request{Op: spec.OpProbe, Want: p.want, Holder: r.e.Holder, Probes: probes})
		if err != nil {
			return nil, err
		}
		return reply.Unheard, nil
	})
	for i, res := range results {
		for _, path := range of[askers[i]] {
			switch {
			case res.Err != nil:
				unasked = append(unasked, path)
			case slices.Contains(res.Value, path.Probe):
				silent = append(silent, path)
			}
		}
	}
	return silent, unasked
}

// paths are those of the networks that are looked at.
func (r *run) paths() []network.Path {
	var out []network.Path
	for _, name := range r.c.NetworkNames() {
		if len(r.req.Networks) == 0 || slices.Contains(r.req.Networks, name) {
			out = append(out, network.Paths(r.c, r.compiled, name)...)
		}
	}
	return out
}

// probeAll probes the paths between the members that were looked at, if both ends are as
// they should be.
func (r *run) probeAll(ctx context.Context) {
	r.probePaths(ctx, slices.DeleteFunc(r.paths(), func(path network.Path) bool {
		from, to := r.peers[path.From], r.peers[path.To]
		return !from.answered() || !to.answered() || touches(from.plan.Steps, path) || touches(to.plan.Steps, path)
	}))
}

// judge notes what was found between some members of a network.
func (r *run) judge(name string, pairs int, silent []string) {
	v := state.Verdict{State: verify.Passes, Says: fmt.Sprintf("%d of %d pairs answer, nothing else was tried", pairs, pairs), Time: r.e.now(), Quick: true}
	if len(silent) > 0 {
		v.State, v.Says = verify.Lost, "no answer: "+ground.Few(silent)
	}
	if r.verdicts == nil {
		r.verdicts = map[string]state.Verdict{}
	}
	if was, known := r.verdicts[name]; !known || was.State == verify.Passes {
		r.verdicts[name] = v
	}
}

// probeNew probes the paths that the change made. handshake does it for WireGuard.
func (r *run) probeNew(ctx context.Context) {
	if r.req.NoVerify {
		return
	}
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
				path = path.Turned()
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
