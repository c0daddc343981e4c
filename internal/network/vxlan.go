package network

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// VXLAN is the kind of an unencrypted layer 2 overlay (RFC 7348): one VXLAN device
// on a bridge per member, frames to unknown destinations sent to every member by
// unicast, or to a multicast group.
const VXLAN = "vxlan"

const (
	maxVNI       = 1<<24 - 1 // RFC 7348: 24 bits
	defaultVNI   = 42
	vxlanPort    = 4789 // IANA
	vxlanDomain  = "vxapp"
	overhead4    = 50 // outer IPv4 20, UDP 8, VXLAN 8, inner Ethernet 14
	overhead6    = 70 // outer IPv6 40
	multicastTTL = 64 // the kernel's 1 dies at the first router
)

func vxlanKind() *Kind {
	return &Kind{
		Name: VXLAN, wire: "VXLAN", takes: append(segmentTakes(), "group"), segment: true, space: &segmentSpace,
		commands: memberCommands, overlays: segmentOverlays, probe: probeSegment,
		complete: completeVXLAN, allocate: allocateSegment, fits: fitsSegment, compile: compileVXLAN,
	}
}

// segmentTakes are the options of all layer 2 kinds.
func segmentTakes() []string {
	return []string{
		"subnet", "interface", "bridge", "vni", "port", "mtu", "domain", "dhcp", "dhcp-server", "gbp", "no-masquerade", "isolate",
	}
}

func completeVXLAN(c *state.Cluster, name string, n *state.Network) error {
	if n.Port == 0 {
		n.Port = vxlanPort
	}
	if err := completeSegment(c, name, n, "vxl"); err != nil {
		return err
	}
	return checkSegment(c, name, n)
}

// completeSegment fills in what all segments on tunnels have.
func completeSegment(c *state.Cluster, name string, n *state.Network, bridge string) error {
	if len(n.Subnets) == 0 {
		p, err := freeSubnet(c, segmentSpace)
		if err != nil {
			return err
		}
		n.Subnets = []netip.Prefix{p}
	}
	if n.Domain == "" {
		n.Domain = vxlanDomain
	}
	if n.DHCP == "" {
		n.DHCP = state.DHCPSingle
	}
	others := otherNetworks(c, name)
	if n.VNI == 0 {
		n.VNI = freeVNI(others)
	}
	if n.Bridge == "" {
		n.Bridge = freeBridge(others, bridge)
	}
	return nil
}

// tunnelPort is the UDP port of a network's VXLAN.
func tunnelPort(n *state.Network) uint16 {
	if kind := meaning(n); kind.segment && kind.Encrypted {
		return vxlanPort
	}
	return n.Port
}

// encapsulation is what n's packets travel in.
func encapsulation(n *state.Network) string {
	return cmp.Or(meaning(n).wire, "encapsulation")
}

// checkSegment refuses options that no layer 2 kind can take.
func checkSegment(c *state.Cluster, name string, n *state.Network) error {
	if err := checkSubnets(c, n); err != nil {
		return err
	}
	if err := checkFamily(c, n); err != nil {
		return err
	}
	if n.DHCPServer != "" {
		if n.DHCP != state.DHCPSingle {
			return hint.Errorf("dhcp-server", "leave -n away, or use --dhcp single", "DHCP server %s with DHCP %s", n.DHCPServer, n.DHCP)
		}
		if c.Servers[n.DHCPServer] == nil && n.DHCPServer != Local {
			return hint.Pin(UnknownServer(n.DHCPServer), "dhcp-server")
		}
	}
	if err := checkMTU(n); err != nil {
		return err
	}
	others := otherNetworks(c, name)
	if err := checkBridge(n, others, "vxl"); err != nil {
		return err
	}
	return checkVXLAN(n, others)
}

func checkMTU(n *state.Network) error {
	if n.MTU != 0 && n.MTU < minMTU6 && slices.ContainsFunc(n.Subnets, func(p netip.Prefix) bool { return p.Addr().Is6() }) {
		return hint.Errorf("mtu", "--mtu 1280 or more", "MTU %d is less than the %d that IPv6 needs", n.MTU, minMTU6)
	}
	return nil
}

func checkVXLAN(n *state.Network, others map[string]*state.Network) error {
	for _, other := range slices.Sorted(keys(others)) {
		o := others[other]
		if o.VNI == n.VNI && tunnelPort(o) == tunnelPort(n) && o.VNI != 0 {
			return hint.Errorf("vni", "-v "+strconv.Itoa(int(freeVNI(others))), "VNI %d on port %d is taken by network %s", n.VNI, tunnelPort(n), other)
		}
		// One UDP socket serves all of a port's networks, with or without group
		// policy (linux, vxlan_core.c: vxlan_find_sock).
		if o.VNI != 0 && tunnelPort(o) == tunnelPort(n) && o.GBP != n.GBP {
			return hint.Errorf("port", "-p "+strconv.Itoa(freeTunnelPort(others, n.GBP)),
				"network %s has port %d too, and only one of them has group policy (--gbp): the kernel cannot take both", other, tunnelPort(n))
		}
	}
	return nil
}

// checkBridge refuses a bridge that another network or the servers have. Advice names one
// that begins with prefix.
func checkBridge(n *state.Network, others map[string]*state.Network, prefix string) error {
	for _, other := range slices.Sorted(keys(others)) {
		if others[other].Bridge == n.Bridge {
			return hint.Errorf("bridge", "-b "+freeBridge(others, prefix), "bridge %s is taken by network %s", n.Bridge, other)
		}
	}
	if n.Bridge == subnetBridge {
		return hint.Errorf("bridge", "-b "+freeBridge(others, prefix), "bridge %s is the servers' own (setsubnet)", n.Bridge)
	}
	return nil
}

