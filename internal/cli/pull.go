package cli

import (
	"context"
	"fmt"

	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
	"github.com/spf13/cobra"
)

func newPull(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "pull [SERVER...]",
		Short: "take a newer cluster file from the servers, after another admin's changes",
		Long: `Take the newest cluster file that servers have, if it is newer than this one: after another
admin changed the cluster from another workstation. Every server that has part in a network
keeps the file of the generation that it confirmed last. What would change in the file is shown
and confirmed; nothing is changed on servers. The former file goes into the history.

With servers named theirs is taken, also where it is as old as this one or older: two copies
of the file may each have had changes of their own. It becomes a generation after both then.
What only this one has is not merged: 'flock diff GENERATION' shows it afterwards.

Exit status 3 when some of the servers did not answer: one of them may have a newer file.

  flock pull
  flock pull s3 --dry-run`,
		Args:              command.Between(0, 1<<30),
		ValidArgsFunction: a.CompleteServers(1 << 30),
		Annotations:       command.Changing(),
		RunE:              func(cmd *cobra.Command, args []string) error { return a.pull(cmd.Context(), args) },
	}
}

func (a *app) pull(ctx context.Context, names []string) error {
	c, err := a.Load(ctx)
	if err != nil {
		return err
	}
	if err := command.KnownServers(c, names...); err != nil {
		return err
	}
	if len(c.Servers) == 0 {
		return command.Usage(hint.Errorf("", "flock import [USER@]ADDRESS", "there is no server in the cluster file to pull from"))
	}
	s, err := a.Store()
	if err != nil {
		return err
	}
	if err := a.MayAsk("take another cluster file?"); err != nil {
		return err
	}
	g := &gathering{a: a, store: s}
	var best *state.Held
	err = a.With(func(e command.Engine, p *command.Progress) (err error) {
		g.ask = func(brings string) error { return a.Confirm(p, brings+"?") }
		if len(names) > 0 {
			if err := g.inquire(ctx, e, c, names); err != nil {
				return err
			}
			best = state.Newest(g.held)
		} else if best, err = g.whole(ctx, e, c); err != nil {
			return err
		}
		if best == nil || !g.wanted(c, best, len(names) > 0) {
			best = nil
			return nil
		}
		if g.steps, err = state.Differences(c, best.File); err != nil {
			return err
		}
		p.Stop()
		if !a.JSON() && len(g.steps) > 0 {
			if err := a.printSteps(g.steps); err != nil {
				return err
			}
		}
		if err := g.uses(c, best.File); err != nil {
			return err
		}
		question := fmt.Sprintf("take generation %d%s, for this generation %d?", best.File.Generation, spec.MadeBy(best.File.Made()), c.Generation)
		return a.Confirm(p, question)
	})
	if err != nil {
		return err
	}
	if best == nil {
		return g.nothing(c)
	}
	return g.take(ctx, best, c)
}

// wanted says whether a copy takes the place of c: it is newer or, where its server was named,
// another one.
func (g *gathering) wanted(c *state.Cluster, best *state.Held, named bool) bool {
	return best.File.Generation > c.Generation || named && best.File.Made() != c.Made()
}

// nothing tells that no newer file was found.
func (g *gathering) nothing(c *state.Cluster) error {
	if g.a.JSON() {
		if err := g.a.PrintJSON(g.doc(c, "", false)); err != nil {
			return err
		}
	}
	g.noteOthers()
	if len(g.held) > 0 {
		g.a.Say("no server has a newer cluster file than generation %d", c.Generation)
	}
	return g.ended()
}
