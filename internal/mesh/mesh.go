package mesh

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/option"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// What WireGuard takes of every packet, in bytes.
const (
	Over4 = 60 // outer IPv4 20, UDP 8, WireGuard header and tag 32
	Over6 = 80 // outer IPv6 40
)

// defaultKeepalive is in seconds: NATs forget UDP after 30 (RFC 4787 asks for 120).
const defaultKeepalive = 25

// RoutedBy lists the prefixes that BGP networks route over a WireGuard network, by server
// and the other end. WireGuard needs them as allowed addresses of the peer.
type RoutedBy map[[2]string][]netip.Prefix

// Mesh is the mesh of a network while it is compiled.
type Mesh struct {
	Network   string
	Device    string
	Subnets   []netip.Prefix
	Port      uint16
	MTU       int
	Hub       bool
	Keepalive int // seconds, on every member; 0: on those behind NAT
	lead      *End
	Ends      []*End
	Routed    RoutedBy // for BGP
}

// End is a member's place in a mesh.
type End struct {
	ground.Underlay
	Own      []netip.Addr   // one per subnet
	Shares   []netip.Prefix // container subnets behind it
	Key      string         // public; "" while it is not known
	nat      bool
	endpoint string // HOST:PORT for the others; "": it speaks first
}

// Device names the WireGuard device of a network: wg-NAME, or, where that is
// longer than an interface name may be, its head and a stable mark of the whole.
func Device(network string) string {
	const prefix = "wg-"
	if len(prefix)+len(network) <= spec.IfNameMax {
		return prefix + network
	}
	sum := sha256.Sum256([]byte(network))
	mark := hex.EncodeToString(sum[:2])
	return prefix + network[:spec.IfNameMax-len(prefix)-len(mark)] + mark
}

// Lead is the member that everybody reaches: the one of a wireguard network
// that was made it, in an l2 network the first that is not behind NAT.
func Lead(c *state.Cluster, n *state.Network) string {
	if n.Lead != "" || len(n.Members) == 0 {
		return n.Lead
	}
	for _, m := range n.Members {
		if s := c.Servers[ground.ServerOf(m)]; s != nil && !s.NAT {
			return ground.ServerOf(m)
		}
	}
	return ground.ServerOf(n.Members[0])
}

// BehindNAT are the members of n that others cannot begin a session with, in the
// order they joined.
func BehindNAT(c *state.Cluster, n *state.Network) []string {
	var out []string
	for _, m := range n.Members {
		if s := c.Servers[ground.ServerOf(m)]; s != nil && s.NAT {
			out = append(out, ground.ServerOf(m))
		}
	}
	return out
}

// Fits says whether addrs are addresses of their own in subnets.
func Fits(subnets []netip.Prefix, addrs []netip.Addr) bool {
	if len(addrs) != len(subnets) {
		return false
	}
	for i, p := range subnets {
		if !p.Contains(addrs[i]) || addrs[i] == p.Addr() {
			return false
		}
	}
	return true
}

// Ends finds everybody's place in the mesh of n. Own are a member's addresses in
// it.
func Ends(b *ground.Builder, n *state.Network, places []ground.Underlay, own func(*state.Allocation) []netip.Addr) ([]*End, error) {
	shares, err := ground.SharesOf(n)
	if err != nil {
		return nil, err
	}
	var out []*End
	for _, u := range places {
		a, s := n.Allocated[u.Server], b.Cluster.Servers[u.Server]
		if a == nil {
			return nil, fmt.Errorf("%s has no addresses: the cluster is not complete", u.Server)
		}
		e := &End{Underlay: u, Own: own(a), Shares: shares[u.Server], Key: a.Key, nat: s.NAT}
		switch {
		case s.NAT:
		case s.Endpoint != "":
			e.endpoint = option.WithPort(s.Endpoint, n.Port)
		default:
			e.endpoint = netip.AddrPortFrom(u.Addr, n.Port).String()
		}
		out = append(out, e)
	}
	return out, nil
}

// Wide says whether packets of the mesh may travel over IPv6.
func Wide(ends []*End) bool {
	return slices.ContainsFunc(ends, func(e *End) bool {
		host, err := netip.ParseAddrPort(e.endpoint)
		return e.Addr.Is6() || e.endpoint != "" && (err != nil || host.Addr().Is6())
	})
}

// next is the peer that a sends to for b; nil where there is none yet.
func (m *Mesh) next(a, b *End) *End {
	relayed := m.Hub && a != m.lead && b != m.lead || a.nat && b.nat
	if relayed {
		b = m.lead
	}
	if b == nil || b == a || b.Key == "" {
		return nil
	}
	return b
}

