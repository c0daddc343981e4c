//go:build linux

package nft

import (
	"net/netip"

	"github.com/flocknet/flock/internal/spec"
	"github.com/google/nftables/expr"
)

// natObject is the masquerading of one subnet in the inet table.
//
// br_netfilter passes bridged frames through here too; their destination is
// inside the subnet, or their outgoing device is the bridge
// (br_nf_post_routing gives the bridge, not the port).
func natObject(n spec.NAT) object {
	o := object{tag: natTag(n.Network, n.Bridge, n.Subnet), network: n.Network}
	scoped := ipv6Scoped()
	if n.Subnet.Addr().Is4() {
		scoped = ipv4Scoped()
	}
	inside := []netip.Prefix{n.Subnet}
	for _, p := range n.Except {
		if p.Addr().Is4() == n.Subnet.Addr().Is4() {
			inside = append(inside, p)
		}
	}
	match := rule(nfproto(n.Subnet.Addr()), src(n.Subnet), o.among(inside, false))
	// A port that depends on nothing: two connections never race for one.
	masquerade := exprs{&expr.Masq{FullyRandom: true}}
	o.add(postroutingChain, rule(match, notScoped(scoped), oif(expr.CmpOpNeq, n.Bridge), masquerade))
	return o
}
