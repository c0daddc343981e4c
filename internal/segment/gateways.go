package segment

import (
	"net/netip"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// Gateways are the gateways of a network, one per subnet.
func Gateways(n *state.Network) []netip.Addr {
	out := make([]netip.Addr, len(n.Subnets))
	for i, p := range n.Subnets {
		out[i] = GatewayOf(p)
	}
	return out
}

// Anycast is the gateway that every member of a network answers for.
func Anycast(b *ground.Builder, name string, n *state.Network, uplink string) spec.Gateway {
	return spec.Gateway{
		Network: name, Bridge: n.Bridge, Uplink: uplink, MAC: ground.MAC(ground.RoleAny, b.Cluster.Name, ground.BornNetwork(b.Cluster, name), 0),
		RouterMACs: ground.MAC(ground.RoleBridge, b.Cluster.Name, ground.BornNetwork(b.Cluster, name), 0), RouterMask: ground.RouterMask,
		Subnets: n.Subnets, Addrs: Gateways(n), FilterDHCP: n.DHCP == state.DHCPDistributed,
	}
}
