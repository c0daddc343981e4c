package cli

import (
	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/edit"
	"github.com/spf13/cobra"
)

func newRemoveNetwork(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "removenetwork NAME",
		Short: "remove a network from all its members and from the file",
		Long: `Remove a network: from all its members, whose listings are then as they were before it,
and from the cluster file.

  flock removenetwork vx1`,
		Args:              command.Exactly(1),
		ValidArgsFunction: a.CompleteNetworks(1),
		Annotations:       command.Changing(),
		RunE:              func(cmd *cobra.Command, args []string) error { return a.Remove(cmd.Context(), args[0], edit.Remove) },
	}
}
