package network

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/mesh"
	"github.com/flocknet/flock/internal/option"
	"github.com/flocknet/flock/internal/prefix"
	"github.com/flocknet/flock/internal/segment"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// Types of tunnels. A tunnel is a network of two members, its ends, each with an
// address of one small subnet; what they share is routed through it.
const (
	GRE  = "gre"  // over IPv4 or IPv6, carries both
	IPIP = "ipip" // IPv4 in IPv4; also a kind of pool network (ipip.go)
)

// TunnelTypes are the types that a tunnel can have.
func TunnelTypes() []string { return namesOf(func(k *Kind) bool { return k.Tunnel }) }

const (
	// tunnelTTL is the outer header's. The inner packet's own (the kernel's default)
	// would let BGP's and others' packets with a TTL of 1 die at the first router of
	// the underlay.
	tunnelTTL = 64
	greOver   = 4  // RFC 2784
	keyOver   = 4  // RFC 2890
	ip4Over   = 20 // outer headers
	ip6Over   = 40
)

// tunnelCommands are those of tunnels, which have the same two ends for good.
var tunnelCommands = commands{leave: "flock deltunnel NAME", remove: "flock deltunnel NAME", unshare: "flock delnetwork NAME subnet SHARE"}

func greKind() *Kind        { return tunnelKind(GRE, "GRE", "IP protocol 47") }
func ipipTunnelKind() *Kind { return tunnelKind(IPIP, "IPIP", protocol4) }

// tunnelKind is the kind of the tunnels of a type.
func tunnelKind(name, wire, passes string) *Kind {
	return &Kind{
		Name: name, wire: wire, passes: passes, takes: []string{"subnet", "mtu", "shares", "tunnel", "key", "ttl"}, Tunnel: true,
		lacks:   []lack{{[]string{"port", "interface"}, "leave away: port, interface", "a tunnel has neither a port nor an interface of its own"}},
		Command: "flock addtunnel " + name + " SERVER1 SERVER2", columns: []string{"ADDRESS", "SHARED"}, space: &ground.TunnelSpace, commands: tunnelCommands,
		WithoutRole: func(n *state.Network, _, name, _ string) error { return twoEnds(n, name) }, NoRole: twoEnds,
		device: func(name string, _ *state.Network) string { return tunnelDevice(name) },
		overlays: func(name string, n *state.Network, server string) []ground.Overlay {
			return []ground.Overlay{{Network: name, Dev: tunnelDevice(name), Addrs: n.Allocated[server].Addrs, Within: n.Subnets}}
		},
		probe: func(p *pairs, from, to string) (spec.Probe, bool) {
			return between(tunnelDevice(p.name), p.n.Allocated[from].Addrs, p.n.Allocated[to].Addrs, "")
		},
		complete: completeTunnel, allocate: allocateTunnel, fits: fitsTunnel, compile: compileTunnel,
	}
}

// twoEnds refuses to add an end to a tunnel, or to remove one.
func twoEnds(n *state.Network, name string) error {
	if len(n.Members) != 2 {
		return ground.OfNetwork(name, checkTunnelEnds(nil, name, n))
	}
	a, b := ground.ServerOf(n.Members[0]), ground.ServerOf(n.Members[1])
	return hint.Errorf("tunnel "+name, "flock addnetwork "+name+" subnet SERVER:CIDR, flock deltunnel "+name+", or another tunnel: flock addtunnel "+n.Type+" SERVER1 SERVER2",
		"%s is a tunnel between %s and %s: it has these two ends for good", name, a, b)
}

func completeTunnel(c *state.Cluster, name string, n *state.Network) error {
	n.Tunnel = true
	if len(n.Subnets) == 0 {
		p, err := ground.FreeSubnet(c, ground.TunnelSpace)
		if err != nil {
			return err
		}
		n.Subnets = []netip.Prefix{p}
	}
	for _, check := range []func(*state.Cluster, string, *state.Network) error{checkTunnelEnds, checkTunnelSubnets, checkTunnelDevice, checkDuplicates} {
		if err := check(c, name, n); err != nil {
			return err
		}
	}
	return checkMTU(n)
}

func checkTunnelEnds(c *state.Cluster, _ string, n *state.Network) error {
	if len(n.Members) != 2 {
		return hint.Errorf("", "give it two members", "a tunnel has two ends, this one has %d", len(n.Members))
	}
	a, b := ground.ServerOf(n.Members[0]), ground.ServerOf(n.Members[1])
	if a == b {
		return hint.Errorf("server "+a, "name two servers", "a tunnel from %s to itself connects nothing", a)
	}
	if n.Type == IPIP && n.Key != 0 {
		return hint.Errorf("", "flock addtunnel gre "+a+" "+b, "an %s tunnel has no key: GRE has", IPIP)
	}
	_, six, err := ground.NamedFamilies(c, n)
	if err != nil {
		return err
	}
	if six && n.Type == IPIP {
		return hint.Errorf("", "flock addtunnel gre "+a+" "+b, "an %s tunnel has no IPv6 ends: it is IPv4 in IPv4", IPIP)
	}
	return ground.CheckFamily(c, n)
}

