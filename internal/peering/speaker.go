package peering

import (
	"crypto/sha256"
	"fmt"
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// routerID is a member's IPv4 address in the underlay or, without one, an address
// that nobody has, made of its number in the network.
func routerID(cluster, network string, u ground.Underlay, a *state.Allocation) netip.Addr {
	if u.Addr.Is4() {
		return u.Addr
	}
	sum := sha256.Sum256([]byte(cluster + "/" + network))
	return netip.AddrFrom4([4]byte{245, sum[0], byte(a.ID >> 8), byte(a.ID)})
}

// Speaker is a member of a BGP network.
type Speaker struct {
	ground.Underlay
	Other  netip.Addr     // its address of the other family on that device; invalid: none
	Within []netip.Prefix // what it reaches there without a router
	Over   string         // the overlay network whose address it has; "": the underlay
	Shares []netip.Prefix
}

func (s *Speaker) addrOf(v6 bool) netip.Addr {
	for _, a := range []netip.Addr{s.Addr, s.Other} {
		if a.IsValid() && a.Is6() == v6 {
			return a
		}
	}
	return netip.Addr{}
}

// Group are the speakers of a network, and what is between them.
type Group struct {
	Network string
	All     []*Speaker
	Anycast []netip.Prefix          // what several may share
	V6      map[bool]bool           // the families of what is shared
	At      func(netip.Addr) string // the member that has an address; "": none
	Reach   []netip.Prefix          // where packets of shared subnets go with their own source
}

// families are the families of sessions, true for IPv6: that of the underlay, and
// the other where it is shared, for a route's next hop is of its own family. But
// sessions over IPv6 carry IPv4 as well (RFC 8950) where not all members have that.
func (g *Group) families() []bool {
	base := g.All[0].Addr.Is6()
	has4 := func(s *Speaker) bool { return s.addrOf(false).IsValid() }
	if !g.V6[!base] || base && slices.ContainsFunc(g.All, func(s *Speaker) bool { return !has4(s) }) {
		return []bool{base}
	}
	return []bool{base, !base}
}

func (s *Speaker) reaches(a netip.Addr) bool {
	return slices.ContainsFunc(s.Within, func(p netip.Prefix) bool { return p.Contains(a) })
}

// ApartNotes says who cannot be another's next hop: a route's gateway must be on
// the same segment, and a router between does not know the container subnets,
// unless it is told of them by BGP itself.
func ApartNotes(b *ground.Builder, name string, n *state.Network, speakers []*Speaker) {
	var seen []*Speaker
	for _, s := range speakers {
		if hasRouter(n, s.Server) {
			continue
		}
		if slices.ContainsFunc(seen, func(o *Speaker) bool { return o.reaches(s.Addr) && s.reaches(o.Addr) }) {
			continue
		}
		if len(seen) > 0 {
			b.Note(name, "%s (%s) and %s (%s) are on no common segment: no routes between them, unless routers of both are told, flock addbgp %s external SERVER PEERIP --as ASN, or a wireguard network carries them, flock addbgp %s peer SERVER:OVERLAYIP",
				seen[0].Server, seen[0].Addr, s.Server, s.Addr, name, name)
		}
		seen = append(seen, s)
	}
}

// hasRouter says whether server talks to a router of another AS.
func hasRouter(n *state.Network, server string) bool {
	return slices.ContainsFunc(n.Externals, func(e state.External) bool { return e.Server == server && e.AS != n.AS })
}

// Add adds what a member of a BGP network must look like.
func Add(b *ground.Builder, g *Group, n *state.Network, s *Speaker) error {
	name := g.Network
	h, a := b.Out.Hosts[s.Server], n.Allocated[s.Server]
	if a == nil {
		return fmt.Errorf("%s has no id: the cluster is not complete", s.Server)
	}
	bgp := &spec.BGP{Network: name, AS: n.AS, RouterID: routerID(b.Cluster.Name, ground.BornNetwork(b.Cluster, name), s.Underlay, a), Hold: n.Hold}
	for _, p := range s.Shares {
		if slices.Contains(n.Anycast, p) {
			bgp.Anycast = append(bgp.Anycast, p)
		} else {
			bgp.Prefixes = append(bgp.Prefixes, p)
		}
	}
	if reflects(n, s.Server) {
		// Each a cluster of its own, as RFC 4456 has it by default: of one cluster, a
		// reflector that prefers another's path to a client's own (GoBGP does not look
		// at the cluster list's length) would tell its clients nothing.
		bgp.ClusterID = bgp.RouterID
	}
	bgp.Neighbors, bgp.Forced = g.neighbors(n, s), forcedRules(n)
	for _, e := range n.Externals {
		if e.Server == s.Server {
			neighbor, err := external(b, g, n, s, e)
			if err != nil {
				b.Problem(s.Server, name, err)
				continue
			}
			bgp.Neighbors = append(bgp.Neighbors, neighbor)
			bgp.Own = own(b, n, s.Server)
		}
	}
	for _, p := range s.Shares {
		if p.Addr().Is6() && !s.addrOf(true).IsValid() {
			b.Problem(s.Server, name, hint.Errorf("server "+s.Server, "give "+s.Server+" an IPv6 address on "+s.Dev+", or flock delbgp "+name+" network "+s.Server+":"+p.String(),
				"%s shares %s and has no IPv6 address on %s that others could route to", s.Server, p, s.Dev))
		}
	}
	h.BGP = bgp
	if slices.ContainsFunc(bgp.Neighbors, func(o spec.BGPNeighbor) bool { return o.BFD != 0 }) {
		h.Claims = append(h.Claims, spec.Claim{Network: name, UDPPort: spec.BFDPort})
	}
	addRouting(b, g, h, s)
	return nil
}

// addRouting adds what lets packets of shared subnets through a server.
func addRouting(b *ground.Builder, g *Group, h *spec.Host, s *Speaker) {
	name := g.Network
	for six, key := range map[bool]string{false: "net/ipv4/ip_forward", true: "net/ipv6/conf/all/forwarding"} {
		if g.V6[six] {
			h.Sysctls = append(h.Sysctls, spec.Sysctl{Key: key, Value: "1"})
		}
	}
	for _, p := range s.Shares {
		to := slices.DeleteFunc(slices.Clone(g.Reach), func(q netip.Prefix) bool { return q.Addr().Is6() != p.Addr().Is6() })
		h.Keeps = append(h.Keeps, spec.PreserveSource{Network: name, Subnet: p, To: to})
		h.Forwards = append(h.Forwards, spec.Forward{Network: name, Subnet: p})
	}
	for _, other := range g.All {
		if other == s {
			continue
		}
		for _, p := range other.Shares {
			if slices.Contains(g.Anycast, p) {
				continue // this one may have it too
			}
			h.Claims = append(h.Claims, b.ShareClaim(name, other.Server, p))
		}
	}
	h.Claims = append(h.Claims, spec.Claim{Network: name, TCPPort: spec.BGPPort})
}

// own is what no router outside may announce: the network's shared subnets, and the
// subnets of the server's own interfaces.
func own(b *ground.Builder, n *state.Network, server string) []netip.Prefix {
	out := append(SharedSubnets(n), b.Connected(server, "")...)
	if p := b.Cluster.Servers[server].Subnet; p.IsValid() {
		out = append(out, p.Masked())
	}
	for _, name := range ground.Networks(b.Cluster, server) {
		out = append(append(out, b.Cluster.Networks[name].Subnets...), b.Cluster.Networks[name].More...)
		if m := b.Cluster.Networks[name].Mesh; m.IsValid() {
			out = append(out, m)
		}
	}
	slices.SortFunc(out, netip.Prefix.Compare)
	return slices.Compact(out)
}
