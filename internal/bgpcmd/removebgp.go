package bgpcmd

import (
	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/edit"
	"github.com/spf13/cobra"
)

func newRemoveBGP(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "removebgp NAME",
		Short: "remove a BGP network from all its members and from the file",
		Long: `Remove a BGP network: its daemons and their routes from all members, whose listings are
then as they were before it, and the network from the cluster file.

  flock removebgp bnet`,
		Args:              command.Exactly(1),
		ValidArgsFunction: a.completeBGP(true),
		Annotations:       command.Changing(),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.Remove(cmd.Context(), args[0], edit.RemoveBGP)
		},
	}
}
