package change

import (
	"net/netip"

	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/state"
)

// Whether a change is a passage, and by which VNIs: see package passage.

// way is what members' packets travel by. When it becomes another, the change has stages.
type way struct {
	kind     string
	vni      uint32
	port     uint16
	group    netip.Addr
	gbp      bool
	underlay string
}

func wayOf(n *state.Network) way {
	w := way{kind: n.Type, vni: n.VNI, group: n.Group, gbp: n.GBP}
	if !network.KindOf(n).Encrypted { // of WireGuard there is one device, which takes them in place
		w.port, w.underlay = n.Port, n.Interface
	}
	return w
}

// another says whether now can be made ready beside w. A port has group policy or not, for all
// devices: with the same port the two cannot be there at one time.
func (w way) another(now way) bool {
	return w != now && (w.kind != now.kind || w.gbp == now.gbp || w.port != now.port)
}

// exchanged says whether the edit gave some network another type, or another VXLAN.
func (r *run) exchanged() bool {
	for name, was := range r.ways {
		if n := r.c.Networks[name]; n != nil && was.another(wayOf(n)) && (n.Type != was.kind || n.VNI != 0) {
			return true
		}
	}
	return false
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
	for _, name := range r.c.NetworkNames() {
		n, was := r.c.Networks[name], r.ways[name]
		if n.VNI == 0 || was.vni == 0 || !was.another(wayOf(n)) {
			continue
		}
		for taken[free] {
			free--
		}
		out[name], taken[free] = free, true
	}
	return out
}
