package network

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/option"
	"github.com/flocknet/flock/internal/peering"
	"github.com/flocknet/flock/internal/state"
)

// Settling is the note about a network whose old sessions are kept beside the new ones.
const Settling = "the previous sessions are kept until the new ones have received all routes: flock apply ends them"

// BGP is the kind of a routed network without encapsulation: members announce the
// container subnets that they share to each other by iBGP and, where they are
// told to, to routers by eBGP.
const BGP = "bgp"

func bgpKind() *Kind {
	return &Kind{
		Name: BGP, takes: []string{"interface", "shares", "as", "mode", "hold", "bfd", "reflectors", "before", "anycast", "external"}, BGP: true,
		Command: "flock createbgp NAME SERVER", columns: []string{"ADDRESS", "SHARED"}, space: &ground.SegmentSpace, WithoutRole: nameBGPRole, NoRole: noBGPRole,
		commands: commands{
			join: "flock addbgp NAME peer SERVER", joinFirst: "flock createbgp NAME SERVER", leave: "flock delbgp NAME server SERVER",
			remove: "flock removebgp NAME", unshare: "flock delbgp NAME network SHARE",
		},
		lacks: []lack{{
			[]string{"subnet", "mtu", "port", "topology", "keepalive", "lead"},
			"leave away: subnet, mtu, port, topology, keepalive, lead",
			"a %s network has the subnets that its members share, and nothing else",
		}},
		complete: completeBGP, allocate: allocateBGP, fits: fitsBGP, compile: compileBGP,
	}
}

// nameBGPRole asks for the commands of BGP networks.
func nameBGPRole(_ *state.Network, verb, name, server string) error {
	next := map[string]string{"addnetwork": "flock addbgp " + name + " peer " + server, "delnetwork": "flock delbgp " + name + " server " + server}[verb]
	return hint.Errorf("network "+name, next, "%s is a %s network", name, BGP)
}

func noBGPRole(_ *state.Network, name string) error {
	return hint.Errorf("network "+name, "flock addbgp "+name+" network SERVER:CIDR, or flock delbgp "+name+" network SERVER:CIDR", "%s is a %s network", name, BGP)
}

func completeBGP(c *state.Cluster, name string, n *state.Network) error {
	n.AS = cmp.Or(n.AS, option.DefaultAS)
	n.Hold = cmp.Or(n.Hold, option.DefaultHold)
	if n.Mode == "" {
		n.Mode = state.Mesh
		if len(n.Reflectors) > 0 {
			n.Mode = state.Reflector
		}
	}
	if n.Mode == state.Reflector && len(n.Reflectors) == 0 {
		for _, m := range n.Members[:min(len(n.Members), peering.FewReflectors)] {
			n.Reflectors = append(n.Reflectors, ground.ServerOf(m))
		}
	}
	if err := peering.CheckSessions(n); err != nil {
		return err
	}
	if err := ground.CheckFamily(c, n); err != nil {
		return err
	}
	if err := onlyBGPOf(c, name, n); err != nil {
		return err
	}
	return peering.CheckExternals(name, n)
}

// onlyBGPOf refuses members that are in another BGP network: a server has one
// speaker, of one autonomous system.
func onlyBGPOf(c *state.Cluster, name string, n *state.Network) error {
	return NotInOthers(c, name, n.Members)
}

// NotInOthers refuses members, as written, that are in another BGP network than name.
func NotInOthers(c *state.Cluster, name string, members []string) error {
	in := map[string]string{} // by server
	for _, other := range BGPNetworks(c) {
		for _, m := range c.Networks[other].Members {
			if other != name && in[ground.ServerOf(m)] == "" {
				in[ground.ServerOf(m)] = other
			}
		}
	}
	for _, m := range members {
		server := ground.ServerOf(m)
		if other := in[server]; other != "" {
			return hint.Errorf("server "+server, "flock delbgp "+other+" server "+server,
				"%s belongs to the BGP network %s: a server belongs to one at a time", server, other)
		}
	}
	return nil
}

// allocateBGP deals new members an id, which makes the router id of those without
// IPv4.
func allocateBGP(n *state.Network, servers []string) error {
	ids := map[uint16]bool{}
	for _, a := range n.Allocated {
		ids[a.ID] = true
	}
	id := uint16(1)
	for _, server := range servers {
		if len(ids) > 65534 {
			return fmt.Errorf("the network has all the 65535 members it can have")
		}
		for ids[id] {
			id++
		}
		ids[id] = true
		n.Allocated[server] = &state.Allocation{ID: id}
	}
	return nil
}

func fitsBGP(_ *state.Network, a *state.Allocation) bool {
	return a.ID != 0 && len(a.Addrs) == 0 && len(a.Pool) == 0 && !a.Mesh.IsValid()
}

// BGPNetworks returns the names of the BGP networks, sorted.
func BGPNetworks(c *state.Cluster) []string {
	return slices.DeleteFunc(c.NetworkNames(), func(name string) bool { return !KindOf(c.Networks[name]).BGP })
}

// Speakers are the servers that are members of a BGP network.
func Speakers(c *state.Cluster) map[string]bool {
	out := map[string]bool{}
	for _, name := range BGPNetworks(c) {
		for _, m := range c.Networks[name].Members {
			out[ground.ServerOf(m)] = true
		}
	}
	return out
}

// ExternalAt is the position of the external of a member among n's; below 0: there is none.
func ExternalAt(n *state.Network, server string, address netip.Addr) int {
	return slices.IndexFunc(n.Externals, func(e state.External) bool { return e.Server == server && e.Address == address })
}
