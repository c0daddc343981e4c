package network

// HostGW is the kind of a pool network of plain routes: each member is the gateway
// to its own subnet. All stand on one layer 2 segment.
const HostGW = "host-gw"

func hostGWKind() *Kind { return poolKind(HostGW, backend{routes: true, adjacent: true}, routeHostGW) }

func routeHostGW(p *pool, m *poolMember) {
	for _, other := range p.members {
		if other == m {
			continue
		}
		for _, q := range other.routed {
			p.unencapsulated(m, other, q)
		}
	}
}
