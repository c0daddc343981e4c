package bgpcmd

import (
	"slices"

	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/state"
)

// completeAnchor offers the first member of a BGP network that has a new name.
func (a *app) completeAnchor() command.Completer {
	return a.Complete(2, func(c *state.Cluster, args []string, word string) []string {
		if len(args) == 0 {
			return nil
		}
		speaks := network.Speakers(c)
		return command.Joinable(c, word, func(name string) bool { return speaks[name] })
	})
}

// completeBGP offers a BGP network, what is added or taken out, and who.
func (a *app) completeBGP(leave bool) command.Completer {
	return a.Complete(1<<30, func(c *state.Cluster, args []string, word string) []string {
		if len(args) == 0 {
			return network.BGPNetworks(c)
		}
		n := c.Networks[args[0]]
		if n == nil || !network.KindOf(n).BGP {
			return nil
		}
		if len(args) == 1 {
			first := bgpPeer
			if leave {
				first = bgpServer
			}
			return []string{first, bgpNetwork, bgpReflector, bgpExternal}
		}
		return bgpWords(c, n, args[0], args[1:], word, leave)
	})
}

func bgpWords(c *state.Cluster, n *state.Network, name string, args []string, word string, leave bool) []string {
	members := slices.DeleteFunc(c.ServerNames(), func(server string) bool { return !command.IsMember(c, name, server) })
	switch args[0] {
	case bgpPeer:
		speaks := network.Speakers(c)
		return command.Joinable(c, word, func(server string) bool { return speaks[server] })
	case bgpNetwork:
		if leave {
			return slices.Clone(n.Shares)
		}
	case bgpReflector:
		if leave {
			return slices.Clone(n.Reflectors)
		}
		members = slices.DeleteFunc(members, func(server string) bool { return slices.Contains(n.Reflectors, server) })
	case bgpExternal:
		if len(args) == 1 {
			return members
		}
		var out []string
		for _, e := range n.Externals {
			if e.Server == args[1] && len(args) == 2 {
				out = append(out, e.Address.String())
			}
		}
		return out
	}
	return members
}
