package cli

import (
	"context"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/view"
	"github.com/spf13/cobra"
)

func newPlan(a *app) *cobra.Command {
	file := ""
	cmd := &cobra.Command{
		Use:   "plan [NETWORK...]",
		Short: "show what apply would do on the live servers",
		Long: `Ask every server, or the members of some networks, what 'flock apply' would change there:
'+' is made, '~' changed, '-' removed. Nothing is changed. With -f, as if the cluster
file were FILE. Exit status 4 when there is something to do, 0 when there is not.

  flock plan
  flock plan -f cluster.toml`,
		Args:              command.Between(0, 1<<30),
		ValidArgsFunction: a.CompleteNetworks(1 << 30),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.plan(cmd.Context(), file, args)
		},
	}
	cmd.Flags().StringVarP(&file, "file", "f", "", "plan for this cluster `FILE` instead")
	return cmd
}

func (a *app) plan(ctx context.Context, file string, networks []string) error {
	notes := func() []ground.Note { return nil }
	req := change.Request{DryRun: true, All: true, Networks: networks, Await: &change.Await{}}
	if file != "" {
		w, err := a.readDesired(file)
		if err != nil {
			return err
		}
		req.Edit, notes = w.adopt, w.notes
		req.Retire = func() []string { return w.came.gone }
	}
	out, err := a.Work(func(e command.Engine, _ *command.Progress) (*change.Outcome, error) { return e.Run(ctx, req) })
	if traced := a.Trace(out, true); traced != nil {
		return traced
	}
	if err != nil {
		return a.Failed(out, err)
	}
	out.Notes = append(notes(), out.Notes...)
	if err := a.PrintPlan(out); err != nil {
		return err
	}
	return planVerdict(out)
}

// planVerdict is exit status 4 if there is something to do, 3 if a server did not
// answer.
func planVerdict(out *change.Outcome) error {
	for i, s := range out.Servers {
		if s.Err == nil {
			out.Servers[i].State = view.LiveState(out, s)
		}
	}
	if err := verdict(out); err != nil || len(out.Leaving) == 0 {
		return err
	}
	return command.Exit(command.ExitDrift)
}
