package network

import (
	"cmp"
	"errors"
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/state"
)

// WireGuard is the kind of an encrypted layer 3 network: a device per member, an
// address for each, and routes to the container subnets that members share. The
// lead is the member everybody can reach: the hub of a hub, and what servers
// behind NAT meet at.
const WireGuard = "wireguard"

func completeWireGuard(c *state.Cluster, name string, n *state.Network) error {
	if err := noSegment(n); err != nil {
		return err
	}
	if err := errors.Join(noBGP(n), noPool(n)); err != nil {
		return err
	}
	if len(n.Subnets) == 0 {
		p, err := freeSubnet(c, meshSpace)
		if err != nil {
			return err
		}
		n.Subnets = []netip.Prefix{p}
	}
	n.Port = cmp.Or(n.Port, freePort(c, name))
	n.Topology = cmp.Or(n.Topology, state.Mesh)
	if n.Lead == "" && len(n.Members) > 0 {
		n.Lead = serverOf(n.Members[0])
	}
	if n.Lead != "" && !hasMember(n, n.Lead) {
		return hint.Errorf("lead", "lead with one of the members", "the lead %s is not a member", n.Lead)
	}
	if err := checkSubnets(c, n); err != nil {
		return err
	}
	if err := checkMTU(n); err != nil {
		return err
	}
	return checkMesh(c, name, n)
}

// noSegment refuses what only a segment has.
func noSegment(n *state.Network) error {
	for _, o := range []struct {
		flag string
		set  bool
	}{
		{"-b", n.Bridge != ""},
		{"-v", n.VNI != 0},
		{"-d", n.Domain != ""},
		{"-m", n.Group.IsValid()},
		{"-n", n.DHCPServer != ""},
		{"--dhcp", n.DHCP != ""},
		{"--gbp", n.GBP},
		{"--no-masquerade", n.NoMasq},
		{"--isolate", n.Isolate},
		{"mesh", n.Mesh.IsValid()},
	} {
		if o.set {
			return hint.Errorf(keyOf(o.flag), "leave "+o.flag+" away, or create a network of the type "+L2, "a %s network is layer 3 and has no %s", n.Type, o.flag)
		}
	}
	return nil
}

// noMesh refuses what only networks with WireGuard have.
func noMesh(n *state.Network) error {
	for _, o := range []struct {
		flag string
		set  bool
	}{
		{"--topology", n.Topology != ""},
		{"--keepalive", n.Keepalive != 0},
		{"lead", n.Lead != ""},
		{"mesh", n.Mesh.IsValid()},
		{"shares", len(n.Shares) > 0},
	} {
		if o.set {
			return hint.Errorf(keyOf(o.flag), "leave "+o.flag+" away, or create a network of the type "+WireGuard, "a %s network has no %s", n.Type, o.flag)
		}
	}
	return nil
}

func hasMember(n *state.Network, server string) bool {
	return slices.ContainsFunc(n.Members, func(m string) bool { return serverOf(m) == server })
}

// allocateWireGuard deals new members an id and an address in every subnet, from
// the bottom up, the lead's first.
func allocateWireGuard(n *state.Network, servers []string) error {
	taken, ids := map[netip.Addr]bool{}, map[uint16]bool{}
	for _, a := range n.Allocated {
		ids[a.ID] = true
		for _, addr := range a.Addrs {
			taken[addr] = true
		}
	}
	if at := slices.Index(servers, n.Lead); at > 0 {
		servers = slices.Concat([]string{n.Lead}, servers[:at], servers[at+1:])
	}
	id := uint16(1)
	for _, server := range servers {
		for ids[id] {
			id++
		}
		ids[id] = true
		a := &state.Allocation{ID: id}
		for _, p := range n.Subnets {
			addr, ok := lowest(p, taken)
			if !ok || len(ids) > 65534 {
				return hint.Errorf("", "create the network with a wider subnet", "%s has no address left for %s", p, server)
			}
			a.Addrs = append(a.Addrs, addr)
		}
		n.Allocated[server] = a
	}
	return nil
}

func fitsWireGuard(n *state.Network, a *state.Allocation) bool {
	return a.ID != 0 && len(a.Pool) == 0 && !a.Mesh.IsValid() && fitsMesh(n.Subnets, a.Addrs)
}

func compileWireGuard(b *builder, name string, n *state.Network) error {
	places, err := b.underlays(name, n)
	if err != nil {
		return err
	}
	ends, err := b.ends(n, places, func(a *state.Allocation) []netip.Addr { return a.Addrs })
	if err != nil {
		return err
	}
	b.shareProblems(name, ends)
	over := wireguardOver4
	if wide(ends) {
		over = wireguardOver6
	}
	mtu, ok := b.tunnelMTU(name, n, places, over)
	if !ok {
		return nil
	}
	m := &mesh{
		network: name, device: meshDevice(name), subnets: n.Subnets, port: n.Port, mtu: mtu,
		hub: n.Topology == state.Hub, keepalive: n.Keepalive, ends: ends,
	}
	m.findLead(meshLead(b.c, n))
	return b.addMesh(m)
}

func (m *mesh) findLead(server string) {
	if at := slices.IndexFunc(m.ends, func(e *end) bool { return e.server == server }); at >= 0 {
		m.lead = m.ends[at]
	}
}
