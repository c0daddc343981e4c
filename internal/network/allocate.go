package network

import (
	"errors"
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/state"
)

// dealer deals out what members of a segment need. It is made from what was
// dealt before and goes on from there, so that dealing to many at once stays
// linear.
type dealer struct {
	n     *state.Network
	ids   map[uint16]bool
	addrs map[netip.Addr]bool
	pools []netip.Prefix
	id    uint16       // where to look next
	own   []netip.Addr // per subnet: where to look next
}

func newDealer(n *state.Network) *dealer {
	d := &dealer{n: n, ids: map[uint16]bool{}, addrs: map[netip.Addr]bool{}, id: 1}
	for _, a := range n.Allocated {
		d.ids[a.ID] = true
		for _, addr := range a.Addrs {
			d.addrs[addr] = true
		}
		d.pools = append(d.pools, a.Pool...)
	}
	for _, p := range n.Subnets {
		d.addrs[gatewayOf(p)] = true
		if n.DHCP == state.DHCPSingle {
			d.addrs[nameServerOf(p)] = true
		}
		first := topAddr(p)
		if slaac(p) {
			first = gatewayOf(p).Next() // nothing is handed out below: small numbers are easier to read
		}
		d.own = append(d.own, first)
	}
	return d
}

// allocateSegment deals new members their id, an own address in every subnet and,
// with distributed DHCP, the pool they hand out.
func allocateSegment(n *state.Network, servers []string) error {
	d := newDealer(n)
	for _, server := range servers {
		a, err := d.deal(server)
		if err != nil {
			return err
		}
		n.Allocated[server] = a
	}
	return nil
}

func (d *dealer) deal(server string) (*state.Allocation, error) {
	for ; d.ids[d.id]; d.id++ {
		if d.id == 65535 {
			return nil, errors.New("the network has all the 65535 members it can have")
		}
	}
	d.ids[d.id] = true
	a := &state.Allocation{ID: d.id}
	for i, p := range d.n.Subnets {
		addr, ok := d.address(i, p)
		if !ok {
			return nil, hint.Errorf("", "create the network with a wider subnet", "%s has no address left for %s", p, server)
		}
		a.Addrs = append(a.Addrs, addr)
		if d.n.DHCP == state.DHCPDistributed && p.Addr().Is4() {
			pool, ok := d.pool(p)
			if !ok {
				return nil, hint.Errorf("", "create the network with a wider subnet, or with --dhcp single",
					"%s has no part left that %s could hand out: distributed DHCP deals out /%d parts", p, server, poolBits(p))
			}
			a.Pool = append(a.Pool, pool)
		}
	}
	return a, nil
}

func fitsSegment(n *state.Network, a *state.Allocation) bool {
	if a.ID == 0 || len(a.Addrs) != len(n.Subnets) {
		return false
	}
	pools := 0
	for i, p := range n.Subnets {
		if !p.Contains(a.Addrs[i]) || a.Addrs[i] == gatewayOf(p) || n.DHCP == state.DHCPSingle && a.Addrs[i] == nameServerOf(p) {
			return false
		}
		if n.DHCP == state.DHCPDistributed && p.Addr().Is4() {
			if pools == len(a.Pool) || !p.Contains(a.Pool[pools].Addr()) || a.Pool[pools].Bits() != poolBits(p) {
				return false
			}
			pools++
		}
	}
	return pools == len(a.Pool)
}

// address deals an own address of the i-th subnet.
func (d *dealer) address(i int, p netip.Prefix) (netip.Addr, bool) {
	step := netip.Addr.Prev
	if slaac(p) {
		step = netip.Addr.Next
	}
	for d.addrs[d.own[i]] || inPools(d.pools, d.own[i]) {
		d.own[i] = step(d.own[i])
	}
	addr := d.own[i]
	d.addrs[addr] = true
	if d.n.DHCP == state.DHCPSingle && addr == gatewayOf(p).Next() && !slaac(p) {
		return addr, false // the last one that DHCP has
	}
	return addr, p.Contains(addr) && addr != p.Addr()
}

func inPools(pools []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(pools, func(p netip.Prefix) bool { return p.Contains(a) })
}

// poolBits is the prefix length of what one server hands out of subnet: 1/256 of
// it, but 16 addresses at least.
func poolBits(subnet netip.Prefix) int { return max(min(subnet.Bits()+8, 28), subnet.Bits()) }

// pool deals the first part of subnet that nobody hands out yet and that holds
// neither the gateway's nor a server's own address.
func (d *dealer) pool(subnet netip.Prefix) (netip.Prefix, bool) {
	pool := netip.PrefixFrom(subnet.Addr(), poolBits(subnet))
	for subnet.Contains(pool.Addr()) {
		if !d.busy(subnet, pool) {
			d.pools = append(d.pools, pool)
			return pool, true
		}
		pool = netip.PrefixFrom(lastAddr(pool).Next(), pool.Bits())
	}
	return netip.Prefix{}, false
}

func (d *dealer) busy(subnet, pool netip.Prefix) bool {
	if pool.Contains(lastAddr(subnet)) || slices.Contains(d.pools, pool) {
		return true
	}
	for a := range d.addrs {
		if pool.Contains(a) {
			return true
		}
	}
	return false
}
