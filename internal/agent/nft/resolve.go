//go:build linux

package nft

import (
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/spec"
)

// resolveChain turns questions to other addresses.
const resolveChain = "resolve"

// addResolve turns the DNS questions of g.Resolve.From that leave the bridge's subnets.
func (o *object) addResolve(g spec.Guard) {
	match := rule(iif(expr.CmpOpEq, g.Bridge), nfproto(g.Resolve.At), src(g.Resolve.From))
	for _, p := range ofFamily(g.Subnets, true) {
		match = rule(match, dst(expr.CmpOpNeq, p))
	}
	for _, proto := range []byte{unix.IPPROTO_UDP, unix.IPPROTO_TCP} {
		o.add(resolveChain, rule(match, dports(proto, dnsPort, dnsPort), exprs{
			&expr.Immediate{Register: reg, Data: g.Resolve.At.AsSlice()},
			&expr.NAT{Type: expr.NATTypeDestNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: reg, RegAddrMax: reg},
		}))
	}
}
