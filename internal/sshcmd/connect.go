package sshcmd

import (
	"context"
	"errors"
	"fmt"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/remote"
	"github.com/flocknet/flock/internal/state"
	"github.com/flocknet/flock/internal/view"
	"github.com/spf13/cobra"
)

func newConnect(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "connect [SERVER...]",
		Short: "log in once, for the commands that follow",
		Long: `Log in to servers, to all without a name, and keep the connections, so that the commands
that follow need no login. ssh(1) holds them in the background, and ends them when none was
used for ten minutes. Those that ssh's own configuration keeps (ControlMaster) are used
without this.

What ssh must ask for, a passphrase or an unknown host key, it asks on the terminal.

  flock connect
  flock connect s1 s2
  flock disconnect`,
		Args:              command.Between(0, 1<<30),
		ValidArgsFunction: a.CompleteServers(1 << 30),
		RunE:              func(cmd *cobra.Command, args []string) error { return a.connect(cmd.Context(), args) },
	}
}

func newDisconnect(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "disconnect [SERVER...]",
		Short: "end the connections that connect made",
		Long: `End the connections to servers, to all without a name, that 'flock connect' made. ssh's own
stay: 'ssh -O exit HOST' ends one.

  flock disconnect
  flock disconnect s1`,
		Args:              command.Between(0, 1<<30),
		ValidArgsFunction: a.CompleteServers(1 << 30),
		RunE:              func(cmd *cobra.Command, args []string) error { return a.disconnect(cmd.Context(), args) },
	}
}

// reached are the servers named, or all, with the file that has them.
func (a *app) reached(ctx context.Context, names []string) (*state.Cluster, []string, error) {
	c, err := a.Load(ctx)
	if err != nil {
		return nil, nil, err
	}
	if err := command.KnownServers(c, names...); err != nil {
		return nil, nil, err
	}
	if len(names) == 0 {
		names = c.ServerNames()
	}
	if len(names) == 0 {
		return nil, nil, command.NoServer()
	}
	return c, names, nil
}

func (a *app) connect(ctx context.Context, names []string) error {
	c, names, err := a.reached(ctx, names)
	if err != nil {
		return err
	}
	d := a.Dialer()
	results := remote.Each(ctx, names, a.Parallel(), func(ctx context.Context, name string) (string, error) {
		t := change.Target(c, name)
		if d.Held(ctx, t) {
			return "connected already", nil
		}
		return "connected", d.Hold(ctx, t, false)
	})
	failed := false
	for i, r := range results {
		// One after the other: only one can ask at a time.
		if errors.Is(r.Err, remote.ErrAuth) && a.InTTY && ctx.Err() == nil {
			r.Err = d.Hold(ctx, change.Target(c, names[i]), true)
		}
		if r.Err != nil {
			failed = true
			a.Report(fmt.Errorf("connect to %s: %w", names[i], r.Err))
			continue
		}
		a.Say("%s: %s", names[i], r.Value)
	}
	if failed {
		return command.Exit(command.ExitPartial)
	}
	return nil
}

func (a *app) disconnect(ctx context.Context, names []string) error {
	c, names, err := a.reached(ctx, names)
	if err != nil {
		return err
	}
	d := a.Dialer()
	results := remote.Each(ctx, names, a.Parallel(), func(ctx context.Context, name string) (bool, error) {
		return d.Drop(ctx, change.Target(c, name))
	})
	var ended []string
	failed := false
	for i, r := range results {
		if r.Value {
			ended = append(ended, names[i])
		}
		if r.Err != nil {
			failed = true
			a.Report(r.Err)
		}
	}
	switch {
	case len(ended) > 0:
		a.Say("disconnected: %s", view.Listed(ended))
	case !failed:
		a.Say("no server was connected")
	}
	if failed {
		return command.Exit(command.ExitFailed)
	}
	return nil
}
