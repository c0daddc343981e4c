package cli

import (
	_ "embed" // of the script
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/state"
	"github.com/spf13/cobra"
)

func newCompletion(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish",
		Short: "print a completion script for a shell",
		Long: `Print a completion script. Names of servers, networks and members complete too.

  source <(flock completion bash)
  flock completion zsh >"${fpath[1]}/_flock"
  flock completion fish >~/.config/fish/completions/flock.fish`,
		Args:      command.Exactly(1),
		ValidArgs: []string{"bash", "zsh", "fish"},
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			switch args[0] {
			case "bash":
				return BashCompletion(root, a.Out)
			case "zsh":
				return root.GenZshCompletion(a.Out)
			case "fish":
				return root.GenFishCompletion(a.Out, true)
			}
			return command.Refuse("flock completion bash", "unknown shell %q", args[0])
		},
	}
}

//go:embed completion.bash
var withoutBashCompletion string

// BashCompletion writes cobra's script for bash, which takes the words of the line from the package
// bash-completion, and what does that where the package is not.
func BashCompletion(root *cobra.Command, w io.Writer) error {
	if err := root.GenBashCompletionV2(w, true); err != nil {
		return err
	}
	_, err := io.WriteString(w, strings.ReplaceAll(withoutBashCompletion, "NAME", root.Name()))
	return err
}

// completeGenerations offers what can be rolled back to, the newest first.
func (a *app) completeGenerations(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	s, err := a.Store()
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

// completeLooking offers networks and servers.
func (a *app) completeLooking() command.Completer {
	return a.Complete(1<<30, func(c *state.Cluster, _ []string, _ string) []string {
		return append(c.NetworkNames(), c.ServerNames()...)
	})
}

// completeKeyed offers a network with WireGuard keys, then its members.
func (a *app) completeKeyed() command.Completer {
	return a.Complete(1<<30, func(c *state.Cluster, args []string, _ string) []string {
		if len(args) == 0 {
			return slices.DeleteFunc(c.NetworkNames(), func(name string) bool { return network.KeyDevice(c, name) == "" })
		}
		return slices.DeleteFunc(c.ServerNames(), func(name string) bool { return !command.IsMember(c, args[0], name) })
	})
}

// completeMembership offers a network, then servers that are in it or are not.
func (a *app) completeMembership(in bool) command.Completer {
	return a.Complete(1<<30, func(c *state.Cluster, args []string, word string) []string {
		if server, _, inside := strings.Cut(word, ":"); inside && len(args) > 0 && !in {
			return command.Places(c.Servers[server], server)
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
				return slices.DeleteFunc(c.ServerNames(), func(name string) bool { return !command.IsMember(c, args[0], name) })
			}
		}
		names := c.ServerNames()
		if !in && !slices.Contains(names, network.Local) {
			names = append(names, network.Local)
		}
		return slices.DeleteFunc(names, func(name string) bool { return command.IsMember(c, args[0], name) != in })
	})
}
