package network

import (
	"fmt"
	"slices"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/option"
	"github.com/flocknet/flock/internal/segment"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// Bridge is the kind of a layer 2 network without encapsulation: on every member an
// interface, or a VLAN on it, is a port of a bridge. What connects the members is the
// wire. Without a subnet flock gives nobody an address: what is on the wire does.
const Bridge = "bridge"

func bridgeKind() *Kind {
	return &Kind{
		Name: Bridge, passes: "Ethernet", Help: bridgeHelp, segment: true, space: &ground.SegmentSpace,
		takes:    []string{"subnet", "bridge", "vlan", "domain", "dhcp", "dhcp-server", "no-masquerade", "isolate"},
		commands: bridgeCommands, device: vlanDevice, overlays: segmentOverlays, probe: probeSegment,
		lacks: []lack{
			{[]string{"interface"}, "flock addnetwork NETWORK SERVER:INTERFACE", "a %s network has an interface of each member's own"},
			{[]string{"vni", "port", "group", "gbp", "topology", "keepalive", "mesh"}, "leave it away, or take a network of the type " + VXLAN + " or " + L2, "a %s network has no tunnels: frames leave by the members' interfaces as they are"},
			{[]string{"mtu"}, "set it on the interface", "a %s network has the MTU of its interfaces"},
		},
		complete: completeBridge, allocate: segment.Allocate, fits: segment.Fits, compile: compileBridge,
	}
}

var bridgeCommands = commands{
	join: "flock addnetwork NAME SERVER:INTERFACE", leave: memberCommands.leave, remove: memberCommands.remove, unshare: memberCommands.unshare,
}

const bridgeHelp = `bridge: containers on the wire itself. On every member an interface, or a VLAN on it,
is a port of a bridge: flock addnetwork NAME s1:eth1 s2:eth1. With -s flock hands out
addresses and names; without it, what is on the wire does.`

// vlanDevice is the device of a network's VLAN on every member; "" where frames have no tag.
func vlanDevice(_ string, n *state.Network) string {
	if n.VLAN == 0 {
		return ""
	}
	return spec.IfName(n.Bridge, "vl")
}

func completeBridge(c *state.Cluster, name string, n *state.Network) error {
	others := ground.OtherNetworks(c, name)
	if n.Bridge == "" {
		n.Bridge = ground.FreeBridge(others, "br")
	}
	if err := checkBridge(n, others, "br"); err != nil {
		return err
	}
	if err := checkWires(c, name, n); err != nil {
		return err
	}
	if len(n.Subnets) == 0 {
		return withoutSubnet(n)
	}
	if n.Domain == "" {
		n.Domain = option.DefaultDomain
	}
	if n.DHCP == "" {
		n.DHCP = state.DHCPSingle
	}
	if err := checkSubnets(c, n); err != nil {
		return err
	}
	return checkDHCPServer(c, n)
}

// withoutSubnet refuses what only a network with a subnet has.
func withoutSubnet(n *state.Network) error {
	for _, o := range option.All() {
		left := o.Key == "domain" && n.Domain == option.DefaultDomain || o.Key == "dhcp" && n.DHCP == state.DHCPSingle // of a subnet that it had
		if slices.Contains([]string{"domain", "dhcp", "dhcp-server", "no-masquerade", "isolate"}, o.Key) && o.IsSet(n) && !left {
			return hint.Errorf(o.Key, "-s with a subnet, or leave "+o.Flag()+" away", "%s is about addresses that flock hands out, and the network has no subnet", o.Flag())
		}
	}
	return nil
}

// checkWires refuses members without an interface, and an interface of two networks: its
// frames can be those of one, or of one for each tag.
func checkWires(c *state.Cluster, name string, n *state.Network) error {
	for _, text := range n.Members {
		m, err := state.ParseMember(text)
		if err != nil {
			return hint.Pin(err, "members")
		}
		if m.Interface == "" {
			return hint.Errorf("members", "flock addnetwork "+name+" "+m.Server+":INTERFACE", "%s: name the interface of %s that is to be a port of the bridge", text, m.Server)
		}
		for _, other := range c.NetworkNames() {
			o := c.Networks[other]
			if other == name || o.Type != Bridge || o.VLAN != n.VLAN || !slices.Contains(o.Members, text) {
				continue
			}
			return hint.Errorf("members", "another interface, or a VLAN: --vlan N", "%s of %s is a port of network %s", m.Interface, m.Server, other)
		}
	}
	return nil
}

// wire is the place of a member: its interface, as its server has it.
func (b *builder) wire(name, text string) (ground.Underlay, bool) {
	m, err := state.ParseMember(text)
	s := b.Cluster.Servers[m.Server]
	if err != nil || s.Facts == nil {
		return ground.Underlay{}, false // never contacted
	}
	at := slices.IndexFunc(s.Facts.Interfaces, func(i state.Interface) bool { return i.Name == m.Interface })
	if at < 0 {
		b.Problem(m.Server, name, hint.Errorf("server "+m.Server, "flock each "+m.Server+" -- ip -br link", "%s has no interface %s", m.Server, m.Interface))
		return ground.Underlay{}, false
	}
	b.Out.Places[ground.Membership{Server: m.Server, Network: name}] = ground.Place{Interface: m.Interface}
	return ground.Underlay{Server: m.Server, Dev: m.Interface, MTU: s.Facts.Interfaces[at].MTU}, true
}

func compileBridge(b *builder, name string, n *state.Network) error {
	var places []ground.Underlay
	for _, text := range n.Members {
		if u, ok := b.wire(name, text); ok {
			places = append(places, u)
		}
	}
	for _, u := range places {
		a := n.Allocated[u.Server]
		if a == nil {
			return fmt.Errorf("%s has no number: the cluster is not complete", u.Server)
		}
		b.addWire(name, n, u, a)
	}
	least, server := ground.SmallestMTU(places)
	if at := slices.IndexFunc(places, func(u ground.Underlay) bool { return u.MTU != least }); at >= 0 {
		b.Note(name, "the interfaces have more than one MTU, and packets between them may be lost: %d on %s, %d on %s", least, server, places[at].MTU, places[at].Server)
	}
	if len(n.Subnets) > 0 {
		segment.AddDHCP(b.Builder, name, n, places, least)
	}
	return nil
}

// addWire adds a member's bridge, and the port by which its frames leave.
func (b *builder) addWire(name string, n *state.Network, u ground.Underlay, a *state.Allocation) {
	h, uplink, moves := b.Out.Hosts[u.Server], u.Dev, slices.Contains(n.Moves, u.Server)
	mac := func(role byte) string {
		return ground.MAC(role, b.Cluster.Name, ground.BornNetwork(b.Cluster, name), a.ID)
	}
	if device := vlanDevice(name, n); device != "" {
		uplink = device
		h.Links = append(h.Links, spec.Link{
			Name: device, Network: name, Kind: spec.VLAN, MAC: mac(ground.RoleTunnel), MTU: u.MTU, Master: n.Bridge, Tunnel: &spec.Tunnel{VNI: uint32(n.VLAN), Dev: u.Dev},
		})
		h.Sysctls = append(h.Sysctls, spec.Sysctl{Key: "net/ipv6/conf/" + device + "/disable_ipv6", Value: "1", Link: device})
	} else {
		h.Links = append(h.Links, spec.Link{Name: u.Dev, Network: name, Kind: spec.Port, Master: n.Bridge, Moves: moves})
	}
	h.Claims = append(h.Claims, spec.Claim{Network: name, Device: u.Dev})
	if len(n.Subnets) > 0 {
		segment.Add(b.Builder, h, segment.Segment{
			Network: name, Bridge: n.Bridge, MAC: mac(ground.RoleBridge), MTU: u.MTU,
			Subnets: n.Subnets, Gateways: segment.Gateways(n), Own: a.Addrs, Masq: !n.NoMasq, Guard: segment.MembersGuard(b.Builder, name, n, uplink),
		})
		h.Gateways = append(h.Gateways, segment.Anycast(b.Builder, name, n, uplink))
		return
	}
	bridge := spec.Link{Name: n.Bridge, Network: name, Kind: spec.Bridge, MAC: mac(ground.RoleBridge), MTU: u.MTU}
	if moves { // it is the server's interface now, with that one's MAC address
		bridge.MAC = ""
	} else { // the server itself takes no part in what is on the wire
		h.Sysctls = append(h.Sysctls, spec.Sysctl{Key: "net/ipv6/conf/" + n.Bridge + "/disable_ipv6", Value: "1", Link: n.Bridge})
	}
	h.Links = append(h.Links, bridge)
	h.Forwards = append(h.Forwards, spec.Forward{Network: name, Link: n.Bridge})
}
