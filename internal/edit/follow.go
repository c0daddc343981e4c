package edit

import (
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// Follow has what names addresses that a server of c lost name those that it got instead:
// members, its own interface and that of networks, and the neighbours of BGP networks that
// it is. Was is the server before, with its facts. An address that went takes the place of
// one that came where both say so (the address that it is reached by, --interface), or
// where they are the only ones of their family that changed on a device. The rest is left:
// compiling says that it is not there.
func Follow(c *state.Cluster, name string, was *state.Server) {
	moved := movedAddrs(was, c.Servers[name])
	if len(moved) == 0 {
		return
	}
	text := func(s *string) {
		if a, err := netip.ParseAddr(*s); err == nil && moved[a].IsValid() {
			*s = moved[a].String()
		}
	}
	text(&c.Servers[name].Interface)
	for _, n := range c.Networks {
		text(&n.Interface)
		for i, written := range n.Members {
			if m, err := state.ParseMember(written); err == nil && m.Server == name && moved[m.Addr].IsValid() {
				m.Addr = moved[m.Addr]
				n.Members[i] = m.String()
			}
		}
		for i := range n.Externals {
			if to := moved[n.Externals[i].Address]; to.IsValid() {
				n.Externals[i].Address = to
			}
		}
	}
}

// movedAddrs are the addresses that took the place of others on a server.
func movedAddrs(was, now *state.Server) map[netip.Addr]netip.Addr {
	if was.Facts == nil || now.Facts == nil {
		return nil
	}
	gone, came := changedAddrs(was.Facts, now.Facts), changedAddrs(now.Facts, was.Facts)
	out := map[netip.Addr]netip.Addr{}
	taken := func(a netip.Addr) bool {
		for from, to := range out {
			if from == a || to == a {
				return true
			}
		}
		return false
	}
	for _, said := range [][2]string{{was.Address, now.Address}, {was.Interface, now.Interface}} {
		from, err1 := netip.ParseAddr(said[0])
		to, err2 := netip.ParseAddr(said[1])
		isIn := func(m map[device][]netip.Addr, a netip.Addr) bool {
			for _, list := range m {
				if slices.Contains(list, a) {
					return true
				}
			}
			return false
		}
		if err1 == nil && err2 == nil && isIn(gone, from) && has(now.Facts, to) && from.Is6() == to.Is6() {
			out[from] = to
		}
	}
	for d, left := range gone {
		left, new := slices.DeleteFunc(left, taken), slices.DeleteFunc(came[d], taken)
		if len(left) == 1 && len(new) == 1 {
			out[left[0]] = new[0]
		}
	}
	return out
}

// device is an interface of a server, and an address family on it.
type device struct {
	name string
	v6   bool
}

// changedAddrs are the addresses of a that b does not have, by device.
func changedAddrs(a, b *state.Facts) map[device][]netip.Addr {
	out := map[device][]netip.Addr{}
	for _, i := range a.Interfaces {
		for _, p := range i.Addrs {
			if d := (device{i.Name, p.Addr().Is6()}); !has(b, p.Addr()) {
				out[d] = append(out[d], p.Addr())
			}
		}
	}
	return out
}

// Has says whether a server has an address: it had when it was last looked at, or its spec
// has it.
func Has(s *state.Server, h *spec.Host, a netip.Addr) bool {
	return s != nil && s.Facts != nil && has(s.Facts, a) || slices.ContainsFunc(h.Addrs, func(o spec.Addr) bool { return o.Prefix.Addr() == a })
}

// has says whether an interface has an address.
func has(f *state.Facts, a netip.Addr) bool {
	return slices.ContainsFunc(f.Interfaces, func(i state.Interface) bool {
		return slices.ContainsFunc(i.Addrs, func(p netip.Prefix) bool { return p.Addr() == a })
	})
}
