package network

import (
	"net/netip"

	"github.com/flocknet/flock/internal/spec"
)

// UDP is the kind of a pool network whose packets travel in UDP as they are, by a TUN
// device and a process that serves it: for debugging, and for kernels without VXLAN.
const UDP = "udp"

const (
	udpPort      = 8285 // flannel's
	udpOverhead4 = 28   // bytes: outer IPv4 20, UDP 8
	udpOverhead6 = 48   // outer IPv6 40
)

func udpKind() *Kind {
	return poolKind(UDP, backend{routes: true, port: udpPort, over4: udpOverhead4, over6: udpOverhead6, wire: "UDP", mark: "udp"}, routeUDP, "port")
}

func routeUDP(p *pool, m *poolMember) {
	h := p.out.Hosts[m.server]
	h.Links = append(h.Links, spec.Link{
		Name: p.device, Network: p.name, Kind: spec.UDP, MTU: p.mtu, Tunnel: &spec.Tunnel{Port: p.n.Port, Local: m.addr},
	})
	p.addDeviceAddrs(m)
	packed := p.each(m, func(_ *poolMember, q netip.Prefix) {
		h.Routes = append(h.Routes, spec.Route{Dst: q, Dev: p.device, Proto: spec.RouteProto})
	})
	for _, other := range packed {
		h.Members = append(h.Members, spec.Member{Link: p.device, Addr: other.addr, Subnets: other.routed})
	}
}
