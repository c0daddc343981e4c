package network

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/hint"
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
func TunnelTypes() []string { return namesOf(func(k *Kind) bool { return k.tunnel }) }

const (
	maxTunnelKey = 1<<32 - 1 // RFC 2890: 32 bits
	// tunnelTTL is the outer header's. The inner packet's own (the kernel's default)
	// would let BGP's and others' packets with a TTL of 1 die at the first router of
	// the underlay.
	tunnelTTL = 64
	greOver   = 4  // RFC 2784
	keyOver   = 4  // RFC 2890
	ip4Over   = 20 // outer headers
	ip6Over   = 40
)

// TunnelOptions are what addtunnel takes, in the words of the command line. The zero
// value of each means "not given".
type TunnelOptions struct {
	Name      string         // --name; "": TYPE-SERVER1-SERVER2
	Local     netip.Addr     // -l, address of the first server in the underlay
	Remote    netip.Addr     // -r, of the second
	Addresses []netip.Prefix // --addresses, the first server's and the second's; two more for another family
	Key       *int64         // --key, GRE only
	TTL       *int64         // --ttl
}

// TunnelName is what a tunnel is called that was given no name. First and second are
// members.
func TunnelName(kind, first, second string) string {
	return kind + "-" + serverOf(first) + "-" + serverOf(second)
}

// AddTunnel writes a tunnel of a type down between two members (SERVER,
// SERVER:INTERFACE, SERVER:IP).
func AddTunnel(c *state.Cluster, kind, first, second string, o TunnelOptions) error {
	name := cmp.Or(o.Name, TunnelName(kind, first, second))
	if err := addTunnel(c, name, kind, []string{first, second}, o); err != nil {
		return hint.With(fmt.Errorf("add tunnel %s: %w", name, err), "tunnel "+name, "")
	}
	return nil
}

func addTunnel(c *state.Cluster, name, kind string, ends []string, o TunnelOptions) error {
	if !slices.Contains(TunnelTypes(), kind) {
		return hint.Errorf("", "one of: "+joinWords(TunnelTypes()), "unknown type %q", kind)
	}
	if c.Networks[name] != nil {
		return hint.Errorf("", "--name with another name, or flock deltunnel "+name, "the name is taken")
	}
	if err := freeName(c, name); err != nil {
		return err
	}
	n := &state.Network{Type: kind, Tunnel: true}
	for i, where := range []netip.Addr{o.Local, o.Remote} {
		member, err := endMember(c, ends[i], where)
		if err != nil {
			return err
		}
		n.Members = append(n.Members, member)
	}
	if err := setTunnelNumbers(n, o); err != nil {
		return err
	}
	if err := setTunnelAddresses(c, n, o.Addresses); err != nil {
		return err
	}
	if c.Networks == nil {
		c.Networks = map[string]*state.Network{}
	}
	c.Networks[name] = n
	if err := fillIn(c, name, n); err != nil {
		return err
	}
	if err := checkNewcomer(c, "network "+name); err != nil {
		return err
	}
	return Complete(c)
}

// endMember is an end as a member, where is its address if that was given apart.
func endMember(c *state.Cluster, text string, where netip.Addr) (string, error) {
	m, err := state.ParseMember(text)
	if err != nil {
		return "", err
	}
	if err := knowServer(c, m.Server); err != nil {
		return "", err
	}
	if !where.IsValid() {
		return m.String(), nil
	}
	if m.Interface != "" || m.Addr.IsValid() {
		return "", hint.Errorf("server "+m.Server, "leave one of them away", "%s and %s both say where the tunnel ends", text, where)
	}
	m, err = state.ParseMember(memberText(m.Server, where.String()))
	return m.String(), err
}

func setTunnelNumbers(n *state.Network, o TunnelOptions) error {
	for _, v := range []struct {
		span
		value *int64
		set   func(int64)
	}{
		{keySpan, o.Key, func(v int64) { n.Key = uint32(v) }},
		{ttlSpan, o.TTL, func(v int64) { n.TTL = uint8(v) }},
	} {
		if v.value == nil {
			continue
		}
		if err := v.check(*v.value); err != nil {
			return err
		}
		v.set(*v.value)
	}
	return nil
}

