package ground

import (
	"maps"
	"strconv"

	"github.com/flocknet/flock/internal/state"
)

// OtherNetworks are all networks but the one called name.
func OtherNetworks(c *state.Cluster, name string) map[string]*state.Network {
	others := maps.Clone(c.Networks)
	delete(others, name)
	return others
}

// FreeVNIFrom is the first VNI from vni on that no other network has.
func FreeVNIFrom(others map[string]*state.Network, vni uint32) uint32 {
	taken := map[uint32]bool{}
	for _, n := range others {
		taken[n.VNI] = true
	}
	for taken[vni] {
		vni++
	}
	return vni
}

// FreeBridge is the first of prefix0, prefix1 … that no other network has.
func FreeBridge(others map[string]*state.Network, prefix string) string {
	taken := map[string]bool{}
	for _, n := range others {
		taken[n.Bridge] = true
	}
	for i := 0; ; i++ {
		if name := prefix + strconv.Itoa(i); !taken[name] {
			return name
		}
	}
}
