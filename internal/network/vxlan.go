package network

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/option"
	"github.com/flocknet/flock/internal/segment"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// VXLAN is the kind of an unencrypted layer 2 overlay (RFC 7348): one VXLAN device
// on a bridge per member, frames to unknown destinations sent to every member by
// unicast, or to a multicast group.
const VXLAN = "vxlan"

const (
	defaultVNI   = 42
	vxlanPort    = 4789 // IANA
	overhead4    = 50   // outer IPv4 20, UDP 8, VXLAN 8, inner Ethernet 14
	overhead6    = 70   // outer IPv6 40
	multicastTTL = 64   // the kernel's 1 dies at the first router
)

func vxlanKind() *Kind {
	return &Kind{
		Name: VXLAN, wire: "VXLAN", takes: append(segmentTakes(), "group"), segment: true, space: &ground.SegmentSpace,
		commands: memberCommands, overlays: segmentOverlays, probe: probeSegment,
		complete: completeVXLAN, allocate: segment.Allocate, fits: segment.Fits, compile: compileVXLAN,
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
		p, err := ground.FreeSubnet(c, ground.SegmentSpace)
		if err != nil {
			return err
		}
		n.Subnets = []netip.Prefix{p}
	}
	if n.Domain == "" {
		n.Domain = option.DefaultDomain
	}
	if n.DHCP == "" {
		n.DHCP = state.DHCPSingle
	}
	others := ground.OtherNetworks(c, name)
	if n.VNI == 0 {
		n.VNI = freeVNI(others)
	}
	if n.Bridge == "" {
		n.Bridge = ground.FreeBridge(others, bridge)
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
	if err := ground.CheckFamily(c, n); err != nil {
		return err
	}
	if err := checkDHCPServer(c, n); err != nil {
		return err
	}
	if err := checkMTU(n); err != nil {
		return err
	}
	others := ground.OtherNetworks(c, name)
	if err := checkBridge(n, others, "vxl"); err != nil {
		return err
	}
	return checkVXLAN(n, others)
}

func checkDHCPServer(c *state.Cluster, n *state.Network) error {
	switch {
	case n.DHCPServer == "":
		return nil
	case n.DHCP != state.DHCPSingle:
		return hint.Errorf("dhcp-server", "leave -n away, or use --dhcp single", "DHCP server %s with DHCP %s", n.DHCPServer, n.DHCP)
	case c.Servers[n.DHCPServer] == nil && n.DHCPServer != Local:
		return hint.Pin(ground.UnknownServer(n.DHCPServer), "dhcp-server")
	}
	return nil
}

func checkMTU(n *state.Network) error {
	if n.MTU != 0 && n.MTU < ground.MinMTU6 && slices.ContainsFunc(n.Subnets, func(p netip.Prefix) bool { return p.Addr().Is6() }) {
		return hint.Errorf("mtu", "--mtu 1280 or more", "MTU %d is less than the %d that IPv6 needs", n.MTU, ground.MinMTU6)
	}
	return nil
}

func checkVXLAN(n *state.Network, others map[string]*state.Network) error {
	for _, other := range slices.Sorted(maps.Keys(others)) {
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
	for _, other := range slices.Sorted(maps.Keys(others)) {
		if others[other].Bridge == n.Bridge {
			return hint.Errorf("bridge", "-b "+ground.FreeBridge(others, prefix), "bridge %s is taken by network %s", n.Bridge, other)
		}
	}
	if n.Bridge == segment.SubnetBridge {
		return hint.Errorf("bridge", "-b "+ground.FreeBridge(others, prefix), "bridge %s is the servers' own (setsubnet)", n.Bridge)
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

func compileVXLAN(b *builder, name string, n *state.Network) error {
	places, err := b.underlays(name, n)
	if err != nil {
		return err
	}
	over := overhead4
	if len(places) > 0 && places[0].Addr.Is6() {
		over = overhead6
	}
	mtu, ok := b.tunnelMTU(name, n, places, over)
	if !ok {
		return nil
	}
	return b.addOverlay(name, n, places, ground.AddrSet(places), mtu)
}

// addOverlay adds a segment whose tunnels end at places; flood is who gets frames
// to unknown destinations, unless a multicast group does.
func (b *builder) addOverlay(name string, n *state.Network, places []ground.Underlay, flood *spec.AddrSet, mtu int) error {
	tunnel := spec.IfName(n.Bridge, "vx")
	guard := segment.MembersGuard(b.Builder, name, n, tunnel)
	for _, u := range places {
		h, a := b.Out.Hosts[u.Server], n.Allocated[u.Server]
		if a == nil {
			return fmt.Errorf("%s has no addresses: the cluster is not complete", u.Server)
		}
		segment.Add(b.Builder, h, segment.Segment{
			Network: name, Bridge: n.Bridge, MAC: ground.MAC(ground.RoleBridge, b.Cluster.Name, ground.BornNetwork(b.Cluster, name), a.ID), MTU: mtu,
			Subnets: n.Subnets, Gateways: segment.Gateways(n), Own: a.Addrs, Masq: !n.NoMasq, Guard: guard,
		})
		t := &spec.Tunnel{VNI: n.VNI, Port: tunnelPort(n), Local: u.Addr, GBP: n.GBP}
		if n.Group.IsValid() {
			t.Group, t.Dev, t.TTL = n.Group, u.Dev, multicastTTL
		} else {
			h.Floods = append(h.Floods, spec.Flood{Link: tunnel, To: flood})
		}
		h.Links = append(h.Links, spec.Link{
			Name: tunnel, Network: name, Kind: spec.VXLAN, MAC: ground.MAC(ground.RoleTunnel, b.Cluster.Name, ground.BornNetwork(b.Cluster, name), a.ID),
			MTU: mtu, Master: n.Bridge, Tunnel: t,
		})
		// The tunnel's end speaks no IPv6 of its own into the segment.
		h.Sysctls = append(h.Sysctls, spec.Sysctl{Key: "net/ipv6/conf/" + tunnel + "/disable_ipv6", Value: "1", Link: tunnel})
		h.Claims = append(h.Claims, spec.Claim{Network: name, UDPPort: tunnelPort(n)})
		h.Gateways = append(h.Gateways, segment.Anycast(b.Builder, name, n, tunnel))
	}
	segment.AddDHCP(b.Builder, name, n, places, mtu)
	return nil
}

// tunnelMTU is what over, the bytes that tunnels take, leaves of the smallest
// underlay MTU. An MTU that was asked for and does not fit is the problem of the
// members it does not fit.
func (b *builder) tunnelMTU(name string, n *state.Network, places []ground.Underlay, over int) (int, bool) {
	if len(places) == 0 {
		return 0, false
	}
	least, server := ground.SmallestMTU(places)
	fits, needs := least-over, ground.MinMTU
	if slices.ContainsFunc(n.Subnets, func(p netip.Prefix) bool { return p.Addr().Is6() }) {
		needs = ground.MinMTU6
	}
	switch {
	case n.MTU > fits:
		b.Problem(server, name, hint.Errorf("server "+server, ground.Setting(name, "--mtu "+strconv.Itoa(fits))+", or raise the MTU of "+server+"'s underlay interface",
			"MTU %d does not fit: %s's underlay carries %d, %s takes %d of it", n.MTU, server, least, encapsulation(n), over))
		return 0, false
	case fits < needs:
		b.Problem(server, name, hint.Errorf("server "+server, "raise the MTU of "+server+"'s underlay interface",
			"%s's underlay MTU %d leaves %d, the network needs %d", server, least, fits, needs))
		return 0, false
	case n.MTU != 0:
		return n.MTU, true
	}
	return fits, true
}

// freeVNI is the first VNI from the default on that no other network has.
func freeVNI(others map[string]*state.Network) uint32 { return ground.FreeVNIFrom(others, defaultVNI) }