// setTunnelAddresses gives the ends the addresses that were asked for.
func setTunnelAddresses(c *state.Cluster, n *state.Network, list []netip.Prefix) error {
	if len(list) == 0 {
		return nil
	}
	next := "--addresses A/30,B/30: the first server's address and the second's" + tunnelSpace.exampleEnds(c, list[0])
	if len(list) != 2 && len(list) != 4 {
		return hint.Errorf("", next, "a tunnel takes two addresses, or four for IPv4 and IPv6, not %d", len(list))
	}
	n.Allocated = map[string]*state.Allocation{}
	ends := []*state.Allocation{{ID: 1}, {ID: 2}}
	for i := 0; i < len(list); i += 2 {
		a, b := list[i], list[i+1]
		if a.Masked() != b.Masked() || a.Addr() == b.Addr() {
			return hint.Errorf("", next, "%s and %s are not two addresses of one subnet", a, b)
		}
		for j, p := range []netip.Prefix{a, b} {
			if !hostOf(p.Masked(), p.Addr()) {
				return hint.Errorf("", next, "%s is not an address that an end can have in %s", p.Addr(), p.Masked())
			}
			ends[j].Addrs = append(ends[j].Addrs, p.Addr())
		}
		n.Subnets = append(n.Subnets, a.Masked())
	}
	for i, m := range n.Members {
		n.Allocated[serverOf(m)] = ends[i]
	}
	return nil
}

// hostOf says whether an end of a tunnel may have address a of p: in IPv4 not the
// subnet's first nor its last, but for a /31 (RFC 3021); in IPv6 not the routers'
// anycast address, but for a /127 (RFC 6164).
func hostOf(p netip.Prefix, a netip.Addr) bool {
	switch {
	case !p.Contains(a):
		return false
	case p.Bits() >= a.BitLen()-1:
		return true
	}
	return a != p.Addr() && (a.Is6() || a != lastAddr(p))
}

// tunnelKind is the kind of the tunnels of a type.
func tunnelKind(name, wire string) *Kind {
	return &Kind{
		Name: name, wire: wire, takes: []string{"subnet", "mtu", "shares", "tunnel", "key", "ttl"}, tunnel: true,
		lacks:    []lack{{[]string{"port", "interface"}, "leave away: port, interface", "a tunnel has neither a port nor an interface of its own"}},
		complete: completeTunnel, allocate: allocateTunnel, fits: fitsTunnel, compile: compileTunnel,
	}
}

