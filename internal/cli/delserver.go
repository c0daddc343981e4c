package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/remote"
	"github.com/flocknet/flock/internal/state"
	"github.com/spf13/cobra"
)

func newDelServer(a *app) *cobra.Command {
	force := false
	cmd := &cobra.Command{
		Use:   "delserver NAME",
		Short: "take a server out of the cluster",
		Long: `Take a server out of the cluster and everything of flock's off it. A server that is
a member of a network, or was asked for as its DHCP server, is refused, unless --force,
which takes it out of its networks first and does not mind when it does not answer.

  flock delserver s3
  flock delserver s3 --force                 # member or dead: away with it`,
		Args:              exactly(1),
		ValidArgsFunction: a.completeServers(1),
		Annotations:       changing(),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.delServer(cmd.Context(), args[0], force)
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "also a member, also one that does not answer")
	return cmd
}

func (a *app) delServer(ctx context.Context, name string, force bool) error {
	c, err := a.load(ctx)
	if err != nil {
		return err
	}
	// Before anything is taken off it.
	without := c.Clone()
	if _, err := network.Edit(without, func(c *state.Cluster) error { return network.DelServer(c, name, force) }); err != nil {
		return usage{err}
	}
	if a.flags.dryRun {
		return a.alter(ctx, alter{Request: change.Request{Edit: strip(name), Contact: contact(name, !force)}})
	}
	if err := a.clean(ctx, c, name, force); err != nil {
		return err
	}
	return a.alter(ctx, alter{
		Request: change.Request{Edit: func(c *state.Cluster) error { return network.DelServer(c, name, force) }},
		said:    func(*change.Outcome) string { return name + " deleted" },
	})
}

// clean asks, and takes everything off the server while it can still be named.
func (a *app) clean(ctx context.Context, c *state.Cluster, name string, force bool) error {
	question := fmt.Sprintf("delete server %s and everything of flock's on it?", name)
	if in := network.Networks(c, name); len(in) > 0 {
		question = fmt.Sprintf("delete server %s, a member of %s, and everything of flock's on it?", name, listed(in))
	}
	_, err := a.work(func(e engine, p *progress) (*change.Outcome, error) {
		if err := a.confirm(p, question); err != nil {
			return nil, err
		}
		if s := c.Servers[name]; s.Facts == nil && s.Confirmed == nil {
			return nil, nil // it never was ours
		}
		_, err := e.Purge(ctx, name, state.Server{})
		switch {
		case err == nil || ctx.Err() != nil:
			return nil, err
		case !force && errors.Is(err, remote.ErrUnreachable):
			// Without its own advice, which is about logging in.
			return nil, hint.Errorf("server "+name, "if it is gone for good: flock delserver "+name+" --force", "delete server %s: %v", name, err)
		case !force:
			return nil, err
		}
		p.note(fmt.Sprintf("%s: %s; what is on it stays", name, err))
		return nil, nil
	})
	return err
}

// strip is the edit that removes a server while it can still be asked.
func strip(name string) func(*state.Cluster) error {
	return func(c *state.Cluster) error { return network.Strip(c, name) }
}

func contact(name string, must bool) []string {
	if must {
		return []string{name}
	}
	return nil
}

func isMember(c *state.Cluster, network, server string) bool {
	if c == nil || c.Networks[network] == nil {
		return false
	}
	return slices.ContainsFunc(c.Networks[network].Members, func(m string) bool { return serverOf(m) == server })
}
