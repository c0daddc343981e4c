package change

import (
	"context"
	"fmt"
	"slices"

	"github.com/flocknet/flock/internal/edit"
	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// Servers that were made from one disk image share what must be unique: a WireGuard key,
// a machine id, an SSH host key.

// part has servers that reported another member's key make a new one. before are the
// keys before they were asked.
func (r *run) part(ctx context.Context, before map[ground.Membership]string) {
	for _, s := range edit.SharedKeys(r.c, before) {
		p := r.peers[s.Server]
		if p == nil || p.err != nil || p.session == nil || p.plan == nil {
			r.clone(s.Network, fmt.Sprintf("%s has the WireGuard key of %s: flock rotatekeys %s %s", s.Server, s.With, s.Network, s.Server))
			continue
		}
		device := network.KeyDevice(r.c, s.Network)
		reply, err := p.do(ctx, r.e, &spec.Request{Op: spec.OpKeys, Want: p.want, Holder: r.e.Holder, Keys: []string{device}, Rotate: true})
		if err != nil {
			p.err = err
			continue
		}
		r.c.Networks[s.Network].Allocated[s.Server].Key = reply.Keys[device]
		r.clone(s.Network, fmt.Sprintf("%s had a copy of the WireGuard key of %s (a cloned image?), and makes one of its own", s.Server, s.With))
	}
}

// clone adds a note about what servers share.
func (r *run) clone(of, text string) {
	if note := (ground.Note{Network: of, Text: text}); !slices.Contains(r.beside, note) {
		r.beside = append(r.beside, note)
	}
}

// assumeParted is part for a dry run.
func (r *run) assumeParted(before map[ground.Membership]string) {
	for _, s := range edit.SharedKeys(r.c, before) {
		r.c.Networks[s.Network].Allocated[s.Server].Key = spec.PlannedKey(s.Server)
		r.clone(s.Network, fmt.Sprintf("%s has a copy of the WireGuard key of %s (a cloned image?), and makes one of its own on apply", s.Server, s.With))
	}
}

// cloned are servers that share what must be unique, in plans and where one is new in the file.
func (r *run) cloned() []ground.Note {
	return edit.Cloned(r.c, func(name string) bool { return r.peers[name] != nil && (r.req.DryRun || !r.filed[name]) })
}

// refuseDuplicates refuses two names for one machine: each server would remove what the
// other asks for.
func (r *run) refuseDuplicates() {
	known := map[state.Identity][]string{}
	for _, name := range r.c.ServerNames() {
		for _, id := range r.c.Servers[name].Facts.Identities() {
			known[id] = append(known[id], name)
		}
	}
	for name, p := range r.peers {
		if p.err != nil || r.c.Servers[name] == nil {
			continue
		}
		for _, id := range r.c.Servers[name].Facts.Identities() {
			at := slices.IndexFunc(known[id], func(other string) bool { return other != name })
			if at < 0 {
				continue
			}
			other := known[id][at]
			p.refused = append(p.refused, hint.Errorf("server "+name, "use "+other+", or flock delserver "+other+", then the same again",
				"%s is the same machine as server %s (%s)", name, other, id.Addr))
			break
		}
	}
}
