//go:build linux

package nft

import (
	"net/netip"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/spec"
)

// isolateChain has what containers of an isolated network may send to a server. Packets of
// others cost the test for the jump alone, and those through the server a lookup of their
// destination. It returns instead of accepting, so that the rules of doors apply too.
const isolateChain = "isolate"

// Ports that containers of an isolated network may use all the same, at addresses of servers
// on it (RFC 1035, RFC 2131, RFC 8415).
const dnsPort, dhcpServer, dhcp6Server = 53, 67, 547

// addIsolation drops connections that containers on g's bridge, those of other servers included,
// open to this server or through it to the others.
func (o *object) addIsolation(g spec.Guard) {
	in := iif(expr.CmpOpEq, g.Bridge)
	jump := exprs{&expr.Verdict{Kind: expr.VerdictJump, Chain: isolateChain}}
	o.add(inputChain, rule(in, jump))
	pass := []exprs{
		{&expr.Ct{Key: expr.CtKeyDIRECTION, Register: reg}, cmp(expr.CmpOpEq, []byte{ctReply})},
		l4proto(unix.IPPROTO_ICMP),
		l4proto(unix.IPPROTO_ICMPV6),
	}
	for _, any := range []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
		srcAt, dstAt, dhcp, group := ip6Src, ip6Dst, uint16(dhcp6Server), allDHCPv6Servers()
		if any.Is4() {
			srcAt, dstAt, dhcp, group = ip4Src, ip4Dst, dhcpServer, ipv4Broadcast()
		}
		family, servers, from := nfproto(any), ofFamily(g.Servers, any.Is4()), ofFamily(g.Isolated.From, any.Is4())
		if len(from) > 0 {
			o.add(forwardChain, rule(in, family, o.lookup(networkLayer, dstAt, from), jump))
		}
		if len(servers) > 0 && g.Uplink != "" { // containers cannot use their addresses (addNoServer)
			pass = append(pass, rule(family, o.lookup(networkLayer, srcAt, servers)))
		}
		if len(servers) > 0 && g.DHCP {
			at := o.lookup(networkLayer, dstAt, servers)
			pass = append(pass,
				rule(family, dports(unix.IPPROTO_UDP, dnsPort, dnsPort), at),
				rule(family, dports(unix.IPPROTO_TCP, dnsPort, dnsPort), at),
				rule(family, dports(unix.IPPROTO_UDP, dhcp, dhcp), o.lookup(networkLayer, dstAt, append(servers, group))))
		}
	}
	for _, port := range g.Isolated.Open {
		pass = append(pass, dports(unix.IPPROTO_TCP, port, port))
	}
	for _, match := range pass {
		o.add(isolateChain, rule(in, match, exprs{&expr.Verdict{Kind: expr.VerdictReturn}}))
	}
	o.add(isolateChain, rule(in, drop()))
}

// addNoServer drops packets with a server's source address that containers send: the servers
// of an isolated network may reach each other.
func (o *object) addNoServer(g spec.Guard, local exprs) {
	if four := ofFamily(g.Servers, true); len(four) > 0 {
		o.add(preroutingChain, rule(etherType(unix.ETH_P_IP), o.lookup(networkLayer, ip4Src, four), local, drop()))
	}
	if six := ofFamily(g.Servers, false); len(six) > 0 {
		o.add(preroutingChain, rule(etherType(unix.ETH_P_IPV6), o.lookup(networkLayer, ip6Src, six), local, drop()))
	}
}

// ctReply is the direction of packets that answer a connection's first one
// (IP_CT_DIR_REPLY), those of ICMP about it included.
const ctReply = 1

func ipv4Broadcast() netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{255, 255, 255, 255}), 32)
}

func allDHCPv6Servers() netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0xff, 1: 2, 13: 1, 15: 2}), 128)
}
