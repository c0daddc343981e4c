package ground

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// Underlay is the device and address that a member uses in the network below.
type Underlay struct {
	Server string
	Dev    string
	Addr   netip.Addr
	MTU    int // bytes, of dev
}

// Wish is what was said about a member's underlay: the member's own words win
// over the server's, those over the network's.
func Wish(c *state.Cluster, n *state.Network, text string) (state.Member, error) {
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

// NamedFamilies says which address families the group and the members name.
func NamedFamilies(c *state.Cluster, n *state.Network) (four, six bool, err error) {
	four, six = n.Group.Is4(), n.Group.Is6()
	for _, text := range n.Members {
		m, err := Wish(c, n, text)
		if err != nil {
			return false, false, err
		}
		four, six = four || m.Addr.Is4(), six || m.Addr.Is6()
	}
	return four, six, nil
}

// CheckFamily refuses members that name underlay addresses of both families: a network
// uses one.
func CheckFamily(c *state.Cluster, n *state.Network) error {
	four, six, err := NamedFamilies(c, n)
	if err != nil {
		return err
	}
	if four && six {
		return hint.Errorf("", "name addresses of one family for all members", "the members and the group name IPv4 and IPv6 underlay addresses: one family carries a network")
	}
	return nil
}

// Family decides whether the underlay is IPv6: what a member or the group names
// decides, then IPv4 where all have it, then IPv6 where all have that.
func (b *Builder) Family(n *state.Network, members []state.Member) (v6 bool, err error) {
	four, six, err := NamedFamilies(b.Cluster, n)
	if err != nil || four || six {
		return six, err
	}
	all4, all6 := true, len(members) > 0
	for _, m := range members {
		s := b.Cluster.Servers[m.Server]
		_, err4 := FindPlace(nil, s, m, false)
		_, err6 := FindPlace(nil, s, m, true)
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

// DefaultUnderlay is what a server uses in the network below when no network says otherwise:
// device, address and MTU in bytes. Ok is false where that is not known.
func DefaultUnderlay(name string, s *state.Server) (dev string, addr netip.Addr, mtu int, ok bool) {
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
	u, err := FindPlace(nil, s, m, m.Addr.Is6())
	if err != nil && !m.Addr.IsValid() {
		u, err = FindPlace(nil, s, m, true)
	}
	return u.Dev, u.Addr, u.MTU, err == nil
}

// FindPlace finds m's device and address in the facts of its server s, which are
// known. Command tells, for advice, which one made it a member; nil: nobody reads the error.
func FindPlace(command func() string, s *state.Server, m state.Member, v6 bool) (Underlay, error) {
	f, dev := s.Facts, m.Interface
	if dev == "" && !m.Addr.IsValid() {
		if dev = defaultDevice(s, v6); dev == "" {
			return Underlay{}, misplaced(command, f, m, v6, "%s has no %s default route to take the underlay interface from", m.Server, FamilyName(v6))
		}
	}
	known := false
	for _, i := range f.Interfaces {
		known = known || i.Name == dev
		for _, a := range i.Addrs {
			named := m.Addr.IsValid() && a.Addr() == m.Addr
			taken := dev != "" && i.Name == dev && a.Addr().Is6() == v6
			if named || taken {
				return Underlay{m.Server, i.Name, a.Addr(), wireMTU(s, i, v6)}, nil
			}
		}
	}
	switch {
	case m.Addr.IsValid():
		return Underlay{}, misplaced(command, f, m, m.Addr.Is6(), "%s has no address %s", m.Server, m.Addr)
	case known:
		return Underlay{}, misplaced(command, f, m, v6, "%s has no %s address on %s", m.Server, FamilyName(v6), dev)
	}
	return Underlay{}, misplaced(command, f, m, v6, "%s has no interface %s that is up and has an address", m.Server, dev)
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
		next = "give " + m.Server + " an " + FamilyName(v6) + " address, then flock apply"
	}
	return hint.Errorf("server "+m.Server, next, format, args...)
}

// SmallestMTU is the least MTU of the underlay and the server that has it.
func SmallestMTU(list []Underlay) (mtu int, server string) {
	for _, u := range list {
		if server == "" || u.MTU < mtu {
			mtu, server = u.MTU, u.Server
		}
	}
	return mtu, server
}

// AddrSet are the addresses of places.
func AddrSet(list []Underlay) *spec.AddrSet {
	addrs := make([]netip.Addr, len(list))
	for i, u := range list {
		addrs[i] = u.Addr
	}
	return spec.NewAddrSet(addrs...)
}
