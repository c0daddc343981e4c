package cli

import (
	"context"

	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/state"
	"github.com/flocknet/flock/internal/view"
	"github.com/spf13/cobra"
)

func newHistory(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "history",
		Short: "list the generations of the cluster file",
		Long: `List the generations of the cluster file that are kept, the present one last, with the
command that made each.

  flock history
  flock rollback 7`,
		Args: command.Exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.history(cmd.Context()) },
	}
}

func (a *app) history(ctx context.Context) error {
	s, err := a.Store()
	if err != nil {
		return err
	}
	list, err := s.History(ctx)
	if err != nil {
		return err
	}
	views := view.Generations(list)
	a.noteBroken(ctx, s)
	if a.JSON() {
		return a.PrintJSON(view.GenerationList{Generations: views})
	}
	if len(views) == 0 {
		a.Say("nothing was saved yet")
		return nil
	}
	return view.GenerationTable(views).Write(a.Out, a.TableWidth())
}

// noteBroken explains why the present file may need a rollback: it makes no sense.
func (a *app) noteBroken(ctx context.Context, s *state.Store) {
	c, err := s.Load(ctx)
	if err == nil {
		err = network.Complete(c)
	}
	if err == nil {
		return
	}
	where, _ := hint.Of(s.Locate(err))
	a.Say("note: the cluster file is broken: %s (%s)", err, where)
}
