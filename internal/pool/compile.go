package pool

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/prefix"
	"github.com/flocknet/flock/internal/segment"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// Types of networks that advice names: what crosses NAT, and what crosses routers.
const (
	overNAT     = "wireguard"
	overRouters = "vxlan-l3"
)

// Pool is a pool network while it is compiled.
type Pool struct {
	*ground.Builder
	Name    string
	N       *state.Network
	back    *Backend
	Device  string // that packets to others leave by; "" where it is the underlay's
	MTU     int    // bytes, of the containers
	Members []*Member
	Routed  int            // how many subnets all members have
	reach   []netip.Prefix // all that members' packets go to with their own source: the pools, and what was named outside of them
}

// Member is a member's part in it.
type Member struct {
	ground.Underlay
	other   netip.Addr     // address of the other family on the same device; invalid: none
	id      uint16         // unique in the network
	MAC     string         // of its VXLAN device
	Subnets []netip.Prefix // its own, one per pool
	Routed  []netip.Prefix // all that the others route to it, sorted
	direct  []string       // members that it reaches without encapsulation
}

// addrOf is the member's underlay address of a family; invalid if it has none.
func (m *Member) addrOf(v6 bool) netip.Addr {
	if m.Addr.Is6() == v6 {
		return m.Addr
	}
	return m.other
}

// OwnOf is the member's subnet of a family.
func (m *Member) OwnOf(v6 bool) netip.Prefix {
	at := slices.IndexFunc(m.Subnets, func(p netip.Prefix) bool { return p.Addr().Is6() == v6 })
	return m.Subnets[at]
}

// Gather finds every member's part of a pool network.
func Gather(b *ground.Builder, name string, n *state.Network, back *Backend, device string, places []ground.Underlay) (*Pool, error) {
	p := &Pool{Builder: b, Name: name, N: n, back: back, Device: device}
	return p, p.gather(places)
}

// Underlays are the places of its members, and the bytes that their encapsulation takes.
func (p *Pool) Underlays() (places []ground.Underlay, over int) {
	for _, m := range p.Members {
		places = append(places, m.Underlay)
	}
	over = p.back.Over4
	if len(places) > 0 && places[0].Addr.Is6() {
		over = p.back.Over6
	}
	return places, over
}

// Compile adds what all backends have: the file about the subnets, the bridge if
// there is one, forwarding; and by routes what brings packets from m to the others.
func (p *Pool) Compile(mtu int, routes func(p *Pool, m *Member)) {
	p.MTU = mtu
	segment.NoteFull(p.Builder, p.Name, p.N, "")
	for _, m := range p.Members {
		if p.back.Routes {
			p.addForwarding(m)
		}
		p.addBridge(m)
		p.addEnv(m)
		p.addClaims(m)
		routes(p, m)
		if p.N.Direct {
			p.Out.Direct[ground.Membership{Server: m.Server, Network: p.Name}] = m.direct
		}
	}
	if p.N.Direct && len(p.Members) > 1 {
		p.noteDirect()
	}
}

// gather finds every member's part, and leaves out those that cannot have one.
func (p *Pool) gather(places []ground.Underlay) error {
	shares, err := ground.SharesOf(p.N)
	if err != nil {
		return err
	}
	p.reach = ground.Pools(p.N)
	for _, u := range places {
		a := p.N.Allocated[u.Server]
		if a == nil {
			return fmt.Errorf("%s has no subnet: the cluster is not complete", u.Server)
		}
		m := &Member{Underlay: u, other: p.otherAddr(u), id: a.ID, MAC: ground.MAC(ground.RoleTunnel, p.Cluster.Name, ground.BornNetwork(p.Cluster, p.Name), a.ID), Subnets: a.Subnets}
		m.Routed = slices.Concat(a.Subnets, shares[u.Server])
		slices.SortFunc(m.Routed, netip.Prefix.Compare)
		m.Routed = slices.Compact(m.Routed)
		if err := p.fitting(m); err != nil {
			p.Problem(u.Server, p.Name, err)
			continue
		}
		p.Members = append(p.Members, m)
		p.reach = append(p.reach, m.Routed...)
		p.Routed += len(m.Routed)
	}
	p.reach = prefix.Aggregate(p.reach)
	return nil
}

