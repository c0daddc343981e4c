package cli

import (
	"strconv"

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
		Args:              exactly(1),
		ValidArgsFunction: a.completeGenerations,
		Annotations:       changing(),
		RunE: func(cmd *cobra.Command, args []string) error {
			generation, err := strconv.ParseUint(args[0], 10, 64)
			if err != nil {
				return refuse("flock history", "%q is not a generation", args[0])
			}
			s, err := a.store()
			if err != nil {
				return err
			}
			c, err := s.At(generation)
			if err != nil {
				return usage{err}
			}
			locate := func(err error) error { return s.LocateAt(generation, err) }
			return a.adopt(cmd.Context(), desired{c, locate, false, &consequences{}}, nil)
		},
	}
}
