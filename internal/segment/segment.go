package segment

import (
	"net/netip"

	"github.com/flocknet/flock/internal/ground"
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

// GatewayOf is the address of the gateway of a subnet: its first.
func GatewayOf(p netip.Prefix) netip.Addr { return p.Masked().Addr().Next() }

// NameServerOf is where single DHCP's server answers for names, on top of its own
// address: containers use the address in their lease for hours, so it moves with DHCP. It is the first of the quarter at the top that is not handed out.
func NameServerOf(p netip.Prefix) netip.Addr {
	return netip.PrefixFrom(prefix.Last(p), p.Bits()+2).Masked().Addr()
}

// Segment is what the building block needs to know about one bridge of a server.
type Segment struct {
	Network  string
	Bridge   string
	MAC      string
	MTU      int
	Subnets  []netip.Prefix
	Gateways []netip.Addr // per subnet
	Own      []netip.Addr // per subnet; none on a segment of one server
	Masq     bool
	Guard    spec.Guard // what differs: Uplink, the servers' MACs and further addresses, DHCP
}

// Add adds the bridge with its addresses, masquerade and settings.
func Add(b *ground.Builder, h *spec.Host, s Segment) {
	h.Links = append(h.Links, spec.Link{Name: s.Bridge, Network: s.Network, Kind: spec.Bridge, MAC: s.MAC, MTU: s.MTU})
	for i, p := range s.Subnets {
		gw := netip.PrefixFrom(s.Gateways[i], p.Bits())
		if len(s.Own) > 0 {
			h.Addrs = append(h.Addrs, spec.Addr{Link: s.Bridge, Prefix: netip.PrefixFrom(s.Own[i], p.Bits())})
			// One address, not a second connected route: replies and ARP leave
			// with the server's own address.
			gw = netip.PrefixFrom(s.Gateways[i], s.Gateways[i].BitLen())
		}
		h.Addrs = append(h.Addrs, spec.Addr{Link: s.Bridge, Prefix: gw})
		h.Claims = append(h.Claims, spec.Claim{Network: s.Network, Prefix: p})
		if s.Masq {
			h.NATs = append(h.NATs, spec.NAT{Network: s.Network, Bridge: s.Bridge, Subnet: p})
		}
		key := "net/ipv4/ip_forward"
		if p.Addr().Is6() {
			key = "net/ipv6/conf/all/forwarding"
			// The MAC is dealt, so its link-local address is nobody else's. While it
			// is tentative, advertisements leave from another address, and hosts
			// drop those (RFC 4861, 6.1.2; dnsmasq 2.90).
			h.Sysctls = append(h.Sysctls, spec.Sysctl{Key: "net/ipv6/conf/" + s.Bridge + "/accept_dad", Value: "0", Link: s.Bridge},
				// Where IPv6 is switched off for new devices, this one still wants it.
				spec.Sysctl{Key: "net/ipv6/conf/" + s.Bridge + "/disable_ipv6", Value: "0", Link: s.Bridge})
		}
		h.Sysctls = append(h.Sysctls, spec.Sysctl{Key: key, Value: "1"})
	}
	h.Sysctls = append(h.Sysctls,
		// Of the two addresses in the subnet, ARP requests carry the server's own:
		// the gateway's belongs to every server.
		spec.Sysctl{Key: "net/ipv4/conf/" + s.Bridge + "/arp_announce", Value: "2", Link: s.Bridge},
		// What goes to one server by a frame for everybody gets past the guard's rules for
		// servers' MACs, and is nothing that an IP host takes (RFC 1122, 3.3.6).
		spec.Sysctl{Key: "net/ipv4/conf/" + s.Bridge + "/drop_unicast_in_l2_multicast", Value: "1", Link: s.Bridge},
		spec.Sysctl{Key: "net/ipv6/conf/" + s.Bridge + "/drop_unicast_in_l2_multicast", Value: "1", Link: s.Bridge},
		spec.Sysctl{Key: "net/ipv6/conf/" + s.Bridge + "/accept_ra", Value: "0", Link: s.Bridge})
	h.Forwards = append(h.Forwards, spec.Forward{Network: s.Network, Link: s.Bridge})
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
	last := NameServerOf(subnet).Prev()
	if lowest.IsValid() && lowest.Compare(last) <= 0 {
		last = lowest.Prev()
	}
	return spec.Range{First: GatewayOf(subnet).Next(), Last: last, Subnet: subnet}
}

// ClaimDNSMasq says that a server that hands out addresses needs dnsmasq.
func ClaimDNSMasq(network string) spec.Claim {
	return spec.Claim{Network: network, Program: "dnsmasq", Package: "dnsmasq-base"}
}

// Of a server's own bridge (setsubnet).
const (
	SubnetNetwork = "subnet" // stands where a network's name would
	SubnetBridge  = "app0"
	subnetDomain  = "app"
	BridgeMTU     = 1500 // bytes, of a bridge that is told none (linux, br_device.c: ether_setup)
)

// OwnBridge is the subnet of a server that is on its bridge app0; invalid: none is.
func OwnBridge(s *state.Server) netip.Prefix {
	if s == nil || s.Adopt != "" {
		return netip.Prefix{}
	}
	return s.Subnet
}

// AddOwn adds the server's own container bridge, or its subnet on another program's.
func AddOwn(b *ground.Builder, server string) {
	s, h := b.Cluster.Servers[server], b.Out.Hosts[server]
	p, gw := s.Subnet.Masked(), s.Subnet.Addr()
	switch {
	case !s.Subnet.IsValid():
		return
	case s.Adopt != "":
		h.Adopted = append(h.Adopted, spec.Addr{Link: s.Adopt, Prefix: s.Subnet})
		h.Claims = append(h.Claims, spec.Claim{Network: SubnetNetwork, Prefix: p})
		return
	}
	Add(b, h, Segment{
		Network: SubnetNetwork, Bridge: SubnetBridge, MAC: ground.MAC(ground.RoleBridge, b.Cluster.Name, SubnetNetwork+"/"+ground.BornAs(b.Cluster, server), 0),
		Subnets: []netip.Prefix{p}, Gateways: []netip.Addr{gw}, Masq: true, Guard: spec.Guard{DHCP: true},
	})
	d := spec.DHCP{
		Network: SubnetNetwork, Bridge: SubnetBridge, Domain: subnetDomain, Listen: []netip.Addr{gw}, DNS: []netip.Addr{gw},
		Ranges: []spec.Range{WholeRange(p, gw)}, Hosts: []spec.HostName{{Name: server, Addr: gw}},
	}
	if gw.Is4() {
		d.Router = gw
	}
	h.DHCPs = append(h.DHCPs, d)
	h.Claims = append(h.Claims, ClaimDNSMasq(SubnetNetwork))
}

// WholeRange is everything of subnet on the longer side of the gateway.
func WholeRange(subnet netip.Prefix, gw netip.Addr) spec.Range {
	if slaac(subnet) {
		return dhcpRange(subnet, netip.Addr{})
	}
	if middle := netip.PrefixFrom(prefix.Last(subnet), subnet.Bits()+1).Masked().Addr(); gw.Compare(middle) >= 0 {
		return spec.Range{First: subnet.Addr().Next(), Last: gw.Prev(), Subnet: subnet}
	}
	return spec.Range{First: gw.Next(), Last: prefix.Top(subnet), Subnet: subnet}
}
