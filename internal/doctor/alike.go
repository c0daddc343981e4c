package doctor

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/spec"
)

// sameMAC are containers on one segment with one MAC: bridges send frames to whoever of them sent
// last. What flock attached keeps its own.
func sameMAC(s *Server, f *Facts) []Finding {
	var out []Finding
	for _, t := range f.alike(s, func(a, b plug) bool { return a.MAC == b.MAC }) {
		one := t[0]
		_, fresh := ground.ContainerMAC(f.Cluster.Name, s.Name, one.container, one.Name)
		out = append(out, Finding{
			Object: one.String(), What: fmt.Sprintf("%s of %s has MAC %s, which %s has too", one.Name, one.container, one.MAC, t[1]),
			Why: "frames to both go to whoever of them sent last; what sets it (a copied configuration or image) sets it again when the container starts",
			Fix: ground.Inside(one.container, "ip", "link", "set", "dev", one.Name, "address", fresh),
		})
	}
	return out
}

// sameAddress are containers on one segment with one address: packets go to whoever of them answered last.
func sameAddress(s *Server, f *Facts) []Finding {
	var out []Finding
	for _, t := range f.alike(s, func(a, b plug) bool { return shared(a, b).IsValid() }) {
		one, at := t[0], shared(t[0], t[1])
		out = append(out, Finding{
			Object: one.String(), What: fmt.Sprintf("%s of %s has %s, which %s has too", one.Name, one.container, at.Addr(), t[1]),
			Why: "packets to it go to whoever of both was heard last; what sets it sets it again when the container starts",
			Fix: ground.Inside(one.container, "ip", "addr", "del", at.String(), "dev", one.Name),
		})
	}
	return out
}

// shared is a's address that b has too; invalid: none.
func shared(a, b plug) netip.Prefix {
	for _, p := range a.Addrs {
		if slices.ContainsFunc(b.Addrs, func(q netip.Prefix) bool { return q.Addr() == p.Addr() }) {
			return p
		}
	}
	return netip.Prefix{}
}

// alike are interfaces of containers on s that have something which must be theirs alone, each with another
// on its segment that has it. Of two the second is to change, unless flock attached it.
func (f *Facts) alike(s *Server, same func(a, b plug) bool) [][2]plug {
	var out [][2]plug
	for i, one := range f.plugs() {
		if one.server != s || one.Owner != "" {
			continue
		}
		other := slices.IndexFunc(f.plugs(), func(o plug) bool {
			return o.segment == one.segment && same(one, o) && (o.server != one.server || o.Port != one.Port)
		})
		if other >= 0 && (other < i || f.plugs()[other].Owner != "") {
			out = append(out, [2]plug{one, f.plugs()[other]})
		}
	}
	return out
}

// plug is an interface of a container on a bridge of flock's.
type plug struct {
	spec.ContainerInterface
	server    *Server
	container string // KIND/NAME
	segment   string // the network, or the bridge of one server alone
}

func (p plug) String() string {
	return p.Name + " of " + p.server.Name + ":" + p.container
}

// plugs are those of all servers; of a port behind which nobody is known, none.
func (f *Facts) plugs() []plug {
	if f.plugged != nil {
		return f.plugged
	}
	f.plugged = []plug{}
	for i := range f.Servers {
		s := &f.Servers[i]
		for _, c := range s.Containers {
			for _, one := range c.Interfaces {
				segment := s.segment(one.Bridge)
				if segment != "" && c.Name != "" && one.MAC != "" && one.Name != "" {
					f.plugged = append(f.plugged, plug{one, s, c.Name, segment})
				}
			}
		}
	}
	return f.plugged
}

// segment is what a bridge of flock's is a part of: a network, or what is on the server alone; "":
// it is not flock's.
func (s *Server) segment(bridge string) string {
	for _, l := range s.Want.Links {
		switch {
		case l.Name != bridge || l.Kind != spec.Bridge:
		case slices.ContainsFunc(s.Want.Links, func(o spec.Link) bool { return o.Master == bridge && o.Kind == spec.VXLAN }):
			return l.Network
		default:
			return s.Name + " " + bridge
		}
	}
	return ""
}
