package network

import (
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// IPIP, where it is no tunnel, is the kind of a pool network whose packets travel in
// IPv4 (RFC 2003), by one device per member that has no other end of its own: a
// route's gateway is the other end. It is not tunl0, which is the kernel's for what
// nobody else takes.

const (
	ipipOverhead = 20              // bytes: outer IPv4
	protocol4    = "IP protocol 4" // what a firewall must let pass
)

func ipipKind() *Kind {
	kind := poolKind(IPIP, backend{routes: true, direct: true, v4: true, over4: ipipOverhead, wire: "IPIP", mark: "ip", apart: onlyIPIP}, routeIPIP, "direct-routing")
	kind.passes = protocol4
	return kind
}

func routeIPIP(p *pool, m *poolMember) {
	h := p.out.Hosts[m.server]
	h.Links = append(h.Links, spec.Link{
		Name: p.device, Network: p.name, Kind: spec.IPIP, MTU: p.mtu, Tunnel: &spec.Tunnel{Local: m.addr, TTL: tunnelTTL},
	})
	p.addDeviceAddrs(m)
	p.each(m, func(other *poolMember, q netip.Prefix) {
		h.Routes = append(h.Routes, spec.Route{Dst: q, Via: other.addr, Dev: p.device, Onlink: true, Proto: spec.RouteProto})
	})
}

// onlyIPv4 refuses IPv6 inside or below an IPv4-in-IPv4 network.
func onlyIPv4(c *state.Cluster, n *state.Network) error {
	for _, s := range n.Subnets {
		if s.Addr().Is6() {
			return hint.Errorf("", "leave "+s.String()+" away, or take the type "+VXLANL3, "%s networks carry IPv4 only", n.Type)
		}
	}
	_, six, err := namedFamilies(c, n)
	if err == nil && six {
		err = hint.Errorf("", "name IPv4 addresses, or take the type "+VXLANL3, "%s networks need IPv4 below", n.Type)
	}
	return err
}

// onlyIPIP refuses a second one-to-many device on a server: the kernel could not tell
// their packets apart (linux, ip_tunnel_lookup).
func onlyIPIP(n *state.Network, others map[string]*state.Network) error {
	for _, other := range slices.Sorted(keys(others)) {
		o := others[other]
		if meaning(o) != meaning(n) {
			continue
		}
		for _, m := range n.Members {
			if HasMember(o, ServerOf(m)) {
				return hint.Errorf("server "+ServerOf(m), "take the type "+VXLANL3+", of which a server can have many",
					"%s belongs to the %s network %s: a server belongs to one at a time", ServerOf(m), IPIP, other)
			}
		}
	}
	return nil
}