func checkTunnelSubnets(c *state.Cluster, _ string, n *state.Network) error {
	families := map[bool]bool{}
	for _, p := range n.Subnets {
		a := p.Addr()
		if err := ground.HostBits(p, netip.Prefix.String); err != nil {
			return hint.Pin(err, "subnet")
		}
		switch next := "two addresses of a private subnet" + ground.TunnelSpace.ExampleEnds(c, p); {
		case a.Is4In6() || a.IsMulticast() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsUnspecified() || p.Bits() == 0:
			return hint.Errorf("subnet", next, "%s cannot be given to the ends of a tunnel", p)
		case p.Bits() == a.BitLen():
			return hint.Errorf("subnet", next, "%s has no room for two ends", p)
		case families[a.Is6()]:
			return hint.Errorf("", "one subnet for IPv4 and one for IPv6", "two %s subnets", ground.FamilyName(a.Is6()))
		case a.Is6() && n.Type == IPIP:
			return hint.Errorf("", "a "+GRE+" tunnel carries both families", "an %s tunnel carries no IPv6", IPIP)
		}
		families[a.Is6()] = true
	}
	return nil
}

// moduleDevices are the devices that the kernel's tunnel modules make by themselves
// in every network namespace.
var moduleDevices = []string{"gre0", "gretap0", "erspan0", "ip6gre0", "ip6gretap0", "ip6erspan0", "tunl0", "ip6tnl0", "sit0", "ip_vti0", "ip6_vti0"}

func checkTunnelDevice(c *state.Cluster, name string, n *state.Network) error {
	device := tunnelDevice(name)
	if slices.Contains(moduleDevices, device) || option.CheckIfName("", device) != nil || device == segment.SubnetBridge {
		return hint.Errorf("", "--name with another name", "%s is the name of a device that servers have anyway", device)
	}
	for other, o := range ground.OtherNetworks(c, name) {
		if !slices.Contains(devicesOf(other, o), device) {
			continue
		}
		for _, m := range n.Members {
			if ground.HasMember(o, ground.ServerOf(m)) {
				return hint.Errorf("", "--name with another name", "the device %s is network %s's on %s", device, other, ground.ServerOf(m))
			}
		}
	}
	return nil
}

// TunnelDevice is the device of the tunnel called name, on both its ends.
func TunnelDevice(name string) string { return tunnelDevice(name) }

// OuterTTL is the TTL, or hop limit, of the packets that carry n's.
func OuterTTL(n *state.Network) uint8 { return cmp.Or(n.TTL, tunnelTTL) }

