package edit

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

const memberAddress = "address of a member"

// Apart notes, by network, what its members cannot change at the same moment, so that packets
// between them are lost until all have: whatever was edited, a network, a member or a server.
// Was and now are as Renumbered has them. What leads nowhere any more, loses nothing.
func Apart(c *state.Cluster, was, now map[string]*spec.Host) []ground.Note {
	apart, on, again, groups := map[string]string{}, map[string]int{}, map[string]bool{}, map[string]int{}
	for _, server := range slices.Sorted(maps.Keys(now)) {
		before, after := was[server], now[server]
		if before != nil && before.BGP != nil && after.BGP != nil && before.BGP.Network == after.BGP.Network {
			on[after.BGP.Network]++
			again[after.BGP.Network] = again[after.BGP.Network] || before.BGP.AS != after.BGP.AS
		}
		for i := 0; before != nil && i < len(after.Links); i++ {
			l := after.Links[i]
			at := slices.IndexFunc(before.Links, func(o spec.Link) bool { return o.Name == l.Name && o.Kind == l.Kind })
			if at < 0 || l.Kind == spec.Bridge {
				continue
			}
			on[l.Network]++
			if l.Kind == spec.VXLAN && l.Tunnel.Group.IsValid() && l.Tunnel.Local != before.Links[at].Tunnel.Local {
				groups[l.Network]++
			}
			leads := func(a netip.Addr) bool { return Has(c.Servers[server], after, a) }
			if what := single(before.Links[at], l, leads); what != "" {
				apart[l.Network] = what
			}
		}
	}
	var out []ground.Note
	for _, name := range slices.Sorted(maps.Keys(on)) {
		if groups[name] > 0 && groups[name] < on[name] { // the others hear of no change: none makes another way ready
			apart[name] = memberAddress
		}
		switch {
		case on[name] < 2:
		case again[name]:
			out = append(out, ground.Note{Network: name, Text: "sessions between members begin anew with the other AS; routes stay in use meanwhile"})
		case apart[name] != "":
			out = append(out, ground.Note{Network: name, Text: "the kernel has one " + apart[name] + " at a time: packets between members are lost until all have changed theirs, some 10 to 50 ms"})
		}
	}
	return out
}

// single is what differs between a device and what it becomes, that it has one of at a time;
// "": nothing. Leads says whether the server still receives at an address.
func single(was, now spec.Link, leads func(netip.Addr) bool) string {
	if now.Kind == spec.WireGuard {
		if was.Port != now.Port {
			return "port"
		}
		return ""
	}
	from, to := was.Tunnel, now.Tunnel
	switch {
	case from == nil || to == nil:
		return ""
	case now.Kind == spec.VXLAN:
		if from.GBP != to.GBP && from.Port == to.Port {
			return "group policy of a port"
		}
		return ""
	case from.Key != to.Key:
		return "key"
	case from.Remote != to.Remote, to.Remote.IsValid() && from.Local != to.Local:
		return "end"
	case from.Port != to.Port:
		return "port"
	case from.Local != to.Local && leads(from.Local):
		return memberAddress
	}
	return ""
}
