//go:build linux

package nft

import (
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/spec"
)

// preserveChain comes just before the chains that masquerade: ours, and those of
// iptables and nft users alike (srcnat, NF_IP_PRI_NAT_SRC).
const preserveChain = "keep"

// preserveObject leaves the source address of packets from a subnet, by a link or to some
// destinations, as it is: one rule, however many destinations there are. To accept it here would not stop a later chain; source NAT to the address that it
// has does: a connection whose source is decided is not asked about again
// (nf_nat_inet_fn goes on to the next chain only while !nf_nat_initialized; linux
// 6.18, TestForeignMasqueradeKeepsOverlaySources).
func preserveObject(k spec.PreserveSource) object {
	o := object{tag: preserveTag(k), network: k.Network}
	family, offset, length := uint32(unix.NFPROTO_IPV6), ip6Src, 16
	if k.Subnet.Addr().Is4() {
		family, offset, length = unix.NFPROTO_IPV4, ip4Src, 4
	}
	same := exprs{
		load(networkLayer, offset, length),
		&expr.NAT{Type: expr.NATTypeSourceNAT, Family: family, RegAddrMin: reg, RegAddrMax: reg},
	}
	match := rule(nfproto(k.Subnet.Addr()), src(k.Subnet))
	if k.Link != "" {
		match = rule(match, oif(expr.CmpOpEq, k.Link))
	}
	if len(k.To) > 0 {
		match = rule(match, o.among(k.To, true))
	}
	o.add(preserveChain, rule(match, same))
	return o
}
