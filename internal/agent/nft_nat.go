//go:build linux

package agent

import (
	"net/netip"

	"github.com/flocknet/flock/internal/spec"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// natObject is the masquerading of one subnet in the inet table.
//
// br_netfilter passes bridged frames through here too; their destination is
// inside the subnet, or their outgoing device is the bridge
// (br_nf_post_routing gives the bridge, not the port).
func natObject(n spec.NAT) nftObject {
	o := nftObject{tag: natTag(n.Network, n.Bridge, n.Subnet), network: n.Network}
	scoped := ipv6Scoped()
	if n.Subnet.Addr().Is4() {
		scoped = ipv4Scoped()
	}
	match := rule(nfproto(n.Subnet.Addr()), src(n.Subnet), dst(expr.CmpOpNeq, n.Subnet))
	for _, p := range n.Except {
		if p.Addr().Is4() == n.Subnet.Addr().Is4() {
			match = append(match, dst(expr.CmpOpNeq, p)...)
		}
	}
	// A port that depends on nothing: two connections never race for one.
	masquerade := exprs{&expr.Masq{FullyRandom: true}}
	o.add(postroutingChain, rule(match, notScoped(scoped), oif(expr.CmpOpNeq, n.Bridge), masquerade))
	return o
}

// guardObject closes a network's DNS to everybody but the network and the server
// itself: Linux answers on any interface for any of its addresses, so that
// dnsmasq bound to the bridge's address would serve the underlay too.
func guardObject(d spec.DHCP) nftObject {
	o := nftObject{tag: guardTag(d.Network, d.Bridge), network: d.Network, guards: d.Bridge}
	for _, a := range d.Listen {
		outside := rule(iif(expr.CmpOpNeq, d.Bridge), iif(expr.CmpOpNeq, "lo"), nfproto(a),
			dst(expr.CmpOpEq, netip.PrefixFrom(a, a.BitLen())))
		for _, proto := range []byte{unix.IPPROTO_UDP, unix.IPPROTO_TCP} {
			o.add(inputChain, rule(outside, dports(proto, 53, 53), drop()))
		}
	}
	return o
}
