package ground

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/state"
)

// Use is a prefix that something in the cluster occupies.
type Use struct {
	Prefix          netip.Prefix
	By              string
	Network, Server string // whose it is
	Mesh            bool   // the subnet of a mesh below a segment
}

// OwnSubnet is what a server's own container subnet is called where a network's name
// would stand, in a Note.
func OwnSubnet(server string) string { return "the container subnet of " + server }

// Pools are n's subnets, and of a pool network the further pools.
func Pools(n *state.Network) []netip.Prefix { return slices.Concat(n.Subnets, n.More) }

// Uses are the prefixes that networks and servers of the cluster occupy, by name.
func Uses(c *state.Cluster) []Use {
	var out []Use
	for _, name := range c.NetworkNames() {
		n := c.Networks[name]
		for _, p := range Pools(n) {
			out = append(out, Use{Prefix: p, By: "network " + name, Network: name})
		}
		if n.Mesh.IsValid() {
			out = append(out, Use{Prefix: n.Mesh, By: "the mesh of network " + name, Network: name, Mesh: true})
		}
	}
	for _, name := range c.ServerNames() {
		if p := c.Servers[name].Subnet; p.IsValid() {
			out = append(out, Use{Prefix: p.Masked(), By: OwnSubnet(name), Server: name})
		}
	}
	return out
}

// ByAddr sorts by the first address, wider prefixes first.
func ByAddr(a, b Use) int {
	return cmp.Or(a.Prefix.Addr().Compare(b.Prefix.Addr()), cmp.Compare(a.Prefix.Bits(), b.Prefix.Bits()))
}
