package network

import (
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/prefix"
	"github.com/flocknet/flock/internal/spec"
)

// VXLANL3 is the kind of a pool network whose packets travel in VXLAN, on the wire as
// flannel's do: one device per member, and for each other member three permanent
// entries, so that nothing is ever asked or learned: a neighbour for the first
// address of its subnet, the forwarding entry of that neighbour's MAC, and an onlink
// route by it.
const VXLANL3 = "vxlan-l3"

const (
	flannelVNI  = 1
	flannelPort = 8472 // linux's default before IANA's (drivers/net/vxlan)
)

func vxlanL3Kind() *Kind {
	kind := poolKind(VXLANL3, backend{
		routes: true, direct: true, port: flannelPort, vni: flannelVNI, over4: overhead4, over6: overhead6, wire: "VXLAN", mark: "vx",
	}, routeVXLANL3, "vni", "gbp", "port", "direct-routing")
	kind.columns = append(kind.columns, "MAC")
	return kind
}

func routeVXLANL3(p *pool, m *poolMember) {
	h := p.out.Hosts[m.server]
	h.Links = append(h.Links, spec.Link{
		Name: p.device, Network: p.name, Kind: spec.VXLAN, MAC: m.mac, MTU: p.mtu,
		Tunnel: &spec.Tunnel{VNI: p.n.VNI, Port: p.n.Port, Local: m.addr, GBP: p.n.GBP, Static: true},
	})
	p.addDeviceAddrs(m)
	h.Routes = slices.Grow(h.Routes, p.routed) // thousands, in large networks
	packed := p.each(m, func(other *poolMember, q netip.Prefix) {
		h.Routes = append(h.Routes, spec.Route{Dst: q, Via: other.ownOf(q.Addr().Is6()).Addr(), Dev: p.device, Onlink: true, Proto: spec.RouteProto})
	})
	h.Neighs = slices.Grow(h.Neighs, len(packed)*len(m.subnets))
	h.FDB = slices.Grow(h.FDB, len(packed))
	for _, other := range packed {
		for _, own := range other.subnets {
			h.Neighs = append(h.Neighs, spec.Neigh{Link: p.device, IP: own.Addr(), MAC: other.mac})
		}
		h.FDB = append(h.FDB, spec.FDB{Link: p.device, MAC: other.mac, Dst: other.addr})
	}
}

// addDeviceAddrs gives m's device the first address of its subnets, alone: what the
// server itself sends to the others' containers comes from there.
func (p *pool) addDeviceAddrs(m *poolMember) {
	h := p.out.Hosts[m.server]
	v6 := false
	for _, own := range m.subnets {
		v6 = v6 || own.Addr().Is6()
		h.Addrs = append(h.Addrs, spec.Addr{Link: p.device, Prefix: prefix.Alone(own.Addr())})
	}
	conf := "net/ipv6/conf/" + p.device + "/"
	if !v6 {
		// The device speaks no IPv6 of its own: no solicitations, no listener reports.
		h.Sysctls = append(h.Sysctls, spec.Sysctl{Key: conf + "disable_ipv6", Value: "1", Link: p.device})
		return
	}
	for key, value := range map[string]string{"disable_ipv6": "0", "accept_dad": "0", "accept_ra": "0"} {
		h.Sysctls = append(h.Sysctls, spec.Sysctl{Key: conf + key, Value: value, Link: p.device})
	}
}
