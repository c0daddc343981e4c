package network

import (
	"slices"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/state"
)

// Standing is a member of a network that is named by an address which another
// network of the cluster deals.
type Standing struct {
	Network, Member string // as written
	In              string // the other network
}

// Carried lists the members that stand in other networks, by network and in the order
// they joined.
func Carried(c *state.Cluster) []Standing {
	var out []Standing
	for _, name := range c.NetworkNames() {
		for _, text := range c.Networks[name].Members {
			if in := carrier(c, name, text); in != "" {
				out = append(out, Standing{name, text, in})
			}
		}
	}
	return out
}

// carrier is the network that deals the address of a member of name; "": none.
func carrier(c *state.Cluster, name, member string) string {
	m, err := state.ParseMember(member)
	if err != nil || !m.Addr.IsValid() {
		return ""
	}
	if o := overlayOf(c, m.Server, m.Addr); o != nil && o.network != name {
		return o.network
	}
	return ""
}

// StillCarried refuses a cluster in which members of before are left without the
// network that they stood in: nothing of theirs could be compiled any more.
func StillCarried(c *state.Cluster, before []Standing) error {
	for _, s := range before {
		n := c.Networks[s.Network]
		if n == nil || !slices.Contains(n.Members, s.Member) || carrier(c, s.Network, s.Member) != "" {
			continue
		}
		next := leaving(c, s.Network, serverOf(s.Member))
		if c.Networks[s.In] == nil {
			next = removal(n, s.Network)
		}
		return hint.Errorf("network "+s.In, next, "%s stands in %s: its member %s has its address there", s.Network, s.In, s.Member)
	}
	return nil
}

// removal is the command that removes n.
func removal(n *state.Network, name string) string {
	switch {
	case n.Type == BGP:
		return "flock removebgp " + name
	case isTunnel(n):
		return "flock deltunnel " + name
	}
	return "flock removenetwork " + name
}
