package change

import (
	"maps"
	"slices"

	"github.com/flocknet/flock/internal/edit"
	"github.com/flocknet/flock/internal/ground"
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

// exchanged says whether the edit gave some network another type, or members another VXLAN,
// and the change has stages.
func (r *run) exchanged() bool {
	return r.passes() && !passage.Clash(r.was, r.compiled.Hosts, r.passingVNIs())
}

func (r *run) passes() bool {
	for name, was := range r.ways {
		if n := r.c.Networks[name]; n != nil && n.Type != was.kind {
			return true
		}
	}
	turn, _ := r.remade()
	return len(turn) > 0
}

// direct notes why members do not turn together, where only this change is the reason.
func (r *run) direct() (out []ground.Note) {
	turn, away := r.remade()
	clash := r.passes() && !r.exchanged()
	for _, name := range r.c.NetworkNames() {
		was, why := r.ways[name], ""
		switch {
		case away[name] != "":
			why = away[name] + " takes no part in the change"
		case clash && (turn[name] || was.kind != "" && was.kind != r.c.Networks[name].Type):
			why = "a new device takes the port, VNI or ends of one that goes"
		default:
			continue
		}
		out = append(out, ground.Note{Network: name, Text: why + ": packets between members are lost until all have changed, some 10 to 50 ms"})
	}
	return out
}

// remade are the networks with members whose VXLAN becomes another, whatever was edited, and
// can be made ready beside that of before; and those where it cannot, because the named member
// keeps its own and is not changed. A port has group policy or not, for all devices:
// with the same port the two cannot be there at one time. An address that the server has no
// longer leads nowhere: that is no reason to turn. Inside WireGuard only the VNI tells them apart.
func (r *run) remade() (turn map[string]bool, away map[string]string) {
	turn, away = map[string]bool{}, map[string]string{}
	not, keeps := map[string]bool{}, map[string]string{}
	for server, was := range r.was {
		now := r.compiled.Hosts[server]
		for i := 0; was != nil && now != nil && i < len(now.Links); i++ {
			l := now.Links[i]
			at := slices.IndexFunc(was.Links, func(o spec.Link) bool { return o.Name == l.Name && o.Kind == l.Kind })
			n := r.c.Networks[l.Network]
			if l.Kind != spec.VXLAN || at < 0 || n == nil {
				continue
			}
			from := was.Links[at].Tunnel
			if *from == *l.Tunnel {
				not[l.Network] = not[l.Network] || from.Group.IsValid() // it hears of no change, and takes no part
				if p := r.peers[server]; p == nil || p.err != nil || p.plan == nil || len(p.refused) > 0 {
					keeps[l.Network] = max(keeps[l.Network], server)
				}
				continue
			}
			not[l.Network] = not[l.Network] || from.GBP != l.Tunnel.GBP && from.Port == l.Tunnel.Port
			lost := from.Local != l.Tunnel.Local && !edit.Has(r.c.Servers[server], now, from.Local)
			if !lost && (!network.KindOf(n).Encrypted || from.VNI != l.Tunnel.VNI) {
				turn[l.Network] = true
			}
		}
	}
	maps.DeleteFunc(turn, func(name string, _ bool) bool {
		if keeps[name] != "" && !not[name] {
			away[name] = keeps[name]
		}
		return not[name] || keeps[name] != ""
	})
	return turn, away
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
	turn, _ := r.remade()
	for _, name := range slices.Sorted(maps.Keys(turn)) {
		for taken[free] {
			free--
		}
		out[name], taken[free] = free, true
	}
	return out
}
