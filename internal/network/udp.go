package network

import (
	"net/netip"

	"github.com/flocknet/flock/internal/pool"
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
	return poolKind(UDP, pool.Backend{Routes: true, Port: udpPort, Over4: udpOverhead4, Over6: udpOverhead6, Wire: "UDP", Mark: "udp"}, routeUDP, "port")
}

func routeUDP(p *pool.Pool, m *pool.Member) {
	h := p.Out.Hosts[m.Server]
	h.Links = append(h.Links, spec.Link{
		Name: p.Device, Network: p.Name, Kind: spec.UDP, MTU: p.MTU, Tunnel: &spec.Tunnel{Port: p.N.Port, Local: m.Addr},
	})
	p.AddDeviceAddrs(m)
	packed := p.Each(m, func(_ *pool.Member, q netip.Prefix) {
		h.Routes = append(h.Routes, spec.Route{Dst: q, Dev: p.Device, Proto: spec.RouteProto})
	})
	for _, other := range packed {
		h.Members = append(h.Members, spec.Member{Link: p.Device, Addr: other.Addr, Subnets: other.Routed})
	}
}
