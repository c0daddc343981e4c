package network

import (
	"net/netip"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/state"
)

// spaceOf is the space of a network's subnets.
func spaceOf(n *state.Network) ground.Space { return *meaning(n).space }

// TunnelExample is advice that follows a text: addresses of a free subnet for the two ends of
// a tunnel, of the family of the one that is refused; "" where there are none.
func TunnelExample(c *state.Cluster, refused netip.Prefix) string {
	return ground.TunnelSpace.ExampleEnds(c, refused)
}