// fitting refuses a member that the others cannot reach, or whose own network is in
// the pool.
func (p *Pool) fitting(m *Member) error {
	where := "server " + m.Server
	for _, pool := range p.reachOf(m) {
		for _, i := range p.Cluster.Servers[m.Server].Facts.Interfaces {
			if i.Name != m.Dev {
				continue
			}
			for _, a := range i.Addrs {
				if a.Overlaps(pool) {
					return hint.Errorf(where, p.instead(pool), "%s overlaps %s, which %s stands in", pool, a.Masked(), m.Server)
				}
			}
		}
	}
	if !p.back.Routes {
		return nil
	}
	if p.Cluster.Servers[m.Server].NAT {
		return hint.Errorf(where, "a network of its own for it: flock createnetwork NAME "+overNAT, "%s is behind NAT: nobody can reach it", m.Server)
	}
	if p.back.V4 && m.Addr.Is6() {
		return hint.Errorf(where, "flock changetype "+p.Name+" "+overRouters, "%s stands at %s: %s needs IPv4 below", m.Server, m.Addr, p.back.Wire)
	}
	if p.back.Adjacent {
		return p.nextToAll(m)
	}
	if p.back.Cloud != "" {
		return p.inOneCloud(m)
	}
	return nil
}

// instead is what to do about a pool that a member's own network is in: -s does not change
// one that was added (--add-pool).
func (p *Pool) instead(pool netip.Prefix) string {
	if slices.Contains(p.N.Subnets, pool) {
		return ground.PoolSpace.Resubnet(p.Cluster, p.Name, pool)
	}
	return "name another address of the member: flock addnetwork " + p.Name + " SERVER:ADDRESS"
}

// reachOf is all that is routed in the network, as far as it concerns a member that is
// looked at before all are known.
func (p *Pool) reachOf(m *Member) []netip.Prefix { return slices.Concat(ground.Pools(p.N), m.Routed) }

// otherAddr is the address that u's device has of the other family.
func (p *Pool) otherAddr(u ground.Underlay) netip.Addr {
	for _, i := range p.Cluster.Servers[u.Server].Facts.Interfaces {
		if i.Name != u.Dev {
			continue
		}
		for _, a := range i.Addrs {
			if a.Addr().Is6() != u.Addr.Is6() {
				return a.Addr()
			}
		}
	}
	return netip.Addr{}
}

// families says for which IP versions there is a pool.
func (p *Pool) families() []bool {
	var out []bool
	for _, s := range p.N.Subnets {
		out = append(out, s.Addr().Is6())
	}
	return out
}

// addForwarding lets packets of the network through m, with their own source.
func (p *Pool) addForwarding(m *Member) {
	h := p.Out.Hosts[m.Server]
	for _, v6 := range p.families() {
		key := "net/ipv4/ip_forward"
		if v6 {
			key = "net/ipv6/conf/all/forwarding"
		}
		h.Sysctls = append(h.Sysctls, spec.Sysctl{Key: key, Value: "1"})
	}
	for _, own := range m.Routed {
		var to []netip.Prefix
		for _, q := range p.reach {
			if q.Addr().Is6() == own.Addr().Is6() {
				to = append(to, q)
			}
		}
		h.Keeps = append(h.Keeps, spec.PreserveSource{Network: p.Name, Subnet: own, To: to})
	}
	for _, q := range p.reach {
		h.Forwards = append(h.Forwards, spec.Forward{Network: p.Name, Subnet: q})
	}
}

