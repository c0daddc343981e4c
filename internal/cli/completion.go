package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/state"
	"github.com/spf13/cobra"
)

func newCompletion(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish",
		Short: "print a completion script for a shell",
		Long: `Print a completion script. Names of servers, networks and members complete too.
The one for bash needs the package bash-completion.

  source <(flock completion bash)
  flock completion zsh >"${fpath[1]}/_flock"
  flock completion fish >~/.config/fish/completions/flock.fish`,
		Args:      exactly(1),
		ValidArgs: []string{"bash", "zsh", "fish"},
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(a.Out, true)
			case "zsh":
				return root.GenZshCompletion(a.Out)
			case "fish":
				return root.GenFishCompletion(a.Out, true)
			}
			return refuse("flock completion bash", "unknown shell %q", args[0])
		},
	}
}

type completer func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective)

// complete offers what names says for the first most words. A cluster file that
// cannot be read offers nothing: completion has no place for errors.
func (a *app) complete(most int, names func(c *state.Cluster, args []string, word string) []string) completer {
	return func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		if len(args) >= most {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		c, err := a.load(cmd.Context())
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		offer := slices.DeleteFunc(names(c, args, word), func(name string) bool { return slices.Contains(args, name) })
		return offer, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeWords offers fixed words.
func completeWords(words ...string) completer {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return words, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeFlag has the values of a flag complete. The flag exists: the only error
// there is.
func completeFlag(cmd *cobra.Command, name string, c completer) {
	_ = cmd.RegisterFlagCompletionFunc(name, c)
}

// completeGenerations offers what can be rolled back to, the newest first.
func (a *app) completeGenerations(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	s, err := a.store()
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	list, err := s.History(cmd.Context())
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var out []string
	for _, g := range slices.Backward(list) {
		out = append(out, fmt.Sprintf("%d\t%s", g.Number, g.Change))
	}
	return out, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
}

func (a *app) completeServers(most int) completer {
	return a.complete(most, func(c *state.Cluster, _ []string, _ string) []string { return c.ServerNames() })
}

func (a *app) completeNetworks(most int) completer {
	return a.complete(most, func(c *state.Cluster, _ []string, _ string) []string { return c.NetworkNames() })
}

// completeLooking offers networks and servers.
func (a *app) completeLooking() completer {
	return a.complete(1<<30, func(c *state.Cluster, _ []string, _ string) []string {
		return append(c.NetworkNames(), c.ServerNames()...)
	})
}

// completeKeyed offers a network with WireGuard keys, then its members.
func (a *app) completeKeyed() completer {
	return a.complete(1<<30, func(c *state.Cluster, args []string, _ string) []string {
		if len(args) == 0 {
			return slices.DeleteFunc(c.NetworkNames(), func(name string) bool { return network.KeyDevice(c, name) == "" })
		}
		return slices.DeleteFunc(c.ServerNames(), func(name string) bool { return !isMember(c, args[0], name) })
	})
}

// completeMembership offers a network, then servers that are in it or are not.
func (a *app) completeMembership(in bool) completer {
	return a.complete(1<<30, func(c *state.Cluster, args []string, word string) []string {
		if server, _, inside := strings.Cut(word, ":"); inside && len(args) > 0 && !in {
			return places(c.Servers[server], server)
		}
		if len(args) == 0 {
			return c.NetworkNames()
		}
		if n := c.Networks[args[0]]; n != nil && network.KindOf(n).Shares() {
			kind := network.KindOf(n)
			words := kind.Words(n, in)
			switch {
			case len(args) == 1 && len(words) > 0:
				return words
			case len(args) == 1:
				// Members have no roles: servers follow, below.
			case args[1] == roleSubnet && kind.JoinsByShare() && !in:
				return c.ServerNames()
			case args[1] == roleSubnet && in:
				return slices.Clone(n.Shares)
			case args[1] == roleSubnet:
				return slices.DeleteFunc(c.ServerNames(), func(name string) bool { return !isMember(c, args[0], name) })
			}
		}
		names := c.ServerNames()
		if !in && !slices.Contains(names, network.Local) {
			names = append(names, network.Local)
		}
		return slices.DeleteFunc(names, func(name string) bool { return isMember(c, args[0], name) != in })
	})
}

// completeAnchor offers the first member of a BGP network that has a new name.
func (a *app) completeAnchor() completer {
	return a.complete(2, func(c *state.Cluster, args []string, word string) []string {
		if len(args) == 0 {
			return nil
		}
		speaks := network.Speakers(c)
		return joinable(c, word, func(name string) bool { return speaks[name] })
	})
}

// joinable are the servers that can become members, or the places of the one that
// word names; not those that are taken.
func joinable(c *state.Cluster, word string, taken func(string) bool) []string {
	if server, _, inside := strings.Cut(word, ":"); inside {
		return places(c.Servers[server], server)
	}
	names := c.ServerNames()
	if !slices.Contains(names, network.Local) {
		names = append(names, network.Local)
	}
	return slices.DeleteFunc(names, taken)
}

// completeBGP offers a BGP network, what is added or taken out, and who.
func (a *app) completeBGP(leave bool) completer {
	return a.complete(1<<30, func(c *state.Cluster, args []string, word string) []string {
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
	members := slices.DeleteFunc(c.ServerNames(), func(server string) bool { return !isMember(c, name, server) })
	switch args[0] {
	case bgpPeer:
		speaks := network.Speakers(c)
		return joinable(c, word, func(server string) bool { return speaks[server] })
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

// places are the members that a server can be: its underlay interfaces.
func places(s *state.Server, name string) []string {
	if s == nil || s.Facts == nil {
		return nil
	}
	var out []string
	for _, i := range s.Facts.Interfaces {
		out = append(out, name+":"+i.Name)
	}
	return out
}
