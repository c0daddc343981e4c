package segment

import (
	"net/netip"

	"github.com/flocknet/flock/internal/prefix"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// Kept are the addresses of a network that no container answers for, and those that DHCP or
// Docker hands out or may hand out later: what is left can be anybody's fixed address.
func Kept(n *state.Network) (servers []netip.Prefix, handed []spec.Range) {
	for i, p := range n.Subnets {
		servers = append(servers, serversOf(n, i)...)
		if n.DHCP == state.DHCPSingle {
			names := NameServerOf(p)
			servers = append(servers, netip.PrefixFrom(names, names.BitLen()))
		}
		switch {
		case n.DHCP == state.DHCPOff, slaac(p):
		case n.DHCP == state.DHCPDistributed && p.Addr().Is4(): // the first block has the gateway, and is nobody's
			first := prefix.Last(netip.PrefixFrom(p.Addr(), poolBits(p))).Next()
			handed = append(handed, spec.Range{First: first, Last: prefix.Last(p)})
		default:
			handed = append(handed, dhcpRange(p, netip.Addr{}))
		}
	}
	for _, p := range dockerRanges(n) {
		handed = append(handed, spec.Range{First: p.Addr(), Last: prefix.Last(p)})
	}
	return servers, handed
}

// Reservable says whether an address of subnet can be taken out of what DHCP hands out.
func Reservable(subnet netip.Prefix) bool { return !slaac(subnet) }
