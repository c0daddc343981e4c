package ground

import (
	"net/netip"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/state"
)

// The smallest of each: MTUs in bytes, and prefix lengths.
const (
	MinMTU  = 576  // RFC 791: every host takes packets this large; below it DHCP itself suffers
	MinMTU6 = 1280 // RFC 8200
	// minBits is the smallest IPv4 subnet: gateway, DNS, two servers, two containers.
	minBits4, MinBits6 = 29, 120
)

// CheckSubnet refuses what cannot hold what s is for.
func CheckSubnet(c *state.Cluster, p netip.Prefix, s Space) error {
	a, least := p.Addr(), minBits4
	if a.Is6() {
		least = MinBits6
	}
	next := "choose a private subnet" + s.Example(c, p)
	switch {
	case !p.IsValid():
		return hint.Errorf("", next, "the subnet is not valid")
	case a.Is4In6():
		return hint.Errorf("", next, "%s is an IPv4-mapped IPv6 subnet", p)
	case a.Zone() != "" || a.IsLinkLocalUnicast():
		return hint.Errorf("", next, "%s is link-local: its addresses have a meaning on one link only", p)
	case a.IsMulticast(), a.IsLoopback(), p.Bits() == 0, a.IsUnspecified():
		return hint.Errorf("", next, "%s cannot be given to hosts", p)
	case p.Bits() <= Widest:
		return hint.Errorf("", next, "%s is too wide: what the servers send to %s would go there", p, PartOfAll(p))
	case p.Bits() > least:
		return hint.Errorf("", next, "%s is too small for %s: /%d is the smallest", p, s.holds, least)
	}
	return nil
}
