package cli

import (
	"strings"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/edit"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/state"
	"github.com/spf13/cobra"
)

func newChangeType(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "changetype NAME " + strings.Join(network.PoolTypes(), "|"),
		Short: "bring a pool network's packets to the others in another way",
		Long: `Give a pool network another type: the same members and subnets, another way between
them. All members make the new way ready, then all turn their routes to it, and then the
old one goes: connections stay. Options that the new type has not are dropped, and named;
what it has besides gets its default.

  flock changetype n1 host-gw
  flock changetype n1 vxlan-l3 --dry-run`,
		Args: command.Exactly(2),
		ValidArgsFunction: a.Complete(2, func(c *state.Cluster, args []string, _ string) []string {
			var offer []string
			if len(args) == 1 {
				return network.PoolTypes()
			}
			for _, name := range c.NetworkNames() {
				if network.KindOf(c.Networks[name]).Pooled() {
					offer = append(offer, name)
				}
			}
			return offer
		}),
		Annotations: command.Changing(),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, kind := args[0], args[1]
			var dropped []string
			gone := func() string {
				if len(dropped) == 0 {
					return ""
				}
				return "; gone with the old type: " + strings.Join(dropped, ", ")
			}
			return a.Alter(cmd.Context(), command.Alter{
				Request: change.Request{Edit: func(c *state.Cluster) error {
					var err error
					dropped, err = edit.ChangeType(c, name, kind)
					return err
				}},
				About:   []string{name},
				Already: func(*change.Outcome) string { return name + " is a " + kind + " network already" },
				Would: func(out *change.Outcome) string {
					return name + " would be " + command.Outline(out.Cluster.Networks[name]) + gone()
				},
				Said: func(out *change.Outcome) string {
					return command.Ready(out, name) + ": " + command.Outline(out.Cluster.Networks[name]) + gone()
				},
			})
		},
	}
}
