package cli

import (
	"context"
	"fmt"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/edit"
	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/state"
	"github.com/flocknet/flock/internal/view"
	"github.com/spf13/cobra"
)

func newRemoveNetwork(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "removenetwork NAME",
		Short: "remove a network from all its members and from the file",
		Long: `Remove a network: from all its members, whose listings are then as they were before it,
and from the cluster file.

  flock removenetwork vx1`,
		Args:              exactly(1),
		ValidArgsFunction: a.completeNetworks(1),
		Annotations:       changing(),
		RunE:              func(cmd *cobra.Command, args []string) error { return a.remove(cmd.Context(), args[0], edit.Remove) },
	}
}

// remove takes a network out as wanted says.
func (a *app) remove(ctx context.Context, name string, wanted func(*state.Cluster, string) error) error {
	var members []string
	return a.alter(ctx, alter{
		Request: change.Request{Edit: func(c *state.Cluster) error {
			members = nil
			if n := c.Networks[name]; n != nil {
				for _, m := range n.Members {
					members = append(members, ground.ServerOf(m))
				}
			}
			return wanted(c, name)
		}},
		question: func() string {
			if len(members) == 0 {
				return fmt.Sprintf("remove %s, which has no members?", name)
			}
			return fmt.Sprintf("remove %s from %s?", name, view.Listed(members))
		},
		said: func(out *change.Outcome) string { return ready(out, name) },
	})
}
