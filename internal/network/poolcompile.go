package network

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/prefix"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// pool is a pool network while it is compiled.
type pool struct {
	*builder
	name    string
	n       *state.Network
	device  string // that packets to others leave by; "" where it is the underlay's
	mtu     int    // bytes, of the containers
	members []*poolMember
	routed  int            // how many subnets all members have
	reach   []netip.Prefix // all that members' packets go to with their own source: the pools, and what was named outside of them
}

// poolMember is a member's part in it.
type poolMember struct {
	underlay
	other   netip.Addr     // address of the other family on the same device; invalid: none
	id      uint16         // unique in the network
	mac     string         // of its VXLAN device
	subnets []netip.Prefix // its own, one per pool
	routed  []netip.Prefix // all that the others route to it, sorted
	direct  []string       // members that it reaches without encapsulation
}

// addrOf is the member's underlay address of a family; invalid if it has none.
func (m *poolMember) addrOf(v6 bool) netip.Addr {
	if m.addr.Is6() == v6 {
		return m.addr
	}
	return m.other
}

// ownOf is the member's subnet of a family.
func (m *poolMember) ownOf(v6 bool) netip.Prefix {
	at := slices.IndexFunc(m.subnets, func(p netip.Prefix) bool { return p.Addr().Is6() == v6 })
	return m.subnets[at]
}

// compilePool adds what all backends have: the file about the subnets, the bridge if
// there is one, forwarding; and by routes what brings packets from m to the others.
func (b *builder) compilePool(name string, n *state.Network, routes func(p *pool, m *poolMember)) error {
	back := backendOf(n)
	places, err := b.underlays(name, n)
	if err != nil {
		return err
	}
	p := &pool{builder: b, name: name, n: n, device: poolDevice(name, n)}
	if err := p.gather(places, back); err != nil {
		return err
	}
	places = places[:0]
	for _, m := range p.members {
		places = append(places, m.underlay)
	}
	over := back.over4
	if len(places) > 0 && places[0].addr.Is6() {
		over = back.over6
	}
	mtu, ok := b.tunnelMTU(name, n, places, over)
	if !ok {
		return nil
	}
	p.mtu = mtu
	b.noteFull(name, n, "")
	for _, m := range p.members {
		if back.routes {
			p.addForwarding(m)
		}
		p.addBridge(m)
		p.addEnv(m)
		p.addClaims(m, back)
		routes(p, m)
		if n.Direct {
			b.out.Direct[Membership{m.server, name}] = m.direct
		}
	}
	if n.Direct && len(p.members) > 1 {
		p.noteDirect()
	}
	return nil
}

// gather finds every member's part, and leaves out those that cannot have one.
func (p *pool) gather(places []underlay, back *backend) error {
	shares, err := sharesOf(p.n)
	if err != nil {
		return err
	}
	p.reach = slices.Clone(p.n.Subnets)
	for _, u := range places {
		a := p.n.Allocated[u.server]
		if a == nil {
			return fmt.Errorf("%s has no subnet: the cluster is not complete", u.server)
		}
		m := &poolMember{underlay: u, other: p.otherAddr(u), id: a.ID, mac: mac(roleTunnel, p.c.Name, p.name, a.ID), subnets: a.Subnets}
		m.routed = slices.Concat(a.Subnets, shares[u.server])
		slices.SortFunc(m.routed, netip.Prefix.Compare)
		m.routed = slices.Compact(m.routed)
		if err := p.fitting(m, back); err != nil {
			p.problem(u.server, p.name, err)
			continue
		}
		p.members = append(p.members, m)
		p.reach = append(p.reach, m.routed...)
		p.routed += len(m.routed)
	}
	p.reach = prefix.Aggregate(p.reach)
	return nil
}

// fitting refuses a member that the others cannot reach, or whose own network is in
// the pool.
func (p *pool) fitting(m *poolMember, back *backend) error {
	where := "server " + m.server
	for _, pool := range p.reachOf(m) {
		for _, i := range p.c.Servers[m.server].Facts.Interfaces {
			if i.Name != m.dev {
				continue
			}
			for _, a := range i.Addrs {
				if a.Overlaps(pool) {
					return hint.Errorf(where, "choose another pool (-s)", "%s overlaps %s, which %s stands in", pool, a.Masked(), m.server)
				}
			}
		}
	}
	if !back.routes {
		return nil
	}
	if p.c.Servers[m.server].NAT {
		return hint.Errorf(where, "flock createnetwork "+p.name+" "+WireGuard, "%s is behind NAT: nobody can reach it", m.server)
	}
	if back.v4 && m.addr.Is6() {
		return hint.Errorf(where, "flock createnetwork "+p.name+" "+VXLANL3, "%s stands at %s: %s needs IPv4 below", m.server, m.addr, back.wire)
	}
	if back.adjacent {
		return p.nextToAll(m)
	}
	return nil
}

// reachOf is all that is routed in the network, as far as it concerns a member that is
// looked at before all are known.
func (p *pool) reachOf(m *poolMember) []netip.Prefix { return slices.Concat(p.n.Subnets, m.routed) }

