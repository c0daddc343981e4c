package change

import (
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/state"
)

// identity tells machines apart. A machine id alone does not: a cloned disk has the same
// one.
type identity struct {
	machine string
	addr    netip.Addr // of the interface of the default route; without one, of any
}

// identities of a server, from its last facts.
func identities(f *state.Facts) []identity {
	if f == nil || f.Machine == "" {
		return nil
	}
	var out []identity
	for _, i := range f.Interfaces {
		routed := f.Default4 + f.Default6 // docker0 has the same address on every machine
		if routed != "" && i.Name != f.Default4 && i.Name != f.Default6 {
			continue
		}
		for _, p := range i.Addrs {
			out = append(out, identity{f.Machine, p.Addr()})
		}
	}
	return out
}

// refuseDuplicates refuses two names for one machine: each server would remove what the
// other asks for.
func (r *run) refuseDuplicates() {
	known := map[identity][]string{}
	for _, name := range r.c.ServerNames() {
		for _, id := range identities(r.c.Servers[name].Facts) {
			known[id] = append(known[id], name)
		}
	}
	for name, p := range r.peers {
		if p.err != nil || r.c.Servers[name] == nil {
			continue
		}
		for _, id := range identities(r.c.Servers[name].Facts) {
			at := slices.IndexFunc(known[id], func(other string) bool { return other != name })
			if at < 0 {
				continue
			}
			other := known[id][at]
			p.refused = append(p.refused, hint.Errorf("server "+name, "use "+other+", or flock delserver "+other+", then the same again",
				"%s is the same machine as server %s (%s)", name, other, id.addr))
			break
		}
	}
}