// tunnelDevice names the device of a tunnel: as the tunnel or, where that is longer
// than an interface name may be, its head and a stable mark of the whole.
func tunnelDevice(name string) string {
	if len(name) <= spec.IfNameMax {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	mark := hex.EncodeToString(sum[:2])
	return name[:spec.IfNameMax-len(mark)-1] + "-" + mark
}

// checkDuplicates refuses tunnels between the same ends that the kernel could not tell
// apart, as far as the file says where they end. The rest is duplicateOf'.
func checkDuplicates(c *state.Cluster, name string, n *state.Network) error {
	mine, err := endWishes(c, n)
	if err != nil {
		return err
	}
	for other, o := range ground.OtherNetworks(c, name) {
		if meaning(o) != meaning(n) || o.Key != n.Key || len(o.Members) != 2 {
			continue
		}
		theirs, err := endWishes(c, o)
		if err != nil {
			return err
		}
		if mine == theirs || mine == [2]state.Member{theirs[1], theirs[0]} {
			return duplicate(n, other)
		}
	}
	return nil
}

func endWishes(c *state.Cluster, n *state.Network) (out [2]state.Member, err error) {
	for i := range out {
		if out[i], err = ground.Wish(c, n, n.Members[i]); err != nil {
			return out, err
		}
	}
	return out, nil
}

func duplicate(n *state.Network, other string) error {
	if n.Type == IPIP {
		return hint.Errorf("", "-l and -r with other addresses of the servers, or a "+GRE+" tunnel with a --key",
			"the tunnel %s has the same ends: the kernel cannot tell two %s tunnels between them apart", other, IPIP)
	}
	next := "--key with a number of its own"
	if n.Key != 0 {
		next = "--key with another number"
	}
	return hint.Errorf("", next, "the tunnel %s has the same ends and the same key: the kernel cannot tell the two apart", other)
}

// allocateTunnel gives the ends the first two addresses of every subnet, the first
// member the first. An end that has one keeps it.
func allocateTunnel(n *state.Network, servers []string) error {
	taken := map[netip.Addr]bool{}
	for _, a := range n.Allocated {
		for _, addr := range a.Addrs {
			taken[addr] = true
		}
	}
	for i, m := range n.Members {
		server := ground.ServerOf(m)
		if !slices.Contains(servers, server) {
			continue
		}
		a := &state.Allocation{ID: uint16(i + 1)}
		for _, p := range n.Subnets {
			addr := p.Addr()
			for taken[addr] || !prefix.HostOf(p, addr) {
				if addr = addr.Next(); !p.Contains(addr) {
					return &ground.NarrowError{Subnet: p, Server: server}
				}
			}
			taken[addr] = true
			a.Addrs = append(a.Addrs, addr)
		}
		n.Allocated[server] = a
	}
	return nil
}

func fitsTunnel(n *state.Network, a *state.Allocation) bool {
	if a.ID == 0 || len(a.Addrs) != len(n.Subnets) || len(a.Pool) > 0 || a.Mesh.IsValid() || a.Key != "" {
		return false
	}
	for i, p := range n.Subnets {
		if !prefix.HostOf(p, a.Addrs[i]) {
			return false
		}
	}
	return true
}

func compileTunnel(b *builder, name string, n *state.Network) error {
	places, err := b.underlays(name, n)
	if err != nil || len(places) != 2 {
		return err // a tunnel with one end leads nowhere
	}
	if places[0].Addr.Is6() && n.Type == IPIP {
		b.Problem(places[0].Server, name, hint.Errorf("server "+places[0].Server, "flock addtunnel "+GRE+" "+places[0].Server+" "+places[1].Server,
			"%s and %s reach each other by IPv6 alone, and an %s tunnel is IPv4 in IPv4", places[0].Server, places[1].Server, IPIP))
		return nil
	}
	if other := b.duplicateOf(name, n, places); other != "" {
		b.Problem(places[0].Server, name, hint.With(duplicate(n, other), "tunnel "+name, ""))
		return nil
	}
	ends, err := b.tunnelEnds(n, places)
	if err != nil {
		return err
	}
	b.shareProblems(name, ends)
	mtu, ok := b.tunnelMTU(name, n, places, tunnelOver(n, places[0].Addr.Is6()))
	if !ok {
		return nil
	}
	for i, e := range ends {
		b.addTunnelEnd(name, n, e, ends[1-i], mtu)
	}
	return nil
}

// tunnelOver is what a tunnel takes of every packet, in bytes.
func tunnelOver(n *state.Network, v6 bool) int {
	over := ip4Over
	if v6 {
		over = ip6Over
	}
	if n.Type == GRE {
		over += greOver
	}
	if n.Key != 0 {
		over += keyOver
	}
	return over
}

// duplicateOf finds a network that n cannot be told apart from where it ends.
func (b *builder) duplicateOf(name string, n *state.Network, places []ground.Underlay) string {
	for _, other := range b.Cluster.NetworkNames() {
		o := b.Cluster.Networks[other]
		if other == name || o.Type != n.Type || o.Key != n.Key {
			continue
		}
		same := 0
		for _, u := range places {
			if p, ok := b.Out.Places[ground.Membership{Server: u.Server, Network: other}]; ok && p.Addr == u.Addr {
				same++
			}
		}
		if same == 2 {
			return other
		}
	}
	return ""
}

// tunnelEnds are the members of n with what is theirs.
func (b *builder) tunnelEnds(n *state.Network, places []ground.Underlay) ([]*mesh.End, error) {
	shares, err := ground.SharesOf(n)
	if err != nil {
		return nil, err
	}
	var out []*mesh.End
	for _, u := range places {
		a := n.Allocated[u.Server]
		if a == nil {
			return nil, fmt.Errorf("%s has no addresses: the cluster is not complete", u.Server)
		}
		out = append(out, &mesh.End{Underlay: u, Own: a.Addrs, Shares: shares[u.Server]})
	}
	return out, nil
}

// addTunnelEnd adds one end's device, its addresses, and routes to what is behind
// the other.
func (b *builder) addTunnelEnd(name string, n *state.Network, e, other *mesh.End, mtu int) {
	h, device := b.Out.Hosts[e.Server], tunnelDevice(name)
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
	h.Sysctls = append(h.Sysctls, tunnelIPv6(n, device)...)
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

// tunnelIPv6 switches IPv6 off on the device of a tunnel that has no IPv6 subnet, and
// router advertisements on any other.
func tunnelIPv6(n *state.Network, device string) []spec.Sysctl {
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
