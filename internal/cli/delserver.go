package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/edit"
	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/remote"
	"github.com/flocknet/flock/internal/state"
	"github.com/flocknet/flock/internal/view"
	"github.com/spf13/cobra"
)

func newDelServer(a *app) *cobra.Command {
	force := false
	cmd := &cobra.Command{
		Use:   "delserver NAME",
		Short: "take a server out of the cluster",
		Long: `Remove a server from the cluster, and everything of flock from the server. A server that is
a member of a network, or was chosen as its DHCP server, is refused without --force, which
removes it from its networks first, and accepts that it does not answer.

  flock delserver s3
  flock delserver s3 --force                 # member or dead: away with it`,
		Args:              command.Exactly(1),
		ValidArgsFunction: a.CompleteServers(1),
		Annotations:       command.Changing(),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.delServer(cmd.Context(), args[0], force)
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "also a member, also one that does not answer")
	return cmd
}

func (a *app) delServer(ctx context.Context, name string, force bool) error {
	c, err := a.Load(ctx)
	if err != nil {
		return err
	}
	isGone := func(g state.Gone) bool { return g.Name == name }
	if c.Servers[name] == nil && slices.ContainsFunc(c.Gone, isGone) && force {
		return a.Alter(ctx, command.Alter{
			Request:  change.Request{Edit: func(c *state.Cluster) error { edit.Forget(c, isGone); return nil }},
			Question: func() string { return fmt.Sprintf("forget %s? what is on it stays", name) },
			Said:     func(*change.Outcome) string { return name + " forgotten" },
		})
	}
	if c.Servers[name] == nil && slices.ContainsFunc(c.Gone, isGone) {
		return a.Nothing(c, name+" is gone already, and what is on it stays until flock apply finds it again; to forget it: flock delserver "+name+" --force")
	}
	if c.Servers[name] == nil && c.Networks[name] == nil {
		return a.Nothing(c, name+": not there, nothing to delete")
	}
	var must []string
	if s := c.Servers[name]; s != nil && !force && (s.Facts != nil || s.Confirmed != nil) { // otherwise flock was never there
		must = []string{name}
	}
	question := fmt.Sprintf("delete server %s and everything of flock's on it?", name)
	if in := ground.Networks(c, name); len(in) > 0 {
		question = fmt.Sprintf("delete server %s, a member of %s, and everything of flock's on it?", name, view.Listed(in))
	}
	err = a.Alter(ctx, command.Alter{
		Request: change.Request{
			Edit: func(c *state.Cluster) error {
				if err := edit.DelServer(c.Clone(), name, force); err != nil {
					return err
				}
				return edit.Strip(c, name)
			},
			Contact: must, Retire: func() []string { return []string{name} }, Force: force,
		},
		Question: func() string { return question },
		Said:     func(*change.Outcome) string { return name + " deleted" },
	})
	if err == nil && c.Servers[name] != nil && !a.DryRun() {
		a.Dialer().Forget(ctx, change.Target(c, name))
	}
	if !force && errors.Is(err, remote.ErrUnreachable) {
		// Without its own advice, which is about logging in.
		return hint.Errorf("server "+name, "if it is gone for good: flock delserver "+name+" --force", "delete server %s: %v", name, err)
	}
	return err
}

// strip is the edit that takes a server out of everything, while it can still be asked.
func strip(name string) func(*state.Cluster) error {
	return func(c *state.Cluster) error { return edit.Strip(c, name) }
}
