package change

import (
	"slices"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/state"
)

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
