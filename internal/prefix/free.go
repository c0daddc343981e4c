package prefix

import (
	"net/netip"
	"slices"
)

// Private is the address space that nobody has on the Internet, in the order in which
// it is dealt from: RFC 1918, and RFC 6598 last.
func Private() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"),
		netip.MustParsePrefix("192.168.0.0/16"), netip.MustParsePrefix("100.64.0.0/10"),
	}
}

// uniqueLocal is IPv6's (RFC 4193).
var uniqueLocal = netip.MustParsePrefix("fd00::/8")

// IsPrivate says whether all addresses of p are private.
func IsPrivate(p netip.Prefix) bool {
	in := func(q netip.Prefix) bool { return q.Bits() <= p.Bits() && q.Contains(p.Addr()) }
	return slices.ContainsFunc(Private(), in) || in(netip.MustParsePrefix("fc00::/7"))
}

// Cutter cuts a pool into subnets, from the bottom up, around what is taken.
type Cutter struct {
	pool  netip.Prefix
	bits  int
	at    netip.Addr
	taken []netip.Prefix // sorted; those before at are gone
}

// NewCutter cuts pool into subnets of a length in bits, around taken.
func NewCutter(taken []netip.Prefix, pool netip.Prefix, bits int) *Cutter {
	c := &Cutter{pool: pool, bits: bits, at: pool.Addr(), taken: slices.Clone(taken)}
	c.taken = slices.DeleteFunc(c.taken, func(p netip.Prefix) bool { return !p.Overlaps(pool) })
	slices.SortFunc(c.taken, Compare)
	return c
}

// Next is the next free subnet; false when the pool is used up.
func (c *Cutter) Next() (netip.Prefix, bool) {
	for c.at.IsValid() && c.pool.Contains(c.at) {
		subnet := netip.PrefixFrom(c.at, c.bits)
		for len(c.taken) > 0 && Last(c.taken[0]).Less(c.at) {
			c.taken = c.taken[1:]
		}
		if len(c.taken) > 0 && c.taken[0].Overlaps(subnet) {
			wider := netip.PrefixFrom(c.taken[0].Addr(), min(c.taken[0].Bits(), c.bits)).Masked()
			c.at = Last(wider).Next()
			continue
		}
		c.at = Last(subnet).Next()
		return subnet, true
	}
	return netip.Prefix{}, false
}

// FreeBeside is the first prefix as long as p that is private and apart from all that
// is taken: from p on, then in the other ranges, then before p.
func FreeBeside(taken []netip.Prefix, p netip.Prefix) (netip.Prefix, bool) {
	ranges := Private()
	if p.Addr().Is6() {
		ranges = []netip.Prefix{uniqueLocal}
	}
	home := slices.IndexFunc(ranges, func(r netip.Prefix) bool { return r.Contains(p.Addr()) })
	order := slices.Concat(ranges[home:], ranges[:home], ranges[home:home+1])
	for i, r := range order {
		if r.Bits() > p.Bits() {
			continue
		}
		cut := NewCutter(taken, r, p.Bits())
		if i == 0 {
			cut.at = p.Masked().Addr()
		}
		if q, ok := cut.Next(); ok {
			return q, true
		}
	}
	return netip.Prefix{}, false
}
