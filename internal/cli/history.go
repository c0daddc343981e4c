package cli

import (
	"context"
	"strconv"
	"time"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/screen"
	"github.com/flocknet/flock/internal/state"
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
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.history(cmd.Context()) },
	}
}

type generationView struct {
	Generation uint64 `json:"generation"`
	Saved      string `json:"saved,omitempty"`  // RFC 3339
	Change     string `json:"change,omitempty"` // the command
	Current    bool   `json:"current"`
}

func (a *app) history(ctx context.Context) error {
	s, err := a.store()
	if err != nil {
		return err
	}
	list, err := s.History(ctx)
	if err != nil {
		return err
	}
	views := generationViews(list)
	a.noteBroken(ctx, s)
	if a.json() {
		return a.printJSON(views)
	}
	if len(views) == 0 {
		a.say("nothing was saved yet")
		return nil
	}
	t := &screen.Table{Head: []string{"GENERATION", "SAVED", "CHANGE"}}
	for _, v := range views {
		number := strconv.FormatUint(v.Generation, 10)
		if v.Current {
			number += " *"
		}
		t.Add(number, v.Saved, v.Change)
	}
	return t.Write(a.Out, a.tableWidth())
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
	a.say("note: the cluster file is broken: %s (%s)", err, where)
}

func generationViews(list []state.Generation) []generationView {
	out := []generationView{}
	for _, g := range list {
		v := generationView{Generation: g.Number, Change: g.Change, Current: g.Current}
		if !g.Saved.IsZero() {
			v.Saved = g.Saved.Format(time.RFC3339)
		}
		out = append(out, v)
	}
	return out
}
