package network

import (
	"slices"
	"strconv"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/mesh"
	"github.com/flocknet/flock/internal/state"
)

// encryptedDevice is mesh.Device as kinds have it.
func encryptedDevice(name string, _ *state.Network) string { return mesh.Device(name) }

// MeshDevice is the WireGuard device of the network called name.
func MeshDevice(name string) string { return mesh.Device(name) }

// KeyDevice is the WireGuard device that members of a network have; "" in a
// network without one.
func KeyDevice(c *state.Cluster, network string) string {
	if n := c.Networks[network]; n != nil && meaning(n).Encrypted {
		return mesh.Device(network)
	}
	return ""
}

// KeyDevices are the WireGuard devices of a server, by network.
func KeyDevices(c *state.Cluster, server string) map[string]string {
	out := map[string]string{}
	for name, n := range c.Networks {
		if meaning(n).Encrypted && n.Allocated[server] != nil {
			out[name] = mesh.Device(name)
		}
	}
	return out
}

// checkMesh refuses what no mesh can be.
func checkMesh(c *state.Cluster, name string, n *state.Network) error {
	if err := ground.CheckFamily(c, n); err != nil {
		return err
	}
	nat, lead := mesh.BehindNAT(c, n), mesh.Lead(c, n)
	if len(nat) > 1 && slices.Contains(nat, lead) {
		other := nat[0]
		if other == lead {
			other = nat[1]
		}
		next := "give the network a lead that the others can reach"
		if !meaning(n).Roles {
			next = "flock addnetwork " + name + " SERVER, with one that the others can reach"
		}
		return hint.Errorf("server "+lead, next,
			"%s and %s are both behind NAT, and so is the lead: no member can relay between them", lead, other)
	}
	return nil
}

// addMesh adds a mesh, and what BGP routes over it.
func (b *builder) addMesh(m *mesh.Mesh) (err error) {
	if m.Routed, err = b.routedOver(m.Network); err != nil {
		return err
	}
	mesh.Add(b.Builder, m)
	return nil
}

// checkPorts refuses networks that would listen on one UDP port of one server.
// VXLAN networks share theirs.
func checkPorts(c *state.Cluster) error {
	type place struct {
		server string
		port   uint16
	}
	type listener struct {
		network string
		vxlan   bool
	}
	on := map[place]listener{}
	for _, name := range c.NetworkNames() {
		n := c.Networks[name]
		var mine []listener
		var ports []uint16
		if meaning(n).Encrypted {
			mine, ports = append(mine, listener{name, false}), append(ports, n.Port)
		}
		if n.VNI != 0 || meaning(n).pool != nil && n.Port != 0 {
			mine, ports = append(mine, listener{name, n.VNI != 0}), append(ports, tunnelPort(n))
		}
		for _, m := range n.Members {
			for i, l := range mine {
				at := place{ground.ServerOf(m), ports[i]}
				if other, taken := on[at]; taken && (!other.vxlan || !l.vxlan) {
					return hint.Errorf("server "+at.server, ground.Setting(name, "-p "+strconv.Itoa(int(mesh.FreePort(c, name)))),
						"the networks %s and %s both want UDP port %d of %s", other.network, name, at.port, at.server)
				}
				on[at] = l
			}
		}
	}
	return nil
}
