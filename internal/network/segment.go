package network

import (
	"net/netip"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/prefix"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// A segment is a layer 2 network of containers on bridges: the addresses in it, its
// gateway, DHCP, DNS and masquerade. The kind decides how frames travel between servers.
// A server's own bridge (setsubnet) is a segment on one server.
//
// Of every subnet the first address is the gateway's, the same on all servers.
// The servers' own addresses are dealt from the top down (allocate.go), DHCP hands
// out from the bottom up, so that the two meet only when the subnet is full.

const (
	minMTU  = 576 // RFC 791: every host takes packets this large; below it DHCP itself suffers
	minMTU6 = 1280
	// minBits is the smallest IPv4 subnet: gateway, DNS, two servers, two containers.
	minBits4, minBits6 = 29, 120
)

// checkSubnet refuses what cannot hold what s is for.
func checkSubnet(c *state.Cluster, p netip.Prefix, s space) error {
	a, least := p.Addr(), minBits4
	if a.Is6() {
		least = minBits6
	}
	next := "choose a private subnet" + s.example(c, p)
	switch {
	case !p.IsValid():
		return hint.Errorf("", next, "the subnet is not valid")
	case a.Is4In6():
		return hint.Errorf("", next, "%s is an IPv4-mapped IPv6 subnet", p)
	case a.Zone() != "" || a.IsLinkLocalUnicast():
		return hint.Errorf("", next, "%s is link-local: its addresses have a meaning on one link only", p)
	case a.IsMulticast(), a.IsLoopback(), p.Bits() == 0, a.IsUnspecified():
		return hint.Errorf("", next, "%s cannot be given to hosts", p)
	case p.Bits() <= widest:
		return hint.Errorf("", next, "%s is too wide: what the servers send to %s would go there", p, partOfAll(p))
	case p.Bits() > least:
		return hint.Errorf("", next, "%s is too small for %s: /%d is the smallest", p, s.holds, least)
	}
	return nil
}

// checkSubnets refuses subnets that cannot be a network's.
func checkSubnets(c *state.Cluster, n *state.Network) error {
	families := map[bool]bool{}
	for _, p := range n.Subnets {
		if err := checkSubnet(c, p, spaceOf(n)); err != nil {
			return hint.Pin(err, "subnet")
		}
		if err := hostBits(p, byFlag); err != nil {
			return hint.Pin(err, "subnet")
		}
		if families[p.Addr().Is6()] {
			return hint.Errorf("subnet", "give -s once for IPv4 and once for IPv6", "two %s subnets", familyName(p.Addr().Is6()))
		}
		families[p.Addr().Is6()] = true
	}
	return nil
}

func gatewayOf(p netip.Prefix) netip.Addr { return p.Masked().Addr().Next() }

// nameServerOf is where single DHCP's server answers for names, on top of its own
// address: containers use the address in their lease for hours, so it moves with DHCP. It is the first of the quarter at the top that is not handed out.
func nameServerOf(p netip.Prefix) netip.Addr {
	return netip.PrefixFrom(prefix.Last(p), p.Bits()+2).Masked().Addr()
}

// segment is what the building block needs to know about one bridge of a server.
type segment struct {
	network  string
	bridge   string
	mac      string
	mtu      int
	subnets  []netip.Prefix
	gateways []netip.Addr // per subnet
	own      []netip.Addr // per subnet; none on a segment of one server
	masq     bool
	guard    spec.Guard // what differs: Uplink, the servers' MACs and further addresses, DHCP
}

// addSegment adds the bridge with its addresses, masquerade and settings.
func (b *builder) addSegment(h *spec.Host, s segment) {
	h.Links = append(h.Links, spec.Link{Name: s.bridge, Network: s.network, Kind: spec.Bridge, MAC: s.mac, MTU: s.mtu})
	for i, p := range s.subnets {
		gw := netip.PrefixFrom(s.gateways[i], p.Bits())
		if len(s.own) > 0 {
			h.Addrs = append(h.Addrs, spec.Addr{Link: s.bridge, Prefix: netip.PrefixFrom(s.own[i], p.Bits())})
			// One address, not a second connected route: replies and ARP leave
			// with the server's own address.
			gw = netip.PrefixFrom(s.gateways[i], s.gateways[i].BitLen())
		}
		h.Addrs = append(h.Addrs, spec.Addr{Link: s.bridge, Prefix: gw})
		h.Claims = append(h.Claims, spec.Claim{Network: s.network, Prefix: p})
		if s.masq {
			h.NATs = append(h.NATs, spec.NAT{Network: s.network, Bridge: s.bridge, Subnet: p})
		}
		key := "net/ipv4/ip_forward"
		if p.Addr().Is6() {
			key = "net/ipv6/conf/all/forwarding"
			// The MAC is dealt, so its link-local address is nobody else's. While it
			// is tentative, advertisements leave from another address, and hosts
			// drop those (RFC 4861, 6.1.2; dnsmasq 2.90).
			h.Sysctls = append(h.Sysctls, spec.Sysctl{Key: "net/ipv6/conf/" + s.bridge + "/accept_dad", Value: "0", Link: s.bridge},
				// Where IPv6 is switched off for new devices, this one still wants it.
				spec.Sysctl{Key: "net/ipv6/conf/" + s.bridge + "/disable_ipv6", Value: "0", Link: s.bridge})
		}
		h.Sysctls = append(h.Sysctls, spec.Sysctl{Key: key, Value: "1"})
	}
	h.Sysctls = append(h.Sysctls,
		// Of the two addresses in the subnet, ARP requests carry the server's own:
		// the gateway's belongs to every server.
		spec.Sysctl{Key: "net/ipv4/conf/" + s.bridge + "/arp_announce", Value: "2", Link: s.bridge},
		// What goes to one server by a frame for everybody gets past the guard's rules for
		// servers' MACs, and is nothing that an IP host takes (RFC 1122, 3.3.6).
		spec.Sysctl{Key: "net/ipv4/conf/" + s.bridge + "/drop_unicast_in_l2_multicast", Value: "1", Link: s.bridge},
		spec.Sysctl{Key: "net/ipv6/conf/" + s.bridge + "/drop_unicast_in_l2_multicast", Value: "1", Link: s.bridge},
		spec.Sysctl{Key: "net/ipv6/conf/" + s.bridge + "/accept_ra", Value: "0", Link: s.bridge})
	h.Forwards = append(h.Forwards, spec.Forward{Network: s.network, Link: s.bridge})
	h.Guards = append(h.Guards, s.guarded())
}

// slaac says whether the clients choose their own addresses in subnet (RFC 4862
// wants 64 bits for them).
func slaac(subnet netip.Prefix) bool { return subnet.Addr().Is6() && subnet.Bits() == 64 }

// dhcpRange is what one server hands out of subnet. Lowest is the servers' lowest
// own address: the quarter at the top is theirs, and what they take beyond it.
func dhcpRange(subnet netip.Prefix, lowest netip.Addr) spec.Range {
	if slaac(subnet) {
		return spec.Range{First: subnet.Addr(), Last: subnet.Addr(), Subnet: subnet} // SLAAC: clients choose
	}
	last := nameServerOf(subnet).Prev()
	if lowest.IsValid() && lowest.Compare(last) <= 0 {
		last = lowest.Prev()
	}
	return spec.Range{First: gatewayOf(subnet).Next(), Last: last, Subnet: subnet}
}

// claimDNSMasq says that a server that hands out addresses needs dnsmasq.
func claimDNSMasq(network string) spec.Claim {
	return spec.Claim{Network: network, Program: "dnsmasq", Package: "dnsmasq-base"}
}

// Of a server's own bridge (setsubnet).
const (
	SubnetNetwork = "subnet" // stands where a network's name would
	subnetBridge  = "app0"
	subnetDomain  = "app"
	bridgeMTU     = 1500 // bytes, of a bridge that is told none (linux, br_device.c: ether_setup)
)

// serverSubnet adds the server's own container bridge.
func (b *builder) serverSubnet(server string) {
	with := b.c.Servers[server].Subnet
	if !with.IsValid() {
		return
	}
	h, p, gw := b.out.Hosts[server], with.Masked(), with.Addr()
	b.addSegment(h, segment{
		network: SubnetNetwork, bridge: subnetBridge, mac: mac(roleBridge, b.c.Name, SubnetNetwork+"/"+server, 0),
		subnets: []netip.Prefix{p}, gateways: []netip.Addr{gw}, masq: true, guard: spec.Guard{DHCP: true},
	})
	d := spec.DHCP{
		Network: SubnetNetwork, Bridge: subnetBridge, Domain: subnetDomain, Listen: []netip.Addr{gw}, DNS: []netip.Addr{gw},
		Ranges: []spec.Range{wholeRange(p, gw)}, Hosts: []spec.HostName{{Name: server, Addr: gw}},
	}
	if gw.Is4() {
		d.Router = gw
	}
	h.DHCPs = append(h.DHCPs, d)
	h.Claims = append(h.Claims, claimDNSMasq(SubnetNetwork))
}

// wholeRange is everything of subnet on the longer side of the gateway.
func wholeRange(subnet netip.Prefix, gw netip.Addr) spec.Range {
	if slaac(subnet) {
		return dhcpRange(subnet, netip.Addr{})
	}
	if middle := netip.PrefixFrom(prefix.Last(subnet), subnet.Bits()+1).Masked().Addr(); gw.Compare(middle) >= 0 {
		return spec.Range{First: subnet.Addr().Next(), Last: gw.Prev(), Subnet: subnet}
	}
	return spec.Range{First: gw.Next(), Last: prefix.Top(subnet), Subnet: subnet}
}
