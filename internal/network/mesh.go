package network

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/option"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

const (
	wireguardOver4   = 60 // outer IPv4 20, UDP 8, WireGuard header and tag 32
	wireguardOver6   = 80 // outer IPv6 40
	defaultKeepalive = 25 // seconds: NATs forget UDP after 30 (RFC 4787 asks for 120)
)

type mesh struct {
	network   string
	device    string
	subnets   []netip.Prefix
	port      uint16
	mtu       int
	hub       bool
	keepalive int // seconds, on every member; 0: on those behind NAT
	lead      *end
	ends      []*end
	routed    routedBy // for BGP
}

// end is a member's place in a mesh.
type end struct {
	ground.Underlay
	own      []netip.Addr   // one per subnet
	shares   []netip.Prefix // container subnets behind it
	key      string         // public; "" while it is not known
	nat      bool
	endpoint string // HOST:PORT for the others; "": it speaks first
}

// meshDevice names the WireGuard device of a network: wg-NAME, or, where that is
// longer than an interface name may be, its head and a stable mark of the whole.
func meshDevice(network string) string {
	const prefix = "wg-"
	if len(prefix)+len(network) <= spec.IfNameMax {
		return prefix + network
	}
	sum := sha256.Sum256([]byte(network))
	mark := hex.EncodeToString(sum[:2])
	return prefix + network[:spec.IfNameMax-len(prefix)-len(mark)] + mark
}

// encryptedDevice is meshDevice as kinds have it.
func encryptedDevice(name string, _ *state.Network) string { return meshDevice(name) }

// KeyDevice is the WireGuard device that members of a network have; "" in a
// network without one.
func KeyDevice(c *state.Cluster, network string) string {
	if n := c.Networks[network]; n != nil && meaning(n).Encrypted {
		return meshDevice(network)
	}
	return ""
}

// KeyDevices are the WireGuard devices of a server, by network.
func KeyDevices(c *state.Cluster, server string) map[string]string {
	out := map[string]string{}
	for name, n := range c.Networks {
		if meaning(n).Encrypted && n.Allocated[server] != nil {
			out[name] = meshDevice(name)
		}
	}
	return out
}

