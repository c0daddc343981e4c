package segment

import (
	"net/netip"

	"github.com/flocknet/flock/internal/prefix"
	"github.com/flocknet/flock/internal/spec"
)

// With distributed DHCP every member hands out a part of its own of an IPv6 subnet that is
// no /64, as several servers that hand out one range give an address twice: each knows its
// own leases alone, and dnsmasq picks by a hash of the client's id. An IPv6 part is never
// full (dhcppool.go, which deals IPv4 out, is for that), so nothing is stored: which part
// follows from the member's own address.

// partBits is the prefix length of a part: 1/256 of subnet, but 16 addresses at least.
func partBits(subnet netip.Prefix) int { return max(min(subnet.Bits()+8, 124), subnet.Bits()) }

// parts is how many parts of subnet there are to hand out: all but the first, which has the
// gateway, and the quarter at the top, which is the servers'.
func parts(subnet netip.Prefix) int { return 3<<(partBits(subnet)-subnet.Bits())/4 - 1 }

// fromTop counts own addresses down from the highest of subnet, where they are dealt from. It
// is at least 65535 for whatever is further away.
func fromTop(subnet netip.Prefix, own netip.Addr) int {
	top, a := prefix.Last(subnet).As16(), own.As16()
	if [14]byte(top[:14]) != [14]byte(a[:14]) {
		return 1<<16 - 1
	}
	return int(top[14])<<8 + int(top[15]) - int(a[14])<<8 - int(a[15])
}

// hasPart says whether the member with this address of its own has a part of subnet that
// nobody else has.
func hasPart(subnet netip.Prefix, own netip.Addr) bool {
	return slaac(subnet) || fromTop(subnet, own) < parts(subnet)
}

// partRange is what the member with this address of its own hands out of an IPv6 subnet. A
// member that has no part of its own, by a file of before, hands out everything.
func partRange(subnet netip.Prefix, own netip.Addr) spec.Range {
	if slaac(subnet) || !hasPart(subnet, own) {
		return dhcpRange(subnet, netip.Addr{})
	}
	first, bits := subnet.Masked().Addr().As16(), partBits(subnet)
	number := fromTop(subnet, own) + 1
	for bit := bits - 1; number > 0; bit-- {
		first[bit/8] |= byte(number&1) << (7 - bit%8)
		number >>= 1
	}
	part := netip.PrefixFrom(netip.AddrFrom16(first), bits)
	return spec.Range{First: part.Addr(), Last: prefix.Last(part), Subnet: subnet}
}
