package change

import (
	"maps"
	"slices"

	"github.com/flocknet/flock/internal/edit"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/passage"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// Whether a change is a passage, and by which VNIs: see package passage.

// way is what a network was before the edit. When it becomes another, the change has stages.
type way struct {
	kind string
	vni  uint32
}

func wayOf(n *state.Network) way { return way{n.Type, n.VNI} }

// exchanged says whether the edit gave some network another type, or members another VXLAN.
func (r *run) exchanged() bool {
	for name, was := range r.ways {
		if n := r.c.Networks[name]; n != nil && n.Type != was.kind {
			return true
		}
	}
	return len(r.remade()) > 0
}

// remade are the networks with members whose VXLAN becomes another, whatever was edited, and
// can be made ready beside that of before. A port has group policy or not, for all devices:
// with the same port the two cannot be there at one time. An address that the server has no
// longer leads nowhere. Inside WireGuard only the VNI tells them apart.
func (r *run) remade() map[string]bool {
	out, not := map[string]bool{}, map[string]bool{}
	for server, was := range r.was {
		now := r.compiled.Hosts[server]
		if was != nil && now != nil && passage.Displaces(was, now) {
			return nil
		}
		for i := 0; was != nil && now != nil && i < len(now.Links); i++ {
			l := now.Links[i]
			at := slices.IndexFunc(was.Links, func(o spec.Link) bool { return o.Name == l.Name && o.Kind == l.Kind })
			n := r.c.Networks[l.Network]
			if l.Kind != spec.VXLAN || at < 0 || n == nil {
				continue
			}
			from := was.Links[at].Tunnel
			if *from == *l.Tunnel {
				// It takes no part: it hears of no change, or is away, and with it all who would turn.
				not[l.Network] = not[l.Network] || from.Group.IsValid() || r.peers[server] != nil && r.peers[server].err != nil
				continue
			}
			if from.GBP != l.Tunnel.GBP && from.Port == l.Tunnel.Port || from.Local != l.Tunnel.Local && !edit.Has(r.c.Servers[server], now, from.Local) {
				not[l.Network] = true
			}
			if !network.KindOf(n).Encrypted || from.VNI != l.Tunnel.VNI {
				out[l.Network] = true
			}
		}
	}
	maps.DeleteFunc(out, func(name string, _ bool) bool { return not[name] })
	return out
}

// passingVNIs are VNIs that no network and no device of others on a server has, by networks
// whose VXLAN becomes another.
func (r *run) passingVNIs() map[string]uint32 {
	taken, out := map[uint32]bool{}, map[string]uint32{}
	for name, n := range r.c.Networks {
		taken[n.VNI], taken[r.ways[name].vni] = true, true
	}
	for _, p := range r.peers {
		for i := 0; p.plan != nil && i < len(p.plan.VNIs); i++ {
			taken[p.plan.VNIs[i]] = true
		}
	}
	free := uint32(1<<24 - 1)
	for _, name := range slices.Sorted(maps.Keys(r.remade())) {
		for taken[free] {
			free--
		}
		out[name], taken[free] = free, true
	}
	return out
}
