package network

import (
	"iter"
	"maps"
	"regexp"
	"strconv"

	"github.com/flocknet/flock/internal/state"
)

func keys[V any](m map[string]V) iter.Seq[string] { return maps.Keys(m) }

func otherNetworks(c *state.Cluster, name string) map[string]*state.Network {
	others := maps.Clone(c.Networks)
	delete(others, name)
	return others
}

// freeVNI is the first VNI from the default on that no other network has.
func freeVNI(others map[string]*state.Network) uint32 { return freeVNIFrom(others, defaultVNI) }

func freeVNIFrom(others map[string]*state.Network, vni uint32) uint32 {
	taken := map[uint32]bool{}
	for _, n := range others {
		taken[n.VNI] = true
	}
	for taken[vni] {
		vni++
	}
	return vni
}

// freeBridge is the first of prefix0, prefix1 … that no other network has.
func freeBridge(others map[string]*state.Network, prefix string) string {
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

var (
	ifName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)
	label  = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?$`) // RFC 1123, of up to 63 bytes
)