// addBridge adds the container bridge of a network that has one: the member's subnet
// with its first address for the gateway, DHCP, DNS and masquerade. Its DNS knows the
// member's own containers, and the members.
func (p *Pool) addBridge(m *Member) {
	if p.N.Bridge == "" {
		return
	}
	h := p.Out.Hosts[m.Server]
	s := segment.Segment{
		Network: p.Name, Bridge: p.N.Bridge, MAC: ground.MAC(ground.RoleBridge, p.Cluster.Name, ground.BornNetwork(p.Cluster, p.Name), m.id), MTU: p.MTU,
		Subnets: m.Subnets, Gateways: m.gateways(), Masq: !p.N.NoMasq,
		Guard: spec.Guard{DHCP: p.N.DHCP != state.DHCPOff},
	}
	segment.Add(p.Builder, h, s)
	if p.N.DHCP == state.DHCPOff {
		return
	}
	d := spec.DHCP{Network: p.Name, Bridge: p.N.Bridge, Domain: p.N.Domain, Listen: s.Gateways, DNS: s.Gateways, MTU: p.MTU}
	for i, own := range m.Subnets {
		d.Ranges = append(d.Ranges, segment.WholeRange(own, s.Gateways[i]))
		if own.Addr().Is4() {
			d.Router = s.Gateways[i]
		}
	}
	for _, other := range p.Members {
		for _, gw := range other.gateways() {
			d.Hosts = append(d.Hosts, spec.HostName{Name: other.Server, Addr: gw})
		}
	}
	h.DHCPs = append(h.DHCPs, d)
	h.Claims = append(h.Claims, segment.ClaimDNSMasq(p.Name))
}

// gateways are the addresses of m's containers' gateway, one per subnet.
func (m *Member) gateways() []netip.Addr {
	var out []netip.Addr
	for _, own := range m.Subnets {
		out = append(out, segment.GatewayOf(own))
	}
	return out
}

// addEnv tells CNI plugins and scripts on m what it was dealt.
func (p *Pool) addEnv(m *Member) {
	env := spec.SubnetEnv{Network: p.Name, Pools: p.N.Subnets, MTU: p.MTU, Masquerade: p.N.Bridge != "" && !p.N.NoMasq}
	for i, own := range m.Subnets {
		if at := slices.IndexFunc(p.N.More, own.Overlaps); at >= 0 {
			env.Pools = slices.Clone(env.Pools)
			env.Pools[i] = p.N.More[at]
		}
		env.Subnets = append(env.Subnets, netip.PrefixFrom(segment.GatewayOf(own), own.Bits()))
	}
	h := p.Out.Hosts[m.Server]
	h.Envs = append(h.Envs, env)
}

// addClaims asks that nobody else uses what the network routes. On a member's own
// subnet there may be whatever bridge its containers have; where others make the
// routes, they may lead anywhere in the pool.
func (p *Pool) addClaims(m *Member) {
	h := p.Out.Hosts[m.Server]
	for _, pool := range ground.Pools(p.N) {
		c := spec.Claim{Network: p.Name, Prefix: pool}
		for _, own := range m.Routed {
			if own.Overlaps(pool) {
				c.Except = append(c.Except, own)
			}
		}
		if !p.back.Routes {
			c.Except = []netip.Prefix{pool}
		}
		h.Claims = append(h.Claims, c)
	}
	for _, other := range p.Members {
		for _, q := range other.Routed {
			outside := !slices.ContainsFunc(ground.Pools(p.N), q.Overlaps)
			if other != m && outside && p.back.Routes {
				h.Claims = append(h.Claims, p.ShareClaim(p.Name, other.Server, q))
			}
		}
	}
	if p.N.Port != 0 {
		h.Claims = append(h.Claims, spec.Claim{Network: p.Name, UDPPort: p.N.Port})
	}
}

// AddDeviceAddrs gives m's device the first address of its subnets, alone: what the
// server itself sends to the others' containers comes from there.
func (p *Pool) AddDeviceAddrs(m *Member) {
	h := p.Out.Hosts[m.Server]
	v6 := false
	for _, own := range m.Subnets {
		v6 = v6 || own.Addr().Is6()
		h.Addrs = append(h.Addrs, spec.Addr{Link: p.Device, Prefix: prefix.Alone(own.Addr())})
	}
	conf := "net/ipv6/conf/" + p.Device + "/"
	if !v6 {
		// The device speaks no IPv6 of its own: no solicitations, no listener reports.
		h.Sysctls = append(h.Sysctls, spec.Sysctl{Key: conf + "disable_ipv6", Value: "1", Link: p.Device})
		return
	}
	for key, value := range map[string]string{"disable_ipv6": "0", "accept_dad": "0", "accept_ra": "0"} {
		h.Sysctls = append(h.Sysctls, spec.Sysctl{Key: conf + key, Value: value, Link: p.Device})
	}
}
