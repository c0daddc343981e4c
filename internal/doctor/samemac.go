package doctor

import (
	"fmt"
	"slices"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/spec"
)

// sameMAC are containers on one segment with one MAC: bridges send frames to whoever of them sent
// last. What flock attached keeps its own.
func sameMAC(s *Server, f *Facts) []Finding {
	var out []Finding
	for i, one := range f.plugs() {
		if one.server != s || one.Owner != "" {
			continue
		}
		other := slices.IndexFunc(f.plugs(), func(o plug) bool {
			return o.segment == one.segment && o.MAC == one.MAC && (o.server != one.server || o.Port != one.Port)
		})
		if other < 0 || other > i && f.plugs()[other].Owner == "" { // of two alike the second changes
			continue
		}
		_, fresh := ground.ContainerMAC(f.Cluster.Name, s.Name, one.container, one.Name)
		out = append(out, Finding{
			Object: one.String(), What: fmt.Sprintf("%s of %s has MAC %s, which %s has too", one.Name, one.container, one.MAC, f.plugs()[other]),
			Why: "frames to both go to whoever of them sent last; what sets it (a copied configuration or image) sets it again when the container starts",
			Fix: ground.Inside(one.container, "ip", "link", "set", "dev", one.Name, "address", fresh),
		})
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
