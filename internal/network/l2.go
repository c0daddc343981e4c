package network

import (
	"cmp"
	"errors"
	"net/netip"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/mesh"
	"github.com/flocknet/flock/internal/prefix"
	"github.com/flocknet/flock/internal/segment"
	"github.com/flocknet/flock/internal/state"
)

// L2 is the kind of an encrypted layer 2 overlay: a segment as VXLAN has it, whose
// tunnels run inside a WireGuard mesh of its own. Members need to share nothing but
// IP reachability.
//
// The mesh has a small IPv4 subnet of its own (n.Mesh), dealt out with the network.
// n.Port is the UDP port that firewalls see, WireGuard's; the VXLAN inside keeps to
// VXLAN's.
const L2 = "l2"

func l2Kind() *Kind {
	return &Kind{
		Name: L2, wire: "VXLAN in WireGuard", Help: meshHelp, takes: append(segmentTakes(), "topology", "keepalive", "mesh"), segment: true, Encrypted: true,
		columns: []string{"ADDRESS", "KEY"}, space: &ground.SegmentSpace, commands: memberCommands, device: encryptedDevice, overlays: segmentOverlays,
		lacks: []lack{{
			[]string{"group", "lead", "shares"},
			"leave it away",
			"a network of the type %s has neither multicast group, lead nor shared subnets",
		}},
		complete: completeL2, allocate: allocateL2, fits: fitsL2, compile: compileL2,
	}
}

func completeL2(c *state.Cluster, name string, n *state.Network) error {
	if !n.Mesh.IsValid() {
		p, err := ground.FreeSubnet(c, ground.InsideSpace)
		if err != nil {
			return hint.Pin(err, "mesh")
		}
		n.Mesh = p
	}
	if n.Mesh.Addr().Is6() {
		return hint.Errorf("mesh", "choose an IPv4 subnet"+ground.InsideSpace.Example(c, ground.DefaultMesh), "%s cannot be the subnet of a WireGuard mesh", n.Mesh)
	}
	if err := errors.Join(ground.CheckSubnet(c, n.Mesh, ground.InsideSpace), ground.HostBits(n.Mesh, ground.InsideSpace.Say)); err != nil {
		return hint.Pin(err, "mesh")
	}
	n.Port = cmp.Or(n.Port, mesh.FreePort(c, name))
	n.Topology = cmp.Or(n.Topology, state.Mesh)
	if err := completeSegment(c, name, n, "vpl"); err != nil {
		return err
	}
	if err := checkSegment(c, name, n); err != nil {
		return err
	}
	return checkMesh(c, name, n)
}

// allocateL2 deals what a segment needs, and an address in the mesh.
func allocateL2(n *state.Network, servers []string) error {
	if err := segment.Allocate(n, servers); err != nil {
		return err
	}
	taken := map[netip.Addr]bool{}
	for _, a := range n.Allocated {
		taken[a.Mesh] = true
	}
	for _, server := range servers {
		if n.Allocated[server].Mesh.IsValid() {
			continue
		}
		a, ok := prefix.Lowest(n.Mesh, taken)
		if !ok {
			return &ground.NarrowError{Subnet: n.Mesh, Server: server, Mesh: true}
		}
		n.Allocated[server].Mesh = a
	}
	return nil
}

func fitsL2(n *state.Network, a *state.Allocation) bool {
	return segment.Fits(n, a) && mesh.Fits([]netip.Prefix{n.Mesh}, []netip.Addr{a.Mesh})
}

// compileL2 makes the mesh, then the segment on it. The mesh leaves room for IPv6
// whatever the underlay is: a server that moves does not change the segment's MTU.
func compileL2(b *builder, name string, n *state.Network) error {
	places, err := b.underlays(name, n)
	if err != nil {
		return err
	}
	ends, err := mesh.Ends(b.Builder, n, places, func(a *state.Allocation) []netip.Addr { return []netip.Addr{a.Mesh} })
	if err != nil {
		return err
	}
	mtu, ok := b.tunnelMTU(name, n, places, mesh.Over6+overhead4)
	if !ok {
		return nil
	}
	least, _ := ground.SmallestMTU(places)
	m := &mesh.Mesh{
		Network: name, Device: mesh.Device(name), Subnets: []netip.Prefix{n.Mesh}, Port: n.Port, MTU: least - mesh.Over6,
		Hub: n.Topology == state.Hub, Keepalive: n.Keepalive, Ends: ends,
	}
	m.FindLead(mesh.Lead(b.Cluster, n))
	if err := b.addMesh(m); err != nil {
		return err
	}
	var inside, known []ground.Underlay
	for _, e := range ends {
		u := ground.Underlay{Server: e.Server, Dev: m.Device, Addr: e.Own[0], MTU: m.MTU}
		inside = append(inside, u)
		if e.Key != "" {
			known = append(known, u)
		}
	}
	return b.addOverlay(name, n, inside, ground.AddrSet(known), mtu)
}