// otherAddr is the address that u's device has of the other family.
func (p *pool) otherAddr(u underlay) netip.Addr {
	for _, i := range p.c.Servers[u.server].Facts.Interfaces {
		if i.Name != u.dev {
			continue
		}
		for _, a := range i.Addrs {
			if a.Addr().Is6() != u.addr.Is6() {
				return a.Addr()
			}
		}
	}
	return netip.Addr{}
}

// families says for which IP versions there is a pool.
func (p *pool) families() []bool {
	var out []bool
	for _, s := range p.n.Subnets {
		out = append(out, s.Addr().Is6())
	}
	return out
}

// addForwarding lets packets of the network through m, with their own source.
func (p *pool) addForwarding(m *poolMember) {
	h := p.out.Hosts[m.server]
	for _, v6 := range p.families() {
		key := "net/ipv4/ip_forward"
		if v6 {
			key = "net/ipv6/conf/all/forwarding"
		}
		h.Sysctls = append(h.Sysctls, spec.Sysctl{Key: key, Value: "1"})
	}
	for _, own := range m.routed {
		var to []netip.Prefix
		for _, q := range p.reach {
			if q.Addr().Is6() == own.Addr().Is6() {
				to = append(to, q)
			}
		}
		h.Keeps = append(h.Keeps, spec.PreserveSource{Network: p.name, Subnet: own, To: to})
	}
	for _, q := range p.reach {
		h.Forwards = append(h.Forwards, spec.Forward{Network: p.name, Subnet: q})
	}
}

// addBridge adds the container bridge of a network that has one: the member's subnet
// with its first address for the gateway, DHCP, DNS and masquerade. Its DNS knows the
// member's own containers, and the members.
func (p *pool) addBridge(m *poolMember) {
	if p.n.Bridge == "" {
		return
	}
	h := p.out.Hosts[m.server]
	s := segment{
		network: p.name, bridge: p.n.Bridge, mac: mac(roleBridge, p.c.Name, p.name, m.id), mtu: p.mtu,
		subnets: m.subnets, gateways: m.gateways(), masq: !p.n.NoMasq,
		guard: spec.Guard{DHCP: p.n.DHCP != state.DHCPOff},
	}
	p.addSegment(h, s)
	if p.n.DHCP == state.DHCPOff {
		return
	}
	d := spec.DHCP{Network: p.name, Bridge: p.n.Bridge, Domain: p.n.Domain, Listen: s.gateways, DNS: s.gateways, MTU: p.mtu}
	for i, own := range m.subnets {
		d.Ranges = append(d.Ranges, wholeRange(own, s.gateways[i]))
		if own.Addr().Is4() {
			d.Router = s.gateways[i]
		}
	}
	for _, other := range p.members {
		for _, gw := range other.gateways() {
			d.Hosts = append(d.Hosts, spec.HostName{Name: other.server, Addr: gw})
		}
	}
	h.DHCPs = append(h.DHCPs, d)
	h.Claims = append(h.Claims, claimDNSMasq(p.name))
}

// gateways are the addresses of m's containers' gateway, one per subnet.
func (m *poolMember) gateways() []netip.Addr {
	var out []netip.Addr
	for _, own := range m.subnets {
		out = append(out, gatewayOf(own))
	}
	return out
}

// addEnv tells CNI plugins and scripts on m what it was dealt.
func (p *pool) addEnv(m *poolMember) {
	env := spec.SubnetEnv{Network: p.name, Pools: p.n.Subnets, MTU: p.mtu, Masquerade: p.n.Bridge != "" && !p.n.NoMasq}
	for _, own := range m.subnets {
		env.Subnets = append(env.Subnets, netip.PrefixFrom(gatewayOf(own), own.Bits()))
	}
	h := p.out.Hosts[m.server]
	h.Envs = append(h.Envs, env)
}

// addClaims asks that nobody else uses what the network routes. On a member's own
// subnet there may be whatever bridge its containers have; where others make the
// routes, they may lead anywhere in the pool.
func (p *pool) addClaims(m *poolMember, back *backend) {
	h := p.out.Hosts[m.server]
	for _, pool := range p.n.Subnets {
		c := spec.Claim{Network: p.name, Prefix: pool}
		for _, own := range m.routed {
			if own.Overlaps(pool) {
				c.Except = append(c.Except, own)
			}
		}
		if !back.routes {
			c.Except = []netip.Prefix{pool}
		}
		h.Claims = append(h.Claims, c)
	}
	for _, other := range p.members {
		for _, q := range other.routed {
			outside := !slices.ContainsFunc(p.n.Subnets, q.Overlaps)
			if other != m && outside && back.routes {
				h.Claims = append(h.Claims, p.shareClaim(p.name, other.server, q))
			}
		}
	}
	if p.n.Port != 0 {
		h.Claims = append(h.Claims, spec.Claim{Network: p.name, UDPPort: p.n.Port})
	}
}
