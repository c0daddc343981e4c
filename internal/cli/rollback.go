package cli

import (
	"strconv"

	"github.com/flocknet/flock/internal/command"
	"github.com/spf13/cobra"
)

func newRollback(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "rollback GENERATION",
		Short: "make the cluster what it was",
		Long: `Make the cluster what an earlier generation of its file says, on the servers too. It
becomes a new generation, and can be rolled back as well.

  flock history
  flock rollback 7 --dry-run`,
		Args:              command.Exactly(1),
		ValidArgsFunction: a.completeGenerations,
		Annotations:       command.Changing(),
		RunE: func(cmd *cobra.Command, args []string) error {
			generation, err := strconv.ParseUint(args[0], 10, 64)
			if err != nil {
				return command.Refuse("flock history", "%q is not a generation", args[0])
			}
			s, err := a.Store()
			if err != nil {
				return err
			}
			c, err := s.At(generation)
			if err != nil {
				return command.Usage(err)
			}
			locate := func(err error) error { return s.LocateAt(generation, err) }
			return a.adopt(cmd.Context(), desired{c, locate, false, &consequences{}}, nil)
		},
	}
}
