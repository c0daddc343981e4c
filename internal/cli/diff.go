package cli

import (
	"context"
	"strconv"

	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/state"
	"github.com/flocknet/flock/internal/view"
	"github.com/spf13/cobra"
)

func newDiff(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "diff GENERATION|FILE",
		Short: "compare the cluster file with an earlier generation or another file",
		Long: `Show what the present cluster file has that an earlier generation, or FILE, has not ('+'),
what it lacks ('-'), and what has other values ('~'), a line for each server and network. No
server is contacted: 'flock plan' compares with the servers. What servers reported is no
difference, and what flock allocated only where both files have it. A number is a generation;
a file of that name is ./7.

Exit status 4 when there is a difference.

  flock diff 7
  flock diff cluster.toml -o json`,
		Args:              command.Exactly(1),
		ValidArgsFunction: a.completeGenerations,
		RunE:              func(cmd *cobra.Command, args []string) error { return a.diff(cmd.Context(), args[0]) },
	}
}

// diffDoc are the differences to another file, or an earlier generation.
type diffDoc struct {
	From        string         `json:"from"` // the generation or file
	Differences []view.StepDoc `json:"differences"`
}

func (a *app) diff(ctx context.Context, from string) error {
	c, err := a.Load(ctx)
	if err != nil {
		return err
	}
	other, err := a.generationOrFile(from)
	if err != nil {
		return err
	}
	steps, err := state.Differences(other, c)
	if err != nil {
		return err
	}
	switch {
	case a.JSON():
		doc := diffDoc{From: from, Differences: []view.StepDoc{}}
		for _, s := range steps {
			doc.Differences = append(doc.Differences, view.StepDoc(s))
		}
		err = a.PrintJSON(doc)
	case len(steps) == 0:
		a.Say("no difference to %s", from)
	default:
		err = a.printSteps(steps)
	}
	if err == nil && len(steps) > 0 {
		err = command.Exit(command.ExitDrift)
	}
	return err
}

// generationOrFile is the cluster that an earlier generation was, or that a file says.
func (a *app) generationOrFile(from string) (*state.Cluster, error) {
	generation, err := strconv.ParseUint(from, 10, 64)
	if err != nil {
		w, err := a.readDesired(from)
		return w.Cluster, err
	}
	s, err := a.Store()
	if err != nil {
		return nil, err
	}
	c, err := s.At(generation)
	if err != nil {
		return nil, command.Usage(err)
	}
	return c, nil
}
