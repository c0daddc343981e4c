package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/state"
	"github.com/spf13/cobra"
)

func newApply(a *app) *cobra.Command {
	file := ""
	cmd := &cobra.Command{
		Use:   "apply [NETWORK...]",
		Short: "make the servers look as the cluster file says",
		Long: `Contact every server, or the members of some networks, and make it look as the cluster
file says: what is pending is finished, what drifted is repaired, the rest is not touched.

With -f the cluster becomes what FILE says first: servers and networks that are not in
it go, what it leaves out keeps what it was dealt or gets its default. '-' is the
standard input.

  flock apply
  flock apply -f cluster.toml --dry-run`,
		Args:              between(0, 1<<30),
		ValidArgsFunction: a.completeNetworks(1 << 30),
		Annotations:       changing(),
		RunE: func(cmd *cobra.Command, args []string) error {
			if file == "" {
				return a.apply(cmd.Context(), args)
			}
			wish, err := a.readWish(file)
			if err != nil {
				return err
			}
			return a.adopt(cmd.Context(), wish, args)
		},
	}
	cmd.Flags().StringVarP(&file, "file", "f", "", "make the cluster what this `FILE` says")
	return cmd
}

func (a *app) apply(ctx context.Context, networks []string) error {
	var out *change.Outcome
	err := a.alter(ctx, alter{
		Request:  change.Request{Edit: network.Complete, All: true, Networks: networks},
		networks: networks,
		said:     applied,
		seen:     func(o *change.Outcome) { out = o },
	})
	return a.settleAll(ctx, out, networks, err)
}

func applied(out *change.Outcome) string {
	return plural(len(out.Servers), "server") + " as the cluster file says"
}

// readWish reads a cluster file that somebody wrote.
func (a *app) readWish(file string) (*state.Cluster, error) {
	s, err := a.store()
	if err != nil {
		return nil, err
	}
	var data []byte
	if file == "-" {
		data, err = io.ReadAll(a.In)
	} else {
		data, err = os.ReadFile(file)
	}
	if err != nil {
		return nil, usage{hint.With(fmt.Errorf("read the cluster file: %w", err), file, "-f FILE with a cluster file, as in examples/")}
	}
	c, err := s.Parse(data, file)
	if err != nil {
		return nil, usage{err}
	}
	return c, nil
}

// adopt makes the cluster what wish says, in two changes where servers go: their
// entry is needed until everything is off them.
func (a *app) adopt(ctx context.Context, wish *state.Cluster, networks []string) error {
	return a.asOne(func() error { return a.adoptAll(ctx, wish, networks) })
}

func (a *app) adoptAll(ctx context.Context, wish *state.Cluster, networks []string) error {
	var removed, gone []string
	var out *change.Outcome
	err := a.alter(ctx, alter{
		Request: change.Request{
			Edit: func(c *state.Cluster) error {
				was := c.Clone()
				err := adopt(c, wish, &gone)
				removed = network.Leaving(was, c, gone)
				return err
			},
			All: true, Networks: networks,
		},
		networks: networks,
		question: func() string {
			if len(removed) == 0 {
				return ""
			}
			return fmt.Sprintf("remove %s?", listed(removed))
		},
		said: applied,
		seen: func(o *change.Outcome) { out = o },
	})
	err = a.settleAll(ctx, out, networks, err)
	if err != nil || len(gone) == 0 || a.flags.dryRun {
		return err
	}
	return a.forget(ctx, gone)
}

func adopt(c, wish *state.Cluster, gone *[]string) error {
	left, err := network.Replace(c, wish)
	if gone != nil {
		*gone = left
	}
	return err
}

// forget takes servers out of the file that no network is left on, and the agent off
// them.
func (a *app) forget(ctx context.Context, gone []string) error {
	c, err := a.load(ctx)
	if err != nil {
		return err
	}
	_, err = a.work(func(e engine, p *progress) (*change.Outcome, error) {
		for _, name := range gone {
			if s := c.Servers[name]; s == nil || s.Facts == nil && s.Confirmed == nil {
				continue // it never was ours
			}
			if _, err := e.Purge(ctx, name, state.Server{}); err != nil {
				p.note(fmt.Sprintf("%s: %s; the agent's program stays there", name, err))
			}
		}
		return nil, ctx.Err()
	})
	if err != nil {
		return err
	}
	return a.alter(ctx, alter{
		Request: change.Request{Edit: func(c *state.Cluster) error {
			var errs []error
			for _, name := range gone {
				errs = append(errs, network.DelServer(c, name, false))
			}
			return errors.Join(errs...)
		}},
		said: func(*change.Outcome) string { return listed(gone) + " deleted" },
	})
}
