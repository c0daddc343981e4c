package network

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/mesh"
	"github.com/flocknet/flock/internal/prefix"
	"github.com/flocknet/flock/internal/state"
)

// WireGuard is the kind of an encrypted layer 3 network: a device per member, an
// address for each, and routes to the container subnets that members share. The
// lead is the member everybody can reach: the hub of a hub, and what servers
// behind NAT reach each other through.
const WireGuard = "wireguard"

// meshHelp is what createnetwork says of the encrypted kinds.
const meshHelp = `l2 is vxlan inside a WireGuard mesh of its own: encrypted, over any IP network, also
through NAT. Bridge vpl0; -p is WireGuard's port. wireguard is an encrypted layer 3
network: subnet 10.0.8.0/24 (next free), port 51820 (next free), every member is a peer
of every other, or with --topology hub through the lead server.`

func wireGuardKind() *Kind {
	return &Kind{
		Name: WireGuard, wire: "WireGuard", Help: meshHelp,
		takes: []string{"subnet", "interface", "port", "mtu", "topology", "keepalive", "lead", "shares"},
		Roles: true, Encrypted: true, columns: []string{"ADDRESS", "SHARED", "KEY"}, space: &ground.MeshSpace, commands: roleCommands(),
		WithoutRole: nameRole, device: encryptedDevice,
		overlays: func(name string, n *state.Network, server string) []ground.Overlay {
			return []ground.Overlay{{Network: name, Dev: mesh.Device(name), Addrs: n.Allocated[server].Addrs, Within: n.Subnets}}
		},
		complete: completeWireGuard, allocate: allocateWireGuard, fits: fitsWireGuard, compile: compileWireGuard,
	}
}

// roleCommands are those of a network whose members have roles.
func roleCommands() commands {
	of := memberCommands
	of.join, of.leave = "flock addnetwork NAME client SERVER", "flock delnetwork NAME client SERVER"
	of.joinLead, of.leaveLead = "flock addnetwork NAME server SERVER", of.remove
	return of
}

// nameRole asks for the role of a member.
func nameRole(n *state.Network, verb, name, server string) error {
	next := "flock " + verb + " " + name + " client " + server
	if verb == "addnetwork" && n.Lead == "" {
		next = "flock " + verb + " " + name + " server " + server + ", then flock addnetwork " + name + " client SERVER"
	}
	return hint.Errorf("network "+name, next, "%s is a %s network: say what is meant, server, client or subnet", name, n.Type)
}

func completeWireGuard(c *state.Cluster, name string, n *state.Network) error {
	if len(n.Subnets) == 0 {
		p, err := ground.FreeSubnet(c, ground.MeshSpace)
		if err != nil {
			return err
		}
		n.Subnets = []netip.Prefix{p}
	}
	n.Port = cmp.Or(n.Port, mesh.FreePort(c, name))
	n.Topology = cmp.Or(n.Topology, state.Mesh)
	if n.Lead == "" && len(n.Members) > 0 {
		n.Lead = ground.ServerOf(n.Members[0])
	}
	if n.Lead != "" && !ground.HasMember(n, n.Lead) {
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
		was := ground.Former(n, server)
		a := &state.Allocation{ID: was.ID, Key: was.Key}
		if a.ID == 0 {
			for ids[id] {
				id++
			}
			ids[id], a.ID = true, id
		}
		for i, p := range n.Subnets {
			addr, ok := was.Addrs[i], true
			if !addr.IsValid() {
				addr, ok = prefix.Lowest(p, taken)
			}
			if !ok || len(ids) > 65534 {
				return &ground.NarrowError{Subnet: p, Server: server}
			}
			a.Addrs = append(a.Addrs, addr)
		}
		n.Allocated[server] = a
	}
	return nil
}

func fitsWireGuard(n *state.Network, a *state.Allocation) bool {
	return a.ID != 0 && len(a.Pool) == 0 && !a.Mesh.IsValid() && mesh.Fits(n.Subnets, a.Addrs)
}

func compileWireGuard(b *builder, name string, n *state.Network) error {
	places, err := b.underlays(name, n)
	if err != nil {
		return err
	}
	ends, err := mesh.Ends(b.Builder, n, places, func(a *state.Allocation) []netip.Addr { return a.Addrs })
	if err != nil {
		return err
	}
	b.shareProblems(name, ends)
	over := mesh.Over4
	if mesh.Wide(ends) {
		over = mesh.Over6
	}
	mtu, ok := b.tunnelMTU(name, n, places, over)
	if !ok {
		return nil
	}
	m := &mesh.Mesh{
		Network: name, Device: mesh.Device(name), Subnets: n.Subnets, Port: n.Port, MTU: mtu,
		Hub: n.Topology == state.Hub, Keepalive: n.Keepalive, Ends: ends,
	}
	m.FindLead(mesh.Lead(b.Cluster, n))
	return b.addMesh(m)
}
