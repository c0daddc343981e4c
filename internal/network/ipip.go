package network

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/iptunnel"
	"github.com/flocknet/flock/internal/pool"
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
	kind := poolKind(IPIP, pool.Backend{Routes: true, Direct: true, V4: true, Over4: ipipOverhead, Wire: "IPIP", Mark: "ip", Apart: onlyIPIP}, routeIPIP, "direct-routing")
	kind.passes = protocol4
	return kind
}

func routeIPIP(p *pool.Pool, m *pool.Member) {
	h := p.Out.Hosts[m.Server]
	h.Links = append(h.Links, spec.Link{
		Name: p.Device, Network: p.Name, Kind: spec.IPIP, MTU: p.MTU, Tunnel: &spec.Tunnel{Local: m.Addr, TTL: iptunnel.TTL},
	})
	p.AddDeviceAddrs(m)
	p.Each(m, func(other *pool.Member, q netip.Prefix) {
		h.Routes = append(h.Routes, spec.Route{Dst: q, Via: other.Addr, Dev: p.Device, Onlink: true, Proto: spec.RouteProto})
	})
}

// onlyIPv4 refuses IPv6 inside or below an IPv4-in-IPv4 network.
func onlyIPv4(c *state.Cluster, n *state.Network) error {
	for _, s := range n.Subnets {
		if s.Addr().Is6() {
			return hint.Errorf("", "leave "+s.String()+" away, or take the type "+VXLANL3, "%s networks carry IPv4 only", n.Type)
		}
	}
	_, six, err := ground.NamedFamilies(c, n)
	if err == nil && six {
		err = hint.Errorf("", "name IPv4 addresses, or take the type "+VXLANL3, "%s networks need IPv4 below", n.Type)
	}
	return err
}

// onlyIPIP refuses a second one-to-many device on a server: the kernel could not tell
// their packets apart (linux, ip_tunnel_lookup).
func onlyIPIP(n *state.Network, others map[string]*state.Network) error {
	for _, other := range slices.Sorted(maps.Keys(others)) {
		o := others[other]
		if meaning(o) != meaning(n) {
			continue
		}
		for _, m := range n.Members {
			if ground.HasMember(o, ground.ServerOf(m)) {
				return hint.Errorf("server "+ground.ServerOf(m), "take the type "+VXLANL3+", of which a server can have many",
					"%s belongs to the %s network %s: a server belongs to one at a time", ground.ServerOf(m), IPIP, other)
			}
		}
	}
	return nil
}
