package segment

import (
	"errors"
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/prefix"
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
	dock  []netip.Prefix // Docker's ranges
	id    uint16         // where to look next
	own   []netip.Addr   // per subnet: where to look next
}

func newDealer(n *state.Network) *dealer {
	d := &dealer{n: n, ids: map[uint16]bool{}, addrs: map[netip.Addr]bool{}, id: 1, dock: dockerRanges(n)}
	for _, a := range n.Allocated {
		d.ids[a.ID] = true
		for _, addr := range a.Addrs {
			d.addrs[addr] = true
		}
		d.pools = append(d.pools, a.Pool...)
	}
	for _, p := range n.Subnets {
		d.addrs[GatewayOf(p)] = true
		if n.DHCP == state.DHCPSingle {
			d.addrs[NameServerOf(p)] = true
		}
		first := prefix.Top(p)
		if slaac(p) {
			first = GatewayOf(p).Next() // nothing is handed out below: small numbers are easier to read
		}
		d.own = append(d.own, first)
	}
	return d
}

// Allocate deals new members their id, an own address in every subnet and,
// with distributed DHCP, the pool they hand out.
func Allocate(n *state.Network, servers []string) error {
	d := newDealer(n)
	for i, server := range servers {
		a, err := d.deal(server, len(servers)-i)
		if err != nil {
			return err
		}
		n.Allocated[server] = a
	}
	return nil
}

// deal deals to server; newcomers are it and those after it.
func (d *dealer) deal(server string, newcomers int) (*state.Allocation, error) {
	was := ground.Former(d.n, server)
	a := &state.Allocation{ID: was.ID, Key: was.Key, Mesh: was.Mesh, Pool: was.Pool, Docker: was.Docker}
	if a.ID == 0 {
		for ; d.ids[d.id]; d.id++ {
			if d.id == 65535 {
				return nil, errors.New("the network has all the 65535 members it can have")
			}
		}
		d.ids[d.id], a.ID = true, d.id
	}
	for i, p := range d.n.Subnets {
		addr, ok := was.Addrs[i], true
		if !addr.IsValid() {
			addr, ok = d.address(i, p)
		}
		if !ok {
			return nil, &ground.NarrowError{Subnet: p, Server: server}
		}
		a.Addrs = append(a.Addrs, addr)
		if d.n.DHCP == state.DHCPDistributed && p.Addr().Is6() && !hasPart(p, addr) {
			return nil, &ground.NarrowError{Subnet: p, Server: server, Part: partBits(p)}
		}
		if d.n.DHCP == state.DHCPDistributed && p.Addr().Is4() && len(a.Pool) == 0 {
			free := d.freeBlocks(p)
			if len(free) == 0 {
				return nil, &ground.NarrowError{Subnet: p, Server: server, Part: poolBits(p)}
			}
			dealt := firstDeal(p, len(free), newcomers)
			if InDocker(d.n, server) {
				dealt = (dealt + 1) / 2 // the containers that ask nobody need the others
			}
			a.Pool = append(a.Pool, free[:dealt]...)
			d.pools = append(d.pools, a.Pool...)
		}
	}
	return a, nil
}

// Fits says whether what a member was dealt belongs to the network as it is.
func Fits(n *state.Network, a *state.Allocation) bool {
	if a.ID == 0 || len(a.Addrs) != len(n.Subnets) {
		return false
	}
	for i, p := range n.Subnets {
		if !FitsOwn(n, p, a.Addrs[i]) {
			return false
		}
	}
	return FitsBlocks(n, a.Pool)
}

// FitsOwn says whether a member may have an address of its own in p, a subnet of n.
func FitsOwn(n *state.Network, p netip.Prefix, a netip.Addr) bool {
	return p.Contains(a) && a != GatewayOf(p) && (n.DHCP != state.DHCPSingle || a != NameServerOf(p))
}

// address deals an own address of the i-th subnet.
func (d *dealer) address(i int, p netip.Prefix) (netip.Addr, bool) {
	step := netip.Addr.Prev
	if slaac(p) {
		step = netip.Addr.Next
	}
	for d.addrs[d.own[i]] || inPools(d.pools, d.own[i]) || inPools(d.dock, d.own[i]) {
		d.own[i] = step(d.own[i])
	}
	addr := d.own[i]
	d.addrs[addr] = true
	if d.n.DHCP == state.DHCPSingle && addr == GatewayOf(p).Next() && !slaac(p) {
		return addr, false // the last one that DHCP has
	}
	return addr, p.Contains(addr) && addr != p.Addr()
}

func inPools(pools []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(pools, func(p netip.Prefix) bool { return p.Contains(a) })
}
