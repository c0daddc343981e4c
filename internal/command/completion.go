package command

import (
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/state"
	"github.com/spf13/cobra"
)

// Completer is the function by which a command offers words.
type Completer func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective)

// Complete offers what names says for the first most words. A cluster file that
// cannot be read offers nothing: completion has no place for errors.
func (a *App) Complete(most int, names func(c *state.Cluster, args []string, word string) []string) Completer {
	return func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		if len(args) >= most {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		c, err := a.Load(cmd.Context())
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		offer := slices.DeleteFunc(names(c, args, word), func(name string) bool { return slices.Contains(args, name) })
		return offer, cobra.ShellCompDirectiveNoFileComp
	}
}

// CompleteWords offers fixed words.
func CompleteWords(words ...string) Completer {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return words, cobra.ShellCompDirectiveNoFileComp
	}
}

// CompleteFlag has the values of a flag complete. The flag exists: the only error
// there is.
func CompleteFlag(cmd *cobra.Command, name string, c Completer) {
	_ = cmd.RegisterFlagCompletionFunc(name, c)
}

// CompleteServers offers servers for the first most words.
func (a *App) CompleteServers(most int) Completer {
	return a.Complete(most, func(c *state.Cluster, _ []string, _ string) []string { return c.ServerNames() })
}

// CompleteNetworks offers networks for the first most words.
func (a *App) CompleteNetworks(most int) Completer {
	return a.Complete(most, func(c *state.Cluster, _ []string, _ string) []string { return c.NetworkNames() })
}

// Joinable are the servers that can become members, or the places of the one that
// word names; not those that are taken.
func Joinable(c *state.Cluster, word string, taken func(string) bool) []string {
	if server, _, inside := strings.Cut(word, ":"); inside {
		return Places(c.Servers[server], server)
	}
	names := c.ServerNames()
	if !slices.Contains(names, network.Local) {
		names = append(names, network.Local)
	}
	return slices.DeleteFunc(names, taken)
}

// Places are the members that a server can be: its underlay interfaces.
func Places(s *state.Server, name string) []string {
	if s == nil || s.Facts == nil {
		return nil
	}
	var out []string
	for _, i := range s.Facts.Interfaces {
		out = append(out, name+":"+i.Name)
	}
	return out
}
