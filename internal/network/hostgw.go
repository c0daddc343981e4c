package network

import "github.com/flocknet/flock/internal/pool"

// HostGW is the kind of a pool network of plain routes: each member is the gateway
// to its own subnet. All stand on one layer 2 segment.
const HostGW = "host-gw"

func hostGWKind() *Kind {
	return poolKind(HostGW, pool.Backend{Routes: true, Adjacent: true}, routeHostGW)
}

func routeHostGW(p *pool.Pool, m *pool.Member) {
	for _, other := range p.Members {
		if other == m {
			continue
		}
		for _, q := range other.Routed {
			p.Unencapsulated(m, other, q)
		}
	}
}
