package network

import (
	"slices"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/segment"
	"github.com/flocknet/flock/internal/state"
)

// PlaceNetwork is the network of ours that a member of name uses as its underlay; "": none.
func PlaceNetwork(c *state.Cluster, name, member string) string {
	n := c.Networks[name]
	m, err := ground.Wish(c, n, member)
	if err != nil {
		return ""
	}
	if m.Interface != "" {
		return deviceOwner(c, name, m.Server, m.Interface)
	}
	if o := overlayOf(c, m.Server, m.Addr); o != nil && o.Network != name {
		return o.Network
	}
	return ""
}

// deviceOwner is the network other than name that makes a device on server; "": none.
func deviceOwner(c *state.Cluster, name, server, device string) string {
	if device == segment.SubnetBridge && segment.OwnBridge(c.Servers[server]).IsValid() {
		return segment.SubnetNetwork
	}
	for _, other := range c.NetworkNames() {
		if o := c.Networks[other]; other != name && o.Allocated[server] != nil && slices.Contains(devicesOf(other, o), device) {
			return other
		}
	}
	return ""
}