// peers are the peers of one member, by key.
func (m *Mesh) peers(e *End) []spec.Peer {
	allowed := map[*End][]netip.Prefix{}
	for _, other := range m.Ends {
		via := m.next(e, other)
		if other == e || via == nil {
			continue
		}
		if m.Hub && via == m.lead && e != m.lead {
			allowed[via] = append(allowed[via], m.Subnets...) // whoever joins changes nothing here
		} else {
			for _, a := range other.Own {
				allowed[via] = append(allowed[via], netip.PrefixFrom(a, a.BitLen()))
			}
		}
		allowed[via] = append(allowed[via], other.Shares...)
		allowed[via] = append(allowed[via], m.Routed[[2]string{e.Server, other.Server}]...)
	}
	var out []spec.Peer
	for _, via := range m.Ends {
		list := allowed[via]
		if len(list) == 0 {
			continue
		}
		slices.SortFunc(list, netip.Prefix.Compare)
		p := spec.Peer{Link: m.Device, Key: via.Key, Endpoint: via.endpoint, Allowed: slices.Compact(list), Keepalive: m.Keepalive}
		if p.Keepalive == 0 && e.nat {
			p.Keepalive = defaultKeepalive
		}
		out = append(out, p)
	}
	return out
}

// Add adds the device to the members of a mesh, what is reached through it and by whom.
func Add(b *ground.Builder, m *Mesh) {
	for _, e := range m.Ends {
		h := b.Out.Hosts[e.Server]
		h.Links = append(h.Links, spec.Link{
			Name: m.Device, Network: m.Network, Kind: spec.WireGuard, MTU: m.MTU, Key: e.Key, Port: m.Port,
		})
		for i, p := range m.Subnets {
			h.Addrs = append(h.Addrs, spec.Addr{Link: m.Device, Prefix: netip.PrefixFrom(e.Own[i], e.Own[i].BitLen())})
			h.Claims = append(h.Claims, spec.Claim{Network: m.Network, Prefix: p})
			m.Route(h, e, p)
			key := "net/ipv4/ip_forward"
			if p.Addr().Is6() {
				key = "net/ipv6/conf/all/forwarding"
			}
			h.Sysctls = append(h.Sysctls, spec.Sysctl{Key: key, Value: "1"})
		}
		// Also to those who have no peer yet: what is meant to be encrypted must not
		// leave by the default route.
		for _, other := range m.Ends {
			if other == e {
				continue
			}
			for _, p := range other.Shares {
				m.Route(h, e, p)
				h.Claims = append(h.Claims, b.ShareClaim(m.Network, other.Server, p))
			}
		}
		for _, p := range e.Shares {
			h.Keeps = append(h.Keeps, spec.PreserveSource{Network: m.Network, Link: m.Device, Subnet: p})
		}
		h.Peers = append(h.Peers, m.peers(e)...)
		h.Forwards = append(h.Forwards, spec.Forward{Network: m.Network, Link: m.Device})
		h.Claims = append(h.Claims, spec.Claim{Network: m.Network, UDPPort: m.Port})
	}
	relayed(b, m)
}

// Route leads to p through the device, from the member's own address.
func (m *Mesh) Route(h *spec.Host, e *End, p netip.Prefix) {
	r := spec.Route{Dst: p, Dev: m.Device, Proto: spec.RouteProto}
	for _, a := range e.Own {
		if a.Is6() == p.Addr().Is6() {
			r.Src = a
		}
	}
	h.Routes = append(h.Routes, r)
}

// relayed notes who reaches whom only through the lead.
func relayed(b *ground.Builder, m *Mesh) {
	var nat []string
	for _, e := range m.Ends {
		if e.nat {
			nat = append(nat, e.Server)
		}
	}
	if len(nat) > 1 && m.lead != nil && !m.Hub {
		b.Note(m.Network, "%s are behind NAT and reach each other through %s", strings.Join(nat, ", "), m.lead.Server)
	}
}

// FreePort is the first port from WireGuard's on that no other network has.
func FreePort(c *state.Cluster, name string) uint16 {
	taken := map[uint16]bool{}
	for _, n := range ground.OtherNetworks(c, name) {
		taken[n.Port] = true
	}
	port := uint16(option.WireGuardPort)
	for taken[port] {
		port++
	}
	return port
}

// FindLead makes the end of a server the lead, if it has one.
func (m *Mesh) FindLead(server string) {
	if at := slices.IndexFunc(m.Ends, func(e *End) bool { return e.Server == server }); at >= 0 {
		m.lead = m.Ends[at]
	}
}