func completeTunnel(c *state.Cluster, name string, n *state.Network) error {
	n.Tunnel = true
	if len(n.Subnets) == 0 {
		p, err := freeSubnet(c, tunnelSpace)
		if err != nil {
			return err
		}
		n.Subnets = []netip.Prefix{p}
	}
	for _, check := range []func(*state.Cluster, string, *state.Network) error{checkTunnelEnds, checkTunnelSubnets, checkTunnelDevice, checkTwins} {
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
	a, b := serverOf(n.Members[0]), serverOf(n.Members[1])
	if a == b {
		return hint.Errorf("server "+a, "name two servers", "a tunnel from %s to itself leads nowhere", a)
	}
	if n.Type == IPIP && n.Key != 0 {
		return hint.Errorf("", "flock addtunnel gre "+a+" "+b, "an %s tunnel has no key: GRE has", IPIP)
	}
	_, six, err := namedFamilies(c, n)
	if err != nil {
		return err
	}
	if six && n.Type == IPIP {
		return hint.Errorf("", "flock addtunnel gre "+a+" "+b, "an %s tunnel has no IPv6 ends: it is IPv4 in IPv4", IPIP)
	}
	return checkFamily(c, n)
}

func checkTunnelSubnets(c *state.Cluster, _ string, n *state.Network) error {
	families := map[bool]bool{}
	for _, p := range n.Subnets {
		a := p.Addr()
		if err := hostBits(p, netip.Prefix.String); err != nil {
			return hint.Pin(err, "subnet")
		}
		switch next := "two addresses of a private subnet" + tunnelSpace.exampleEnds(c, p); {
		case a.Is4In6() || a.IsMulticast() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsUnspecified() || p.Bits() == 0:
			return hint.Errorf("subnet", next, "%s cannot be given to the ends of a tunnel", p)
		case p.Bits() == a.BitLen():
			return hint.Errorf("subnet", next, "%s has no room for two ends", p)
		case families[a.Is6()]:
			return hint.Errorf("", "one subnet for IPv4 and one for IPv6", "two %s subnets", familyName(a.Is6()))
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
	if slices.Contains(moduleDevices, device) || checkIfName("", device) != nil || device == subnetBridge {
		return hint.Errorf("", "--name with another name", "%s is the name of a device that servers have anyway", device)
	}
	for other, o := range otherNetworks(c, name) {
		if !slices.Contains(devicesOf(other, o), device) {
			continue
		}
		for _, m := range n.Members {
			if hasMember(o, serverOf(m)) {
				return hint.Errorf("", "--name with another name", "the device %s is network %s's on %s", device, other, serverOf(m))
			}
		}
	}
	return nil
}

// TunnelDevice is the device of the tunnel called name, on both its ends.
func TunnelDevice(name string) string { return tunnelDevice(name) }

// OuterTTL is the TTL, or hop limit, of the packets that carry n's.
func OuterTTL(n *state.Network) uint8 { return cmp.Or(n.TTL, tunnelTTL) }

// devicesOf are the devices that a network makes on its members.
func devicesOf(name string, n *state.Network) []string {
	var out []string
	if n.Bridge != "" {
		out = append(out, n.Bridge, spec.IfName(n.Bridge, "vx"))
	}
	if encrypted(n) {
		out = append(out, meshDevice(name))
	}
	if isTunnel(n) {
		return append(out, tunnelDevice(name))
	}
	if device := poolDevice(name, n); device != "" {
		out = append(out, device)
	}
	return out
}

func isTunnel(n *state.Network) bool { return n.Tunnel || n.Type == GRE }

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

// checkTwins refuses tunnels between the same ends that the kernel could not tell
// apart, as far as the file says where they end. The rest is twinProblems'.
func checkTwins(c *state.Cluster, name string, n *state.Network) error {
	mine, err := endWishes(c, n)
	if err != nil {
		return err
	}
	for other, o := range otherNetworks(c, name) {
		if !isTunnel(o) || o.Type != n.Type || o.Key != n.Key || len(o.Members) != 2 {
			continue
		}
		theirs, err := endWishes(c, o)
		if err != nil {
			return err
		}
		if mine == theirs || mine == [2]state.Member{theirs[1], theirs[0]} {
			return twin(n, other)
		}
	}
	return nil
}

func endWishes(c *state.Cluster, n *state.Network) (out [2]state.Member, err error) {
	for i := range out {
		if out[i], err = wish(c, n, n.Members[i]); err != nil {
			return out, err
		}
	}
	return out, nil
}

func twin(n *state.Network, other string) error {
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
		server := serverOf(m)
		if !slices.Contains(servers, server) {
			continue
		}
		a := &state.Allocation{ID: uint16(i + 1)}
		for _, p := range n.Subnets {
			addr := p.Addr()
			for taken[addr] || !hostOf(p, addr) {
				if addr = addr.Next(); !p.Contains(addr) {
					return hint.Errorf("", "give the tunnel a wider subnet", "%s has no address left for %s", p, server)
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
		if !hostOf(p, a.Addrs[i]) {
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
	if places[0].addr.Is6() && n.Type == IPIP {
		b.problem(places[0].server, name, hint.Errorf("server "+places[0].server, "flock addtunnel "+GRE+" "+places[0].server+" "+places[1].server,
			"%s and %s reach each other by IPv6 alone, and an %s tunnel is IPv4 in IPv4", places[0].server, places[1].server, IPIP))
		return nil
	}
	if other := b.twins(name, n, places); other != "" {
		b.problem(places[0].server, name, hint.With(twin(n, other), "tunnel "+name, ""))
		return nil
	}
	ends, err := b.tunnelEnds(n, places)
	if err != nil {
		return err
	}
	b.shareProblems(name, ends)
	mtu, ok := b.tunnelMTU(name, n, places, tunnelOver(n, places[0].addr.Is6()))
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

// twins finds a network that n cannot be told apart from where it ends.
func (b *builder) twins(name string, n *state.Network, places []underlay) string {
	for _, other := range b.c.NetworkNames() {
		o := b.c.Networks[other]
		if other == name || o.Type != n.Type || o.Key != n.Key {
			continue
		}
		same := 0
		for _, u := range places {
			if p, ok := b.out.Places[Seat{u.server, other}]; ok && p.Addr == u.addr {
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
func (b *builder) tunnelEnds(n *state.Network, places []underlay) ([]*end, error) {
	shares, err := sharesOf(n)
	if err != nil {
		return nil, err
	}
	var out []*end
	for _, u := range places {
		a := n.Allocated[u.server]
		if a == nil {
			return nil, fmt.Errorf("%s has no addresses: the cluster is not complete", u.server)
		}
		out = append(out, &end{underlay: u, own: a.Addrs, shares: shares[u.server]})
	}
	return out, nil
}

// addTunnelEnd adds one end's device, its addresses, and routes to what is behind
// the other.
func (b *builder) addTunnelEnd(name string, n *state.Network, e, other *end, mtu int) {
	h, device := b.out.Hosts[e.server], tunnelDevice(name)
	kind := map[string]string{GRE: spec.GRE, IPIP: spec.IPIP}[n.Type]
	if e.addr.Is6() {
		kind = spec.IP6GRE
	}
	h.Links = append(h.Links, spec.Link{
		Name: device, Network: name, Kind: kind, MTU: mtu,
		Tunnel: &spec.Tunnel{Local: e.addr, Remote: other.addr, Key: n.Key, TTL: OuterTTL(n)},
	})
	for i, p := range n.Subnets {
		h.Addrs = append(h.Addrs, spec.Addr{Link: device, Prefix: netip.PrefixFrom(e.own[i], p.Bits())})
		h.Claims = append(h.Claims, spec.Claim{Network: name, Prefix: p})
		h.Sysctls = append(h.Sysctls, forwarding(p))
	}
	h.Sysctls = append(h.Sysctls, tunnelIPv6(n, device)...)
	m := &mesh{device: device}
	for _, p := range other.shares {
		m.route(h, e, p)
		h.Claims = append(h.Claims, b.shareClaim(name, other.server, p))
	}
	for _, p := range e.shares {
		h.Keeps = append(h.Keeps, spec.PreserveSource{Network: name, Link: device, Subnet: p})
	}
	h.Forwards = append(h.Forwards, spec.Forward{Network: name, Link: device})
}

// tunnelIPv6 keeps a tunnel's device from speaking IPv6 by itself where it carries
// none, and where it does from taking the other end for a router.
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

// DelTunnel takes a tunnel out.
func DelTunnel(c *state.Cluster, name string) error {
	n := c.Networks[name]
	switch {
	case n == nil:
		return hint.Errorf("tunnel "+name, "flock listnetworks", "unknown tunnel %s", name)
	case !isTunnel(n):
		return hint.Errorf("network "+name, "flock removenetwork "+name, "%s is a %s network, no tunnel", name, n.Type)
	}
	return Remove(c, name)
}

// IsTunnel says whether the network called name is a tunnel.
func IsTunnel(c *state.Cluster, name string) bool {
	n := c.Networks[name]
	return n != nil && isTunnel(n)
}