// meshLead is the member that everybody reaches: the one of a wireguard network
// that was made it, in an l2 network the first that is not behind NAT.
func meshLead(c *state.Cluster, n *state.Network) string {
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

// behindNAT are the members of n that others cannot begin a session with, in the
// order they joined.
func behindNAT(c *state.Cluster, n *state.Network) []string {
	var out []string
	for _, m := range n.Members {
		if s := c.Servers[ground.ServerOf(m)]; s != nil && s.NAT {
			out = append(out, ground.ServerOf(m))
		}
	}
	return out
}

// checkMesh refuses what no mesh can be.
func checkMesh(c *state.Cluster, name string, n *state.Network) error {
	if err := ground.CheckFamily(c, n); err != nil {
		return err
	}
	nat, lead := behindNAT(c, n), meshLead(c, n)
	if len(nat) > 1 && slices.Contains(nat, lead) {
		other := nat[0]
		if other == lead {
			other = nat[1]
		}
		next := "give the network a lead that the others can reach"
		if !meaning(n).Roles {
			next = "flock addnetwork " + name + " SERVER, with one that the others can reach"
		}
		return hint.Errorf("server "+lead, next,
			"%s and %s are both behind NAT, and so is the lead: no member can relay between them", lead, other)
	}
	return nil
}

// fitsMesh says whether addrs are addresses of their own in subnets.
func fitsMesh(subnets []netip.Prefix, addrs []netip.Addr) bool {
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

// ends finds everybody's place in the mesh of n. Own are a member's addresses in
// it.
func (b *builder) ends(n *state.Network, places []ground.Underlay, own func(*state.Allocation) []netip.Addr) ([]*end, error) {
	shares, err := ground.SharesOf(n)
	if err != nil {
		return nil, err
	}
	var out []*end
	for _, u := range places {
		a, s := n.Allocated[u.Server], b.Cluster.Servers[u.Server]
		if a == nil {
			return nil, fmt.Errorf("%s has no addresses: the cluster is not complete", u.Server)
		}
		e := &end{Underlay: u, own: own(a), shares: shares[u.Server], key: a.Key, nat: s.NAT}
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

// wide says whether packets of the mesh may travel over IPv6.
func wide(ends []*end) bool {
	return slices.ContainsFunc(ends, func(e *end) bool {
		host, err := netip.ParseAddrPort(e.endpoint)
		return e.Addr.Is6() || e.endpoint != "" && (err != nil || host.Addr().Is6())
	})
}

// next is the peer that a sends to for b; nil where there is none yet.
func (m *mesh) next(a, b *end) *end {
	relayed := m.hub && a != m.lead && b != m.lead || a.nat && b.nat
	if relayed {
		b = m.lead
	}
	if b == nil || b == a || b.key == "" {
		return nil
	}
	return b
}

// peers are the peers of one member, by key.
func (m *mesh) peers(e *end) []spec.Peer {
	allowed := map[*end][]netip.Prefix{}
	for _, other := range m.ends {
		via := m.next(e, other)
		if other == e || via == nil {
			continue
		}
		if m.hub && via == m.lead && e != m.lead {
			allowed[via] = append(allowed[via], m.subnets...) // whoever joins changes nothing here
		} else {
			for _, a := range other.own {
				allowed[via] = append(allowed[via], netip.PrefixFrom(a, a.BitLen()))
			}
		}
		allowed[via] = append(allowed[via], other.shares...)
		allowed[via] = append(allowed[via], m.routed[[2]string{e.Server, other.Server}]...)
	}
	var out []spec.Peer
	for _, via := range m.ends {
		list := allowed[via]
		if len(list) == 0 {
			continue
		}
		slices.SortFunc(list, netip.Prefix.Compare)
		p := spec.Peer{Link: m.device, Key: via.key, Endpoint: via.endpoint, Allowed: slices.Compact(list), Keepalive: m.keepalive}
		if p.Keepalive == 0 && e.nat {
			p.Keepalive = defaultKeepalive
		}
		out = append(out, p)
	}
	return out
}

// addMesh adds the device, what is reached through it and by whom.
func (b *builder) addMesh(m *mesh) (err error) {
	if m.routed, err = b.routedOver(m.network); err != nil {
		return err
	}
	for _, e := range m.ends {
		h := b.Out.Hosts[e.Server]
		h.Links = append(h.Links, spec.Link{
			Name: m.device, Network: m.network, Kind: spec.WireGuard, MTU: m.mtu, Key: e.key, Port: m.port,
		})
		for i, p := range m.subnets {
			h.Addrs = append(h.Addrs, spec.Addr{Link: m.device, Prefix: netip.PrefixFrom(e.own[i], e.own[i].BitLen())})
			h.Claims = append(h.Claims, spec.Claim{Network: m.network, Prefix: p})
			m.route(h, e, p)
			key := "net/ipv4/ip_forward"
			if p.Addr().Is6() {
				key = "net/ipv6/conf/all/forwarding"
			}
			h.Sysctls = append(h.Sysctls, spec.Sysctl{Key: key, Value: "1"})
		}
		// Also to those who have no peer yet: what is meant to be encrypted must not
		// leave by the default route.
		for _, other := range m.ends {
			if other == e {
				continue
			}
			for _, p := range other.shares {
				m.route(h, e, p)
				h.Claims = append(h.Claims, b.ShareClaim(m.network, other.Server, p))
			}
		}
		for _, p := range e.shares {
			h.Keeps = append(h.Keeps, spec.PreserveSource{Network: m.network, Link: m.device, Subnet: p})
		}
		h.Peers = append(h.Peers, m.peers(e)...)
		h.Forwards = append(h.Forwards, spec.Forward{Network: m.network, Link: m.device})
		h.Claims = append(h.Claims, spec.Claim{Network: m.network, UDPPort: m.port})
	}
	relayed(b.Builder, m)
	return nil
}

// route leads to p through the device, from the member's own address.
func (m *mesh) route(h *spec.Host, e *end, p netip.Prefix) {
	r := spec.Route{Dst: p, Dev: m.device, Proto: spec.RouteProto}
	for _, a := range e.own {
		if a.Is6() == p.Addr().Is6() {
			r.Src = a
		}
	}
	h.Routes = append(h.Routes, r)
}

// relayed notes who reaches whom only through the lead.
func relayed(b *ground.Builder, m *mesh) {
	var nat []string
	for _, e := range m.ends {
		if e.nat {
			nat = append(nat, e.Server)
		}
	}
	if len(nat) > 1 && m.lead != nil && !m.hub {
		b.Note(m.network, "%s are behind NAT and reach each other through %s", strings.Join(nat, ", "), m.lead.Server)
	}
}

// checkPorts refuses networks that would listen on one UDP port of one server.
// VXLAN networks share theirs.
func checkPorts(c *state.Cluster) error {
	type place struct {
		server string
		port   uint16
	}
	type listener struct {
		network string
		vxlan   bool
	}
	on := map[place]listener{}
	for _, name := range c.NetworkNames() {
		n := c.Networks[name]
		var mine []listener
		var ports []uint16
		if meaning(n).Encrypted {
			mine, ports = append(mine, listener{name, false}), append(ports, n.Port)
		}
		if n.VNI != 0 || meaning(n).pool != nil && n.Port != 0 {
			mine, ports = append(mine, listener{name, n.VNI != 0}), append(ports, tunnelPort(n))
		}
		for _, m := range n.Members {
			for i, l := range mine {
				at := place{ground.ServerOf(m), ports[i]}
				if other, taken := on[at]; taken && (!other.vxlan || !l.vxlan) {
					return hint.Errorf("server "+at.server, "create one of them with -p and another port, for example "+strconv.Itoa(int(freePort(c, name))),
						"the networks %s and %s both want UDP port %d of %s", other.network, name, at.port, at.server)
				}
				on[at] = l
			}
		}
	}
	return nil
}

// freePort is the first port from WireGuard's on that no other network has.
func freePort(c *state.Cluster, name string) uint16 {
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
