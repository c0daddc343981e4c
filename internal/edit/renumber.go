package edit

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/segment"
	"github.com/flocknet/flock/internal/spec"
)

// Renumbered notes, by network, bridges that stay and whose subnet becomes another one, or is
// gone beside one of the other family: what is plugged in there keeps its address. Was and now are servers' specs by name
// before and after a change; a nil was has no notes.
func Renumbered(was, now map[string]*spec.Host) []ground.Note {
	type move struct{ network, bridge, from, to string }
	servers := map[move][]string{}
	for _, server := range slices.Sorted(maps.Keys(now)) {
		before := was[server]
		if before == nil {
			continue
		}
		for _, l := range now[server].Links {
			if l.Kind != spec.Bridge {
				continue
			}
			left, new := subnetsOn(before, l.Name), subnetsOn(now[server], l.Name)
			for _, p := range left {
				if len(new) == 0 || slices.Contains(new, p) {
					continue
				}
				to := slices.IndexFunc(new, func(q netip.Prefix) bool { return q.Addr().Is6() == p.Addr().Is6() })
				of := l.Network
				if of == segment.SubnetNetwork {
					of = ground.OwnSubnet(server)
				}
				m := move{of, l.Name, p.String(), ""}
				if to >= 0 {
					m.to = new[to].String()
				}
				servers[m] = append(servers[m], server)
			}
		}
	}
	var out []ground.Note
	for m, on := range servers {
		text := fmt.Sprintf("%s on %s becomes %s, it was %s: containers there keep their old addresses, which no longer work, until they ask for new ones (renew the lease, or restart)",
			m.bridge, strings.Join(on, ", "), m.to, m.from)
		if m.to == "" {
			text = fmt.Sprintf("%s on %s loses %s: what containers there have of it no longer works (a network keeps the subnets that are named)", m.bridge, strings.Join(on, ", "), m.from)
		}
		out = append(out, ground.Note{Network: m.network, Text: text})
	}
	slices.SortFunc(out, func(a, b ground.Note) int { return strings.Compare(a.Network+" "+a.Text, b.Network+" "+b.Text) })
	return out
}

// subnetsOn are the subnets of a server's device.
func subnetsOn(h *spec.Host, device string) []netip.Prefix {
	var out []netip.Prefix
	for _, a := range h.Addrs {
		if a.Link == device && !a.Prefix.IsSingleIP() {
			out = append(out, a.Prefix.Masked())
		}
	}
	return out
}

// Narrowed notes, by network, bridges that stay and whose MTU becomes less: containers keep
// what they have, by their lease, and larger frames are dropped at the bridge's ports. Was
// and now are as Renumbered has them.
func Narrowed(was, now map[string]*spec.Host) []ground.Note {
	type step struct {
		network  string
		from, to int // bytes
	}
	servers := map[step][]string{}
	for _, server := range slices.Sorted(maps.Keys(now)) {
		if was[server] == nil {
			continue
		}
		for _, l := range now[server].Links {
			at := slices.IndexFunc(was[server].Links, func(o spec.Link) bool { return o.Kind == spec.Bridge && o.Name == l.Name })
			if l.Kind == spec.Bridge && at >= 0 && l.MTU < was[server].Links[at].MTU {
				s := step{l.Network, was[server].Links[at].MTU, l.MTU}
				servers[s] = append(servers[s], server)
			}
		}
	}
	var out []ground.Note
	for s, on := range servers {
		out = append(out, ground.Note{Network: s.network, Text: fmt.Sprintf("the MTU on %s becomes %d, it was %d: containers keep theirs until they renew the lease or restart, and what they send above %d bytes is lost",
			strings.Join(on, ", "), s.to, s.from, s.to)})
	}
	slices.SortFunc(out, func(a, b ground.Note) int { return strings.Compare(a.Network+" "+a.Text, b.Network+" "+b.Text) })
	return out
}
