package iptunnel

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/mesh"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

const (
	// TTL is the outer header's, unless a tunnel has another. The inner packet's own (the
	// kernel's default) would let BGP's and others' packets with a TTL of 1 die at the
	// first router of the underlay.
	TTL     = 64
	greOver = 4  // RFC 2784
	keyOver = 4  // RFC 2890
	ip4Over = 20 // outer headers
	ip6Over = 40
)

// Device names the device of a tunnel: as the tunnel or, where that is longer
// than an interface name may be, its head and a stable mark of the whole.
func Device(name string) string {
	if len(name) <= spec.IfNameMax {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	mark := hex.EncodeToString(sum[:2])
	return name[:spec.IfNameMax-len(mark)-1] + "-" + mark
}

// OuterTTL is the TTL, or hop limit, of the packets that carry n's.
func OuterTTL(n *state.Network) uint8 { return cmp.Or(n.TTL, TTL) }

// Overhead is what a tunnel takes of every packet, in bytes.
func (s Sort) Overhead(n *state.Network, v6 bool) int {
	over := ip4Over
	if v6 {
		over = ip6Over
	}
	if s.GRE {
		over += greOver
	}
	if n.Key != 0 {
		over += keyOver
	}
	return over
}

// Add adds one end's device, its addresses, and routes to what is behind
// the other.
func Add(b *ground.Builder, name string, n *state.Network, e, other *mesh.End, mtu int) {
	h, device := b.Out.Hosts[e.Server], Device(name)
	kind := map[string]string{GRE: spec.GRE, IPIP: spec.IPIP}[n.Type]
	if e.Addr.Is6() {
		kind = spec.IP6GRE
	}
	h.Links = append(h.Links, spec.Link{
		Name: device, Network: name, Kind: kind, MTU: mtu,
		Tunnel: &spec.Tunnel{Local: e.Addr, Remote: other.Addr, Key: n.Key, TTL: OuterTTL(n)},
	})
	for i, p := range n.Subnets {
		h.Addrs = append(h.Addrs, spec.Addr{Link: device, Prefix: netip.PrefixFrom(e.Own[i], p.Bits())})
		h.Claims = append(h.Claims, spec.Claim{Network: name, Prefix: p})
		h.Sysctls = append(h.Sysctls, forwarding(p))
	}
	h.Sysctls = append(h.Sysctls, ipv6(n, device)...)
	m := &mesh.Mesh{Device: device}
	for _, p := range other.Shares {
		m.Route(h, e, p)
		h.Claims = append(h.Claims, b.ShareClaim(name, other.Server, p))
	}
	for _, p := range e.Shares {
		h.Keeps = append(h.Keeps, spec.PreserveSource{Network: name, Link: device, Subnet: p})
	}
	h.Forwards = append(h.Forwards, spec.Forward{Network: name, Link: device})
}

// ipv6 switches IPv6 off on the device of a tunnel that has no IPv6 subnet, and
// router advertisements on any other.
func ipv6(n *state.Network, device string) []spec.Sysctl {
	key := "net/ipv6/conf/" + device + "/"
	if !slices.ContainsFunc(n.Subnets, func(p netip.Prefix) bool { return p.Addr().Is6() }) {
		return []spec.Sysctl{{Key: key + "disable_ipv6", Value: "1", Link: device}}
	}
	return []spec.Sysctl{{Key: key + "accept_ra", Value: "0", Link: device}, {Key: key + "disable_ipv6", Value: "0", Link: device}}
}

// forwarding lets a server pass packets of p's family on.
func forwarding(p netip.Prefix) spec.Sysctl {
	key := "net/ipv4/ip_forward"
	if p.Addr().Is6() {
		key = "net/ipv6/conf/all/forwarding"
	}
	return spec.Sysctl{Key: key, Value: "1"}
}
