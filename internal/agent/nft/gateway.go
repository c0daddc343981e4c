//go:build linux

package nft

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/flocknet/flock/internal/spec"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// gatewayObject is the anycast gateway of one network in the bridge table. own is
// the MAC of this server's bridge.
//
// It needs neither conntrack nor `meta ibrname` in the bridge family, which
// kernels build without: MACs are unique per network, so they say which bridge a
// frame belongs to.
func gatewayObject(g spec.Gateway, own net.HardwareAddr) (object, error) {
	o := object{tag: gatewayTag(g.Network, g.Bridge), bridge: true, network: g.Network}
	mac, err := net.ParseMAC(g.MAC)
	if err != nil {
		return o, fmt.Errorf("read the gateway's MAC of %s: %w", g.Network, err)
	}
	o.add(preroutingChain, fenceIn(g, mac)...)
	o.add(preroutingChain, rule(field(linkLayer, etherDst, expr.CmpOpEq, mac), toHost(own)))
	routers, err := routerIntake(g, own)
	if err != nil {
		return o, err
	}
	o.add(preroutingChain, routers...)
	o.add(postroutingChain, fenceOut(g, mac)...)
	o.add(postroutingChain, answerAs(g, mac)...)
	return o, nil
}

// fenceIn drops what claims to be the gateway and comes from another server.
func fenceIn(g spec.Gateway, mac net.HardwareAddr) []exprs {
	in := iif(expr.CmpOpEq, g.Uplink)
	out := []exprs{
		rule(in, field(linkLayer, etherDst, expr.CmpOpEq, mac), drop()),
		rule(in, field(linkLayer, etherSrc, expr.CmpOpEq, mac), drop()),
	}
	for _, a := range g.Addrs {
		if a.Is4() {
			out = append(out, rule(in, arpIP(arpSenderIP, a), drop()))
		} else {
			out = append(out, rule(in, ndFor(nbrAdvert, a), drop()))
		}
	}
	return append(out, fenceDHCP(g, in)...)
}

// fenceOut drops frames of the gateway's MAC, ARP and neighbour discovery about it before they
// enter the tunnel.
func fenceOut(g spec.Gateway, mac net.HardwareAddr) []exprs {
	out := oif(expr.CmpOpEq, g.Uplink)
	rules := []exprs{
		rule(out, field(linkLayer, etherDst, expr.CmpOpEq, mac), drop()),
		rule(out, field(linkLayer, etherSrc, expr.CmpOpEq, mac), drop()),
	}
	for _, a := range g.Addrs {
		if a.Is4() {
			rules = append(rules,
				rule(out, arpIP(arpSenderIP, a), drop()),
				rule(out, arpIP(arpTargetIP, a), drop()))
			continue
		}
		from := src(netip.PrefixFrom(a, a.BitLen()))
		rules = append(rules,
			rule(out, ndFor(nbrSolicit, a), drop()),
			rule(out, ndFor(nbrAdvert, a), drop()),
			// A solicitation from the gateway's address would teach the distant
			// neighbour this server's MAC for it (RFC 4861 §7.2.3).
			rule(out, icmp6(nbrSolicit), from, drop()))
	}
	return append(rules, fenceDHCP(g, out)...)
}

// fenceDHCP keeps DHCP and router discovery on this server, where every member
// serves its own containers.
func fenceDHCP(g spec.Gateway, at exprs) []exprs {
	if !g.FilterDHCP {
		return nil
	}
	return []exprs{
		rule(at, etherType(unix.ETH_P_IP), dports(unix.IPPROTO_UDP, 67, 68), drop()),
		rule(at, etherType(unix.ETH_P_IPV6), dports(unix.IPPROTO_UDP, 546, 547), drop()),
		rule(at, icmp6(routerSolicit), drop()),
		rule(at, icmp6(routerAdvert), drop()),
	}
}

// routerIntake makes this server route what a local container sends outside through
// another member's bridge, one rule per family the network has.
func routerIntake(g spec.Gateway, own net.HardwareAddr) ([]exprs, error) {
	if g.RouterMACs == "" {
		return nil, nil
	}
	routers, err := net.ParseMAC(g.RouterMACs)
	if err != nil {
		return nil, fmt.Errorf("read the bridge MACs of %s: %w", g.Network, err)
	}
	mask, err := net.ParseMAC(g.RouterMask)
	if err != nil {
		return nil, fmt.Errorf("read the mask of the bridge MACs of %s: %w", g.Network, err)
	}
	var outside4, outside6 exprs
	for _, p := range g.Subnets {
		if p.Addr().Is4() {
			outside4 = append(outside4, dst(expr.CmpOpNeq, p)...)
		} else {
			outside6 = append(outside6, dst(expr.CmpOpNeq, p)...)
		}
	}
	toRouter := rule(iif(expr.CmpOpNeq, g.Uplink), masked(linkLayer, etherDst, expr.CmpOpEq, routers, []byte(mask)))
	var out []exprs
	if outside4 != nil {
		out = append(out, rule(toRouter, etherType(unix.ETH_P_IP), outside4, notScoped(ipv4Scoped()), toHost(own)))
	}
	if outside6 != nil {
		out = append(out, rule(toRouter, etherType(unix.ETH_P_IPV6), outside6, notScoped(ipv6Scoped()), toHost(own)))
	}
	return out, nil
}

// answerAs makes the ARP and ND messages about the gateway's addresses, which
// leave by local ports only, carry the common MAC.
func answerAs(g spec.Gateway, mac net.HardwareAddr) []exprs {
	var out []exprs
	for _, a := range g.Addrs {
		if a.Is4() {
			out = append(out, rule(arpIP(arpSenderIP, a), write(linkLayer, etherSrc, mac), write(networkLayer, arpSenderMAC, mac)))
			continue
		}
		// Type 2, target link-layer address, one unit of 8 bytes (RFC 4861 §4.6.1).
		option := field(transportLayer, ndOption, expr.CmpOpEq, []byte{2, 1})
		out = append(out,
			rule(ndFor(nbrAdvert, a), write(linkLayer, etherSrc, mac)),
			rule(ndFor(nbrAdvert, a), option, writeICMP6(ndOptionMAC, mac)))
	}
	return out
}

// ipv4Scoped and ipv6Scoped are destinations that no router forwards: multicast,
// broadcast, IPv6 link-local. Not 169.254.0.0/16: clouds answer metadata there.
func ipv4Scoped() []netip.Prefix {
	return []netip.Prefix{
		netip.PrefixFrom(netip.AddrFrom4([4]byte{224}), 4),
		netip.PrefixFrom(netip.AddrFrom4([4]byte{255, 255, 255, 255}), 32),
	}
}

func ipv6Scoped() []netip.Prefix {
	return []netip.Prefix{
		netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfe, 0x80}), 10),
		netip.PrefixFrom(netip.AddrFrom16([16]byte{0xff}), 8),
	}
}

func notScoped(list []netip.Prefix) exprs {
	var out exprs
	for _, p := range list {
		out = append(out, dst(expr.CmpOpNeq, p)...)
	}
	return out
}
