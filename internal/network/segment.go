package network

import (
	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/state"
)

// checkSubnets refuses subnets that cannot be a network's.
func checkSubnets(c *state.Cluster, n *state.Network) error {
	families := map[bool]bool{}
	for _, p := range n.Subnets {
		if err := ground.CheckSubnet(c, p, spaceOf(n)); err != nil {
			return hint.Pin(err, "subnet")
		}
		if err := ground.HostBits(p, ground.ByFlag); err != nil {
			return hint.Pin(err, "subnet")
		}
		if families[p.Addr().Is6()] {
			return hint.Errorf("subnet", "give -s once for IPv4 and once for IPv6", "two %s subnets", ground.FamilyName(p.Addr().Is6()))
		}
		families[p.Addr().Is6()] = true
	}
	return nil
}
