package network

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// underlay is the device and address that a member uses in the network below.
type underlay struct {
	server string
	dev    string
	addr   netip.Addr
	mtu    int // bytes, of dev
}

// wish is what was said about a member's underlay: the member's own words win
// over the server's, those over the network's.
func wish(c *state.Cluster, n *state.Network, text string) (state.Member, error) {
	m, err := state.ParseMember(text)
	if err != nil || m.Interface != "" || m.Addr.IsValid() {
		return m, err
	}
	if c.Servers[m.Server] == nil {
		return m, UnknownServer(m.Server)
	}
	for _, where := range []string{c.Servers[m.Server].Interface, n.Interface} {
		if where != "" {
			return state.ParseMember(MemberText(m.Server, where))
		}
	}
	return m, nil
}

// Devices returns the underlay devices and addresses that the networks of a
// server name, sorted: what to ask about when the server is contacted.
func Devices(c *state.Cluster, server string) []string {
	var out []string
	for _, name := range Networks(c, server) {
		n := c.Networks[name]
		for _, text := range n.Members {
			if ServerOf(text) != server {
				continue
			}
			m, err := wish(c, n, text)
			switch {
			case err != nil:
			case m.Interface != "":
				out = append(out, m.Interface)
			case m.Addr.IsValid() && overlayOf(c, server, m.Addr) == nil: // those of our own networks are known
				out = append(out, m.Addr.String())
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// underlays finds every member's place in the underlay. A server that was never
// contacted is left out (it has no place yet); one that was and does not have
// what the member asks for is a problem of that server.
func (b *builder) underlays(name string, n *state.Network) ([]underlay, error) {
	var members []state.Member
	for _, text := range n.Members {
		m, err := wish(b.c, n, text)
		if err != nil {
			return nil, err
		}
		if s := b.c.Servers[m.Server]; s != nil && s.Facts != nil {
			members = append(members, m)
		}
	}
	v6, err := b.family(n, members)
	if err != nil {
		return nil, err
	}
	var out []underlay
	taken := make(map[netip.Addr]string, len(members))
	for _, m := range members {
		u, err := b.place(name, n, m, v6)
		if err != nil {
			b.problem(m.Server, name, err)
			continue
		}
		// Behind routers of their own, two servers may have one address.
		elsewhere := meaning(n).Encrypted && (b.c.Servers[m.Server].NAT || b.c.Servers[m.Server].Endpoint != "")
		if other := taken[u.addr]; other != "" && !elsewhere {
			b.problem(m.Server, name, hint.Errorf("server "+m.Server, "name another address of it: "+m.Server+":ADDRESS",
				"%s has the same underlay address %s as %s", m.Server, u.addr, other))
			continue
		}
		if !elsewhere {
			taken[u.addr] = m.Server
		}
		b.out.Places[Membership{m.Server, name}] = Place{u.dev, u.addr}
		out = append(out, u)
	}
	return out, nil
}

// namedFamilies says which address families the group and the members name.
func namedFamilies(c *state.Cluster, n *state.Network) (four, six bool, err error) {
	four, six = n.Group.Is4(), n.Group.Is6()
	for _, text := range n.Members {
		m, err := wish(c, n, text)
		if err != nil {
			return false, false, err
		}
		four, six = four || m.Addr.Is4(), six || m.Addr.Is6()
	}
	return four, six, nil
}

// checkFamily refuses members that name underlay addresses of both families: a network
// uses one.
func checkFamily(c *state.Cluster, n *state.Network) error {
	four, six, err := namedFamilies(c, n)
	if err != nil {
		return err
	}
	if four && six {
		return hint.Errorf("", "name addresses of one family for all members", "the members and the group name IPv4 and IPv6 underlay addresses: one family carries a network")
	}
	return nil
}

// family decides whether the underlay is IPv6: what a member or the group names
// decides, then IPv4 where all have it, then IPv6 where all have that.
func (b *builder) family(n *state.Network, members []state.Member) (v6 bool, err error) {
	four, six, err := namedFamilies(b.c, n)
	if err != nil || four || six {
		return six, err
	}
	all4, all6 := true, len(members) > 0
	for _, m := range members {
		s := b.c.Servers[m.Server]
		_, err4 := place(nil, s, m, false)
		_, err6 := place(nil, s, m, true)
		all4, all6 = all4 && err4 == nil, all6 && err6 == nil
	}
	return !all4 && all6, nil
}

// defaultDevice is the underlay device of a server that names none: that of the
// default route; on a server without one, that of the address it is reached by,
// or the only one there is. "" if none of these tells.
func defaultDevice(s *state.Server, v6 bool) string {
	dev := s.Facts.Default4
	if v6 {
		dev = s.Facts.Default6
	}
	if dev != "" {
		return dev
	}
	reached, _ := netip.ParseAddr(s.Address)
	var have []string
	for _, i := range s.Facts.Interfaces {
		for _, a := range i.Addrs {
			if a.Addr() == reached && reached.Is6() == v6 {
				return i.Name
			}
			if a.Addr().Is6() == v6 {
				have = append(have, i.Name)
			}
		}
	}
	if have = slices.Compact(have); len(have) == 1 {
		return have[0]
	}
	return ""
}

// Underlay is what a server uses in the network below when no network says otherwise:
// device, address and MTU in bytes. Ok is false where that is not known.
func Underlay(name string, s *state.Server) (dev string, addr netip.Addr, mtu int, ok bool) {
	if s.Facts == nil {
		return "", netip.Addr{}, 0, false
	}
	m := state.Member{Server: name}
	if s.Interface != "" {
		var err error
		if m, err = state.ParseMember(MemberText(name, s.Interface)); err != nil {
			return "", netip.Addr{}, 0, false
		}
	}
	u, err := place(nil, s, m, m.Addr.Is6())
	if err != nil && !m.Addr.IsValid() {
		u, err = place(nil, s, m, true)
	}
	return u.dev, u.addr, u.mtu, err == nil
}

// place is m's underlay: a device of its server, or of one of our own networks, which
// need not be up yet, but is compiled.
func (b *builder) place(name string, n *state.Network, m state.Member, v6 bool) (underlay, error) {
	if m.Addr.IsValid() {
		if o := overlayOf(b.c, m.Server, m.Addr); o != nil && o.network != name {
			return b.placeIn(o, name, n, m)
		}
	}
	return place(func() string { return joinCommand(name, n, m.Server) }, b.c.Servers[m.Server], m, v6)
}

// placeIn is m's underlay in one of our own networks.
func (b *builder) placeIn(o *overlay, name string, n *state.Network, m state.Member) (underlay, error) {
	if o.network == SubnetNetwork { // compiled last, and its MTU is the kernel's
		return underlay{server: m.Server, dev: o.dev, addr: m.Addr, mtu: bridgeMTU}, nil
	}
	for _, l := range b.out.Hosts[m.Server].Links {
		if l.Name == o.dev {
			return underlay{server: m.Server, dev: o.dev, addr: m.Addr, mtu: l.MTU}, nil
		}
	}
	if meaning(n).BGP { // it asks for no MTU
		return underlay{server: m.Server, dev: o.dev, addr: m.Addr}, nil
	}
	return underlay{}, hint.Errorf("server "+m.Server, "flock listnetworks "+o.network,
		"%s stands in network %s on %s, and that is not there", name, o.network, m.Server)
}

// stackedLast orders the networks: those whose addresses are the underlay of others
// come before these, others by name.
func stackedLast(c *state.Cluster) ([]string, error) {
	left := c.NetworkNames()
	below := make(map[string][]string, len(left))
	for _, name := range left {
		for _, text := range c.Networks[name].Members {
			if in := PlaceNetwork(c, name, text); in != "" {
				if in != SubnetNetwork {
					below[name] = append(below[name], in)
				}
			}
		}
	}
	done, out := map[string]bool{}, make([]string, 0, len(left))
	for len(left) > 0 {
		var waiting []string
		for _, name := range left {
			if slices.ContainsFunc(below[name], func(o string) bool { return !done[o] }) {
				waiting = append(waiting, name)
				continue
			}
			out, done[name] = append(out, name), true
		}
		if len(waiting) == len(left) {
			return nil, hint.Errorf("network "+left[0], "give members of one of them other addresses",
				"%s carry each other: none of them can be first", strings.Join(left, ", "))
		}
		left = waiting
	}
	return out, nil
}

// place finds m's device and address in the facts of its server s, which are
// known. Command is joinCommand's, for advice; nil: nobody reads the error.
func place(command func() string, s *state.Server, m state.Member, v6 bool) (underlay, error) {
	f, dev := s.Facts, m.Interface
	if dev == "" && !m.Addr.IsValid() {
		if dev = defaultDevice(s, v6); dev == "" {
			return underlay{}, misplaced(command, f, m, v6, "%s has no %s default route to take the underlay interface from", m.Server, familyName(v6))
		}
	}
	known := false
	for _, i := range f.Interfaces {
		known = known || i.Name == dev
		for _, a := range i.Addrs {
			named := m.Addr.IsValid() && a.Addr() == m.Addr
			taken := dev != "" && i.Name == dev && a.Addr().Is6() == v6
			if named || taken {
				return underlay{m.Server, i.Name, a.Addr(), wireMTU(s, i, v6)}, nil
			}
		}
	}
	switch {
	case m.Addr.IsValid():
		return underlay{}, misplaced(command, f, m, m.Addr.Is6(), "%s has no address %s", m.Server, m.Addr)
	case known:
		return underlay{}, misplaced(command, f, m, v6, "%s has no %s address on %s", m.Server, familyName(v6), dev)
	}
	return underlay{}, misplaced(command, f, m, v6, "%s has no interface %s that is up and has an address", m.Server, dev)
}

// wireMTU is the MTU that packets from an address on i have. An address of the
// server as a whole, on the loopback device, is left by the default route's.
func wireMTU(s *state.Server, i state.Interface, v6 bool) int {
	if i.Name != "lo" {
		return i.MTU
	}
	dev := defaultDevice(s, v6)
	for _, other := range s.Facts.Interfaces {
		if other.Name == dev {
			return other.MTU
		}
	}
	return i.MTU
}

// misplaced is the error of a member whose place in the underlay is not there,
// with the places that are.
func misplaced(joined func() string, f *state.Facts, m state.Member, v6 bool, format string, args ...any) error {
	command := ""
	if joined != nil {
		command = joined()
	}
	var have []string
	for _, i := range f.Interfaces {
		at := slices.IndexFunc(i.Addrs, func(p netip.Prefix) bool { return p.Addr().Is6() == v6 })
		switch {
		case at < 0:
		case command == "":
			have = append(have, i.Addrs[at].Addr().String())
		default:
			have = append(have, command+" "+m.Server+":"+i.Name)
		}
	}
	next := strings.Join(have, ", or ")
	if command == "" && next != "" {
		next = "-l or -r with an address of " + m.Server + ": " + next
	}
	if next == "" {
		next = "give " + m.Server + " an " + familyName(v6) + " address, then flock apply"
	}
	return hint.Errorf("server "+m.Server, next, format, args...)
}

func familyName(v6 bool) string {
	if v6 {
		return "IPv6"
	}
	return "IPv4"
}

// JoinWords are words with commas between them; "none" without any.
func JoinWords(words []string) string {
	if len(words) == 0 {
		return "none"
	}
	return strings.Join(words, ", ")
}

// smallestMTU is the least MTU of the underlay and the server that has it.
func smallestMTU(list []underlay) (mtu int, server string) {
	for _, u := range list {
		if server == "" || u.mtu < mtu {
			mtu, server = u.mtu, u.server
		}
	}
	return mtu, server
}

func addrSet(list []underlay) *spec.AddrSet {
	addrs := make([]netip.Addr, len(list))
	for i, u := range list {
		addrs[i] = u.addr
	}
	return spec.NewAddrSet(addrs...)
}
