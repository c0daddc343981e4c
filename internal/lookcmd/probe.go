package lookcmd

import (
	"context"
	"slices"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/view"
	"github.com/spf13/cobra"
)

func newProbe(a *app) *cobra.Command {
	var ports []int
	var all bool
	cmd := &cobra.Command{
		Use:   "probe [SERVER...]",
		Short: "try what passes between servers, before a network is built",
		Long: `Send packets like those of each type of network between all of the servers, by the
addresses that networks use there by default ('listservers' shows them as UNDERLAY), and
recommend the types that work, with the commands that make them. Without servers, all are
tried. Nothing is changed.

Tried are UDP 4789 (vxlan), 8472 (vxlan-l3), 51820 (wireguard, l2) and 8285 (udp), IP in IP
(protocol 4), GRE (protocol 47), multicast, round trips, and how large a packet may be. HOPS
is how many routers are between two servers. What is lost is sent again before it is called so.
A packet that arrives and is dropped by the server's own packet filter is told from one that
does not arrive. NAT, clocks that differ by more than two seconds, ports that somebody has, and
paths that lead through a tunnel already are named. Of more than 50 servers each is tried with
32 others; --all tries all pairs.

Exit status 4 when no type of network works between all of them, 3 when a server cannot be
reached.

  flock probe s1 s2 s3
  flock probe --port 14789
  flock probe -o json`,
		Args:              command.Between(0, 1<<30),
		ValidArgsFunction: a.CompleteServers(1 << 30),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.probe(cmd.Context(), args, ports, all)
		},
	}
	cmd.Flags().IntSliceVarP(&ports, "port", "p", nil, "try this UDP `PORT`, too; repeatable")
	cmd.Flags().BoolVar(&all, "all", false, "try all pairs of more than 50 servers, too")
	return cmd
}

func (a *app) probe(ctx context.Context, names []string, more []int, all bool) error {
	c, err := a.Load(ctx)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		names = c.ServerNames()
	}
	for i, name := range names {
		if c.Servers[name] == nil {
			return command.Usage(hint.Unknown("server", name, "flock listservers"))
		}
		if slices.Contains(names[:i], name) {
			return command.Usage(hint.Errorf("server "+name, "", "%s is named twice", name))
		}
	}
	if len(names) < 2 {
		return command.Usage(hint.Errorf("", "flock addserver NAME [USER@]ADDRESS", "there must be two servers or more to probe what is between them"))
	}
	for _, p := range more {
		if p < 1 || p > 65535 {
			return command.Usage(hint.Errorf("--port", "", "%d is no UDP port: 1 to 65535", p))
		}
	}
	var found *change.Probing
	err = a.With(func(e command.Engine, _ *command.Progress) (err error) {
		found, err = e.Probe(ctx, names, more, all)
		return err
	})
	if err != nil {
		return err
	}
	if a.JSON() {
		err = a.PrintJSON(view.ProbeDocOf(found))
	} else {
		err = a.PrintProbe(found)
	}
	if err != nil {
		return err
	}
	return a.lookedAt(found.Absent, len(found.Advice()) == 0)
}

// lookedAt tells which servers did not answer, and is how a command ends that only looks.
func (a *app) lookedAt(absent []change.Server, amiss bool) error {
	for _, s := range absent {
		a.Report(s.Err)
	}
	switch {
	case len(absent) > 0:
		return command.Exit(command.ExitPartial)
	case amiss:
		return command.Exit(command.ExitDrift)
	}
	return nil
}
