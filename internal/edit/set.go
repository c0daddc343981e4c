package edit

import (
	"maps"
	"slices"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/option"
	"github.com/flocknet/flock/internal/segment"
	"github.com/flocknet/flock/internal/state"
)

// Set gives a network other values of the options that createnetwork has: given ones, and
// for the keys of unset what createnetwork takes where nothing is said. What members were
// dealt stays theirs, as far as it fits. Gone names what containers lose by it: subnets and
// the bridge.
func Set(c *state.Cluster, name string, given option.Options, unset []string) (gone []string, err error) {
	n, err := networkOf(c, name)
	if err != nil {
		return nil, err
	}
	was := *n
	sessions := state.Sessions{Mode: n.Mode, Reflectors: slices.Clone(n.Reflectors)}
	if err := set(c, name, n, given, unset); err != nil {
		return nil, ground.OfNetwork(name, err)
	}
	segment.Redeal(&was, n)
	if err := network.FillIn(c, name, n); err != nil {
		return nil, ground.OfNetwork(name, err)
	}
	if network.KindOf(n).BGP {
		holdSessions(n, sessions)
	}
	rebridge(c, name, was.Bridge)
	return goneBy(&was, n), network.CheckNewcomer(c, "network "+name)
}

// set assigns given options, and clears those that are unset, with what depends on them.
func set(c *state.Cluster, name string, n *state.Network, given option.Options, unset []string) error {
	if len(given) == 0 && len(unset) == 0 {
		return hint.Errorf("", "flock setnetwork "+name+" --mtu 1400, or another option", "nothing is to change")
	}
	kind := network.KindOf(n)
	for _, key := range slices.Concat(slices.Sorted(maps.Keys(given)), unset) {
		if err := kind.Settable(name, n, key); err != nil {
			return err
		}
		if _, is := given[key]; is && slices.Contains(unset, key) {
			return hint.Errorf(key, "leave one away", "%s and --unset %s contradict each other", option.Of(key).Flag(), key)
		}
	}
	lengths := partLengths(n)
	for _, key := range unset {
		option.Of(key).Clear(n)
	}
	if slices.Contains(unset, "mode") || given["mode"] != nil && given["mode"] != n.Mode {
		n.Reflectors = nil // those of the new mode are completed
	}
	if err := network.Give(n, given); err != nil {
		return err
	}
	follow(n, given, lengths)
	if _, is := given["dhcp-server"]; is && len(n.Members) > 0 && c.Servers[n.DHCPServer] != nil && !ground.HasMember(n, n.DHCPServer) {
		return hint.Errorf("dhcp-server", "one of the members: "+ground.JoinWords(membersOf(n)), "%s is not a member, and cannot hand out addresses", n.DHCPServer)
	}
	return nil
}

// follow changes what nobody said, and what what was said leaves without a meaning.
// Lengths are those of members' parts before, by family.
func follow(n *state.Network, given option.Options, lengths map[bool]int) {
	if given["dhcp"] != nil && n.DHCP != state.DHCPSingle && given["dhcp-server"] == nil {
		n.DHCPServer = ""
	}
	if !network.KindOf(n).Pooled() {
		return
	}
	if n.Bridge == "" && n.Domain == option.DefaultDomain && given["domain"] == nil {
		n.Domain = "" // it came with the bridge
	}
	if len(n.SubnetLens) == 0 || given["subnet-len"] != nil {
		return
	}
	n.SubnetLens = nil
	for _, p := range n.Subnets {
		bits := lengths[p.Addr().Is6()]
		if bits <= p.Bits() {
			bits = option.DefaultLength(p)
		}
		n.SubnetLens = append(n.SubnetLens, bits)
	}
}

// partLengths are the lengths of members' parts of n's pools, by family.
func partLengths(n *state.Network) map[bool]int {
	out := map[bool]int{}
	for i, bits := range n.SubnetLens {
		out[n.Subnets[i].Addr().Is6()] = bits
	}
	return out
}

// goneBy names subnets and the bridge of was that n has no longer.
func goneBy(was, n *state.Network) []string {
	var out []string
	for _, p := range ground.Pools(was) {
		if !slices.Contains(ground.Pools(n), p) {
			out = append(out, "subnet "+p.String())
		}
	}
	if was.Bridge != "" && was.Bridge != n.Bridge {
		out = append(out, "bridge "+was.Bridge)
	}
	return out
}

// membersOf are the names of n's servers, in the order in which they joined.
func membersOf(n *state.Network) []string {
	var out []string
	for _, m := range n.Members {
		out = append(out, ground.ServerOf(m))
	}
	return out
}
