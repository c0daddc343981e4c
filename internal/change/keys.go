package change

import (
	"context"
	"slices"

	"github.com/flocknet/flock/internal/edit"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/remote"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// Rotation names a member of a network that is to get a new WireGuard key.
type Rotation struct{ Network, Server string }

// keys asks every server that is about to change for the public keys of its WireGuard
// devices, in parallel, and has the servers that a new key concerns plan again. The
// servers make the key pairs. If a key differs from the file's, the server is right: it
// was installed again, or a rotation was interrupted.
//
// Nothing is saved yet; the server removes a pair that no apply uses.
func (r *run) keys(ctx context.Context) error {
	asked := map[string]bool{}
	for range maxRounds {
		var todo []*peer
		for _, name := range sortedNames(r.peers) {
			if !asked[name] && r.needsKeys(r.peers[name]) {
				asked[name] = true
				todo = append(todo, r.peers[name])
			}
		}
		if len(todo) == 0 {
			return nil
		}
		if !r.askKeys(ctx, todo) {
			continue
		}
		if err := r.compile(); err != nil {
			return err
		}
		if err := r.plan(ctx, spec.OpPlan); err != nil {
			return err
		}
		if err := r.refusal(); err != nil {
			return err
		}
	}
	return nil
}

// needsKeys says whether p's server has WireGuard devices and will change.
func (r *run) needsKeys(p *peer) bool {
	if p.err != nil || p.plan == nil || len(network.KeyDevices(r.c, p.name)) == 0 {
		return false
	}
	return len(p.plan.Steps) > 0 || p.plan.Sum != r.sums.of(p.want) || r.turns(p.name)
}

// turns says whether a server gets a new key: in a dry run, any server of the rotation;
// otherwise the one whose turn it is.
func (r *run) turns(server string) bool {
	if !r.req.DryRun {
		return r.turn.Server == server
	}
	return slices.ContainsFunc(r.req.Rotate, func(t Rotation) bool { return t.Server == server })
}

// askKeys puts the public keys of todo into the copy of the file, and says whether one
// is new there.
func (r *run) askKeys(ctx context.Context, todo []*peer) (changed bool) {
	before := edit.Keys(r.c)
	results := remote.Each(ctx, todo, r.e.parallel(), func(ctx context.Context, p *peer) (map[string]string, error) {
		devices := network.KeyDevices(r.c, p.name)
		req := &spec.Request{Op: spec.OpKeys, Want: p.want, Holder: r.e.Holder, Former: r.formerDevices(p.name)}
		turn := ""
		if r.turn.Server == p.name {
			turn = r.turn.Network
		}
		for name, device := range devices {
			if name != turn {
				req.Keys = append(req.Keys, device)
			}
		}
		slices.Sort(req.Keys)
		out := map[string]string{}
		if len(req.Keys) > 0 {
			reply, err := p.do(ctx, r.e, req)
			if err != nil {
				return nil, err
			}
			out = reply.Keys
		}
		if turn == "" {
			return out, nil
		}
		reply, err := p.do(ctx, r.e, &spec.Request{Op: spec.OpKeys, Want: p.want, Holder: r.e.Holder, Keys: []string{devices[turn]}, Rotate: true})
		if err != nil {
			return nil, err
		}
		out[devices[turn]] = reply.Keys[devices[turn]]
		return out, nil
	})
	for i, res := range results {
		p := todo[i]
		if p.err = res.Err; p.err != nil {
			r.e.event(Event{Server: p.name, Done: true, Err: p.err})
			continue
		}
		for name, device := range network.KeyDevices(r.c, p.name) {
			a := r.c.Networks[name].Allocated[p.name]
			switch key := res.Value[device]; {
			case key == "":
				p.err = hint.Errorf("server "+p.name, "flock apply", "%s reported no key for %s", p.name, device)
			case a != nil && a.Key != key:
				a.Key, changed = key, true
			}
		}
	}
	r.part(ctx, before)
	return changed
}

// assumeKeys replaces keys in a dry run, which makes no pairs: a server that has no pair
// yet gets a placeholder, so that plans show who becomes whose peer. A key that a server
// reported is used; one that it has lost will be replaced.
func (r *run) assumeKeys() {
	before := edit.Keys(r.c)
	defer func() { r.assumeParted(before) }()
	for name, p := range r.peers {
		if p.err != nil || p.plan == nil {
			continue
		}
		asked := r.needsKeys(p)
		for of, device := range network.KeyDevices(r.c, name) {
			a := r.c.Networks[of].Allocated[name]
			switch there := p.keys[device]; {
			case a == nil || !asked && a.Key != "":
			case there == "" || slices.Contains(r.req.Rotate, Rotation{of, name}):
				a.Key = spec.PlannedKey(name)
			default:
				a.Key = there
			}
		}
	}
}

func (r *run) compile() error {
	compiled, err := network.Compile(r.c)
	if err == nil {
		r.compiled, r.sums = compiled, sums{}
	}
	return err
}

// waves are groups of servers that apply one after the other.
//
// A server with a new key comes first: until the others have that key, they use the old
// session, which it still accepts, and its own packets wait for them. In the other order
// the first handshake of the others would stay unanswered for five seconds (WireGuard's
// REKEY_TIMEOUT). Servers behind NAT come last: they begin the handshakes, and the
// others must know their keys by then.
func (r *run) waves(todo []*peer) [][]*peer {
	var turn, most, last []*peer
	for _, p := range todo {
		switch {
		case p.name == r.turn.Server:
			turn = append(turn, p)
		case r.c.Servers[p.name].NAT && len(network.KeyDevices(r.c, p.name)) > 0:
			last = append(last, p)
		default:
			most = append(most, p)
		}
	}
	// Begun last, who has most to do would have everybody wait.
	slices.SortStableFunc(most, func(a, b *peer) int { return len(b.plan.Steps) - len(a.plan.Steps) })
	return [][]*peer{turn, most, last}
}

// CheckRotation refuses to rotate keys where there are none.
func CheckRotation(c *state.Cluster, t Rotation) error {
	n := c.Networks[t.Network]
	switch {
	case n == nil:
		return hint.Unknown("network", t.Network, "flock listnetworks")
	case network.KeyDevice(c, t.Network) == "":
		return hint.Errorf("network "+t.Network, "flock listnetworks", "%s is a %s network and has no keys", t.Network, n.Type)
	case n.Allocated[t.Server] == nil:
		return hint.Errorf("network "+t.Network, "flock listnetworks "+t.Network, "%s is not a member of %s", t.Server, t.Network)
	}
	return nil
}
