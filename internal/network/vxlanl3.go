package network

import (
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/pool"
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
	kind := poolKind(VXLANL3, pool.Backend{
		Routes: true, Direct: true, Port: flannelPort, VNI: flannelVNI, Over4: overhead4, Over6: overhead6, Wire: "VXLAN", Mark: "vx",
	}, routeVXLANL3, "vni", "gbp", "port", "direct-routing")
	kind.columns = append(kind.columns, "MAC")
	return kind
}

func routeVXLANL3(p *pool.Pool, m *pool.Member) {
	h := p.Out.Hosts[m.Server]
	h.Links = append(h.Links, spec.Link{
		Name: p.Device, Network: p.Name, Kind: spec.VXLAN, MAC: m.MAC, MTU: p.MTU,
		Tunnel: &spec.Tunnel{VNI: p.N.VNI, Port: p.N.Port, Local: m.Addr, GBP: p.N.GBP, Static: true},
	})
	p.AddDeviceAddrs(m)
	h.Routes = slices.Grow(h.Routes, p.Routed) // thousands, in large networks
	packed := p.Each(m, func(other *pool.Member, q netip.Prefix) {
		h.Routes = append(h.Routes, spec.Route{Dst: q, Via: other.OwnOf(q.Addr().Is6()).Addr(), Dev: p.Device, Onlink: true, Proto: spec.RouteProto})
	})
	h.Neighs = slices.Grow(h.Neighs, len(packed)*len(m.Subnets))
	h.FDB = slices.Grow(h.FDB, len(packed))
	for _, other := range packed {
		for _, own := range other.Subnets {
			h.Neighs = append(h.Neighs, spec.Neigh{Link: p.Device, IP: own.Addr(), MAC: other.MAC})
		}
		h.FDB = append(h.FDB, spec.FDB{Link: p.Device, MAC: other.MAC, Dst: other.Addr})
	}
}
