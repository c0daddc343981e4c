package segment

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/prefix"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// With distributed DHCP every member hands out blocks of the subnet that nobody else
// has. It is dealt some when it joins and more when these run full; what it has it
// keeps for as long as it is a member, so that no lease ever moves.

// leastDealt is how many addresses a member is dealt at first, where there are as many.
const leastDealt = 64

// poolBits is the prefix length of a block of subnet: 1/256 of it, but 16 addresses at
// least.
func poolBits(subnet netip.Prefix) int { return max(min(subnet.Bits()+8, 28), subnet.Bits()) }

// firstDeal is how many of the free blocks of subnet the first of some newcomers gets:
// leastDealt addresses or a sixteenth of what is free, whatever is more; at most a
// quarter of the subnet, and no more than leaves the other newcomers as much. Of the
// last few blocks it is half of them, so that others can still join.
func firstDeal(subnet netip.Prefix, free, newcomers int) int {
	bits := poolBits(subnet)
	all := 1 << (bits - subnet.Bits())
	want := min(max(leastDealt>>(32-bits), free/16, 1), max(all/4, 1))
	if free < want {
		want = free / 2
	}
	return max(min(want, free/newcomers), 1)
}

// freeBlocks are the blocks of subnet that nobody hands out yet and that hold neither
// the gateway's nor a server's own address, in order.
func (d *dealer) freeBlocks(subnet netip.Prefix) []netip.Prefix {
	taken := map[netip.Prefix]bool{}
	bits := poolBits(subnet)
	block := func(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, bits).Masked() }
	taken[block(prefix.Last(subnet))] = true
	for _, p := range d.pools {
		taken[p] = true
	}
	for a := range d.addrs {
		taken[block(a)] = true
	}
	var out []netip.Prefix
	for b := block(subnet.Addr()); subnet.Contains(b.Addr()); b = netip.PrefixFrom(prefix.Last(b).Next(), bits) {
		if !taken[b] && !slices.ContainsFunc(d.dock, b.Overlaps) {
			out = append(out, b)
		}
	}
	return out
}

// FitsBlocks says whether pool is what a member of n may hand out.
func FitsBlocks(n *state.Network, pool []netip.Prefix) bool {
	at := slices.IndexFunc(n.Subnets, func(p netip.Prefix) bool { return p.Addr().Is4() })
	if n.DHCP != state.DHCPDistributed || at < 0 {
		return len(pool) == 0
	}
	subnet := n.Subnets[at]
	for _, p := range pool {
		if !subnet.Contains(p.Addr()) || p.Bits() != poolBits(subnet) {
			return false
		}
	}
	return len(pool) > 0
}

// poolRanges are the blocks that a member hands out as ranges, neighbours as one.
func poolRanges(subnet netip.Prefix, pool []netip.Prefix) []spec.Range {
	pool = slices.SortedFunc(slices.Values(pool), func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })
	var out []spec.Range
	for _, p := range pool {
		if last := len(out) - 1; last >= 0 && out[last].Last.Next() == p.Addr() {
			out[last].Last = prefix.Last(p)
			continue
		}
		out = append(out, spec.Range{First: p.Addr(), Last: prefix.Last(p), Subnet: subnet})
	}
	return out
}

// Leased notes how many of the addresses that a server hands out in a network are
// leased, as it says. One that nears its end is dealt more, as much again as it has if
// half of what is free allows it. What is full and gets nothing is noted in the file.
// It says whether a server now has more to hand out.
func Leased(c *state.Cluster, server string, use spec.PoolUse) bool {
	n := c.Networks[use.Network]
	if n == nil || n.Allocated[server] == nil {
		return false
	}
	a := n.Allocated[server]
	if use.Size < poolSize(a.Pool) {
		return false // it does not know yet of what it was dealt
	}
	a.Full = use.Full()
	if !use.NearlyFull() || !MoreToDeal(n) {
		return false
	}
	at := slices.IndexFunc(n.Subnets, func(p netip.Prefix) bool { return p.Addr().Is4() })
	free := newDealer(n).freeBlocks(n.Subnets[at])
	a.Pool, a.Full = append(a.Pool, free[:min(len(a.Pool), max(len(free)/2, 1))]...), false
	return true
}

// MoreToDeal says whether the next apply deals more to a member of n that runs full.
func MoreToDeal(n *state.Network) bool {
	at := slices.IndexFunc(n.Subnets, func(p netip.Prefix) bool { return p.Addr().Is4() })
	return n.DHCP == state.DHCPDistributed && at >= 0 && len(newDealer(n).freeBlocks(n.Subnets[at])) > 0
}

func poolSize(pool []netip.Prefix) int {
	size := 0
	for _, p := range pool {
		size += 1 << (32 - p.Bits())
	}
	return size
}

// NoteFull says which members have nothing left to hand out. Only is the one that
// hands out, "" if all do.
func NoteFull(b *ground.Builder, name string, n *state.Network, only string) {
	for _, server := range slices.Sorted(maps.Keys(n.Allocated)) {
		if n.Allocated[server].Full && (only == "" || server == only) {
			b.Out.Notes = append(b.Out.Notes, ground.Note{Network: name, Text: "all addresses that " + server +
				" hands out are leased, new containers get none: make a network with a wider subnet, or take away what is not needed"})
		}
	}
}