// freeTunnelPort is the first port from the default on that networks with another group
// policy leave.
func freeTunnelPort(others map[string]*state.Network, gbp bool) int {
	taken := map[uint16]bool{}
	for _, o := range others {
		taken[o.Port] = taken[o.Port] || o.GBP != gbp
	}
	port := uint16(vxlanPort)
	for taken[port] {
		port++
	}
	return int(port)
}

// groupOK says whether g can carry a network: link-local IPv4 groups
// (224.0.0.0/24) belong to protocols, and an IPv6 group needs a scope beyond the
// interface (RFC 4291).
func groupOK(g netip.Addr) bool {
	return g.IsMulticast() && !g.IsInterfaceLocalMulticast() && g.Zone() == "" && !g.Is4In6() &&
		!netip.MustParsePrefix("224.0.0.0/24").Contains(g)
}

func compileVXLAN(b *builder, name string, n *state.Network) error {
	places, err := b.underlays(name, n)
	if err != nil {
		return err
	}
	over := overhead4
	if len(places) > 0 && places[0].addr.Is6() {
		over = overhead6
	}
	mtu, ok := b.tunnelMTU(name, n, places, over)
	if !ok {
		return nil
	}
	return b.addOverlay(name, n, places, addrSet(places), mtu)
}

// addOverlay adds a segment whose tunnels end at places; flood is who gets frames
// to unknown destinations, unless a multicast group does.
func (b *builder) addOverlay(name string, n *state.Network, places []underlay, flood *spec.AddrSet, mtu int) error {
	tunnel := spec.IfName(n.Bridge, "vx")
	guard := b.overlayGuard(name, n, tunnel)
	for _, u := range places {
		h, a := b.out.Hosts[u.server], n.Allocated[u.server]
		if a == nil {
			return fmt.Errorf("%s has no addresses: the cluster is not complete", u.server)
		}
		b.addSegment(h, segment{
			network: name, bridge: n.Bridge, mac: mac(roleBridge, b.c.Name, name, a.ID), mtu: mtu,
			subnets: n.Subnets, gateways: gateways(n), own: a.Addrs, masq: !n.NoMasq, guard: guard,
		})
		t := &spec.Tunnel{VNI: n.VNI, Port: tunnelPort(n), Local: u.addr, GBP: n.GBP}
		if n.Group.IsValid() {
			t.Group, t.Dev, t.TTL = n.Group, u.dev, multicastTTL
		} else {
			h.Floods = append(h.Floods, spec.Flood{Link: tunnel, To: flood})
		}
		h.Links = append(h.Links, spec.Link{
			Name: tunnel, Network: name, Kind: spec.VXLAN, MAC: mac(roleTunnel, b.c.Name, name, a.ID),
			MTU: mtu, Master: n.Bridge, Tunnel: t,
		})
		// The tunnel's end speaks no IPv6 of its own into the segment.
		h.Sysctls = append(h.Sysctls, spec.Sysctl{Key: "net/ipv6/conf/" + tunnel + "/disable_ipv6", Value: "1", Link: tunnel})
		h.Claims = append(h.Claims, spec.Claim{Network: name, UDPPort: tunnelPort(n)})
		h.Gateways = append(h.Gateways, b.anycast(name, n, tunnel))
	}
	b.segmentDHCP(name, n, places, mtu)
	return nil
}

func gateways(n *state.Network) []netip.Addr {
	out := make([]netip.Addr, len(n.Subnets))
	for i, p := range n.Subnets {
		out[i] = gatewayOf(p)
	}
	return out
}

func (b *builder) anycast(name string, n *state.Network, uplink string) spec.Gateway {
	return spec.Gateway{
		Network: name, Bridge: n.Bridge, Uplink: uplink, MAC: mac(roleAny, b.c.Name, name, 0),
		RouterMACs: mac(roleBridge, b.c.Name, name, 0), RouterMask: routerMask,
		Subnets: n.Subnets, Addrs: gateways(n), FilterDHCP: n.DHCP == state.DHCPDistributed,
	}
}

// tunnelMTU is what over, the bytes that tunnels take, leaves of the smallest
// underlay MTU. An MTU that was asked for and does not fit is the problem of the
// members it does not fit.
func (b *builder) tunnelMTU(name string, n *state.Network, places []underlay, over int) (int, bool) {
	if len(places) == 0 {
		return 0, false
	}
	least, server := smallestMTU(places)
	fits, needs := least-over, minMTU
	if slices.ContainsFunc(n.Subnets, func(p netip.Prefix) bool { return p.Addr().Is6() }) {
		needs = minMTU6
	}
	switch {
	case n.MTU > fits:
		b.problem(server, name, hint.Errorf("server "+server, "make the network anew with --mtu "+strconv.Itoa(fits)+", or raise the MTU of "+server+"'s underlay interface",
			"MTU %d does not fit: %s's underlay carries %d, %s takes %d of it", n.MTU, server, least, encapsulation(n), over))
		return 0, false
	case fits < needs:
		b.problem(server, name, hint.Errorf("server "+server, "raise the MTU of "+server+"'s underlay interface",
			"%s's underlay MTU %d leaves %d, the network needs %d", server, least, fits, needs))
		return 0, false
	case n.MTU != 0:
		return n.MTU, true
	}
	return fits, true
}
