package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/edit"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/option"
	"github.com/flocknet/flock/internal/state"
	"github.com/spf13/cobra"
)

func newSetNetwork(a *app) *cobra.Command {
	var unset []string
	var given func() (option.Options, error)
	cmd := &cobra.Command{
		Use:   "setnetwork NAME",
		Short: "change options of a network in place",
		Long: `Change options of a network: all that createnetwork takes for its type, as one change
that is planned, and undone where it cuts a server off. What is not given stays; --unset
gives an option the value that it has when createnetwork is not told it. Members keep
their numbers, keys, addresses and subnets wherever the network still has these.

Another MTU, domain, DHCP server (with its leases), masquerading, --isolate, keepalive or
topology takes no connection away. With another VNI, port, group, --gbp or interface the
members are apart until all have changed, for a moment. Another subnet or bridge is asked
about: containers keep addresses of the old subnet until they ask for new ones, and what is
plugged into the old bridge loses it. -s with all subnets, old and new, adds one.

  flock setnetwork vx1 --mtu 1400
  flock setnetwork vx1 -n s2 --no-masquerade=false
  flock setnetwork vx1 -s 10.0.4.0/24 -s fd00:4::/64 --dry-run
  flock setnetwork wirex --unset keepalive`,
		Args: command.Exactly(1),
		ValidArgsFunction: a.Complete(1, func(c *state.Cluster, _ []string, _ string) []string {
			return slices.DeleteFunc(c.NetworkNames(), func(name string) bool { return !network.KindOf(c.Networks[name]).Created() })
		}),
		Annotations: command.Changing(),
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := given()
			if err != nil {
				return err
			}
			return a.setNetwork(cmd.Context(), args[0], o, unset)
		},
	}
	given = a.addOptions(cmd)
	cmd.Flags().StringSliceVar(&unset, "unset", nil, "give `OPTION` the value that it has by itself (mtu, keepalive, group …); repeatable")
	command.CompleteFlag(cmd, "unset", a.completeSettable)
	return cmd
}

// completeSettable offers the options of the network that was named.
func (a *app) completeSettable(cmd *cobra.Command, args []string, text string) ([]string, cobra.ShellCompDirective) {
	return a.Complete(1<<30, func(c *state.Cluster, args []string, _ string) []string {
		if len(args) == 0 || c.Networks[args[0]] == nil {
			return nil
		}
		return network.KindOf(c.Networks[args[0]]).Options()
	})(cmd, args, text)
}

func (a *app) setNetwork(ctx context.Context, name string, o option.Options, unset []string) error {
	var gone []string
	return a.Alter(ctx, command.Alter{
		Request: change.Request{Edit: func(c *state.Cluster) error {
			var err error
			gone, err = edit.Set(c, name, o, unset)
			return err
		}},
		Question: func() string {
			if len(gone) == 0 {
				return ""
			}
			return fmt.Sprintf("take %s from %s?", strings.Join(gone, " and "), name)
		},
		Already: func(out *change.Outcome) string {
			return name + " is so already: " + command.Outline(out.Cluster.Networks[name])
		},
		About: []string{name},
		Would: func(out *change.Outcome) string {
			return name + " would be " + command.Outline(out.Cluster.Networks[name])
		},
		Said: func(out *change.Outcome) string {
			return command.Ready(out, name) + ": " + command.Outline(out.Cluster.Networks[name])
		},
	})
}
