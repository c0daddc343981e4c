package lookcmd

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/view"
	"github.com/spf13/cobra"
)

func newVerify(a *app) *cobra.Command {
	effort, noBulk, watching := change.Effort{}, false, false
	cmd := &cobra.Command{
		Use:               "verify [NETWORK...]",
		Short:             "send packets between all members, and show what passes",
		Long:              verifyHelp,
		Args:              command.Between(0, 1<<30),
		ValidArgsFunction: a.CompleteNetworks(1 << 30),
		RunE: func(cmd *cobra.Command, args []string) error {
			if effort.Bench && (noBulk || watching) {
				return command.Refuse("flock verify --bench", "--bench measures once, with data: it goes with neither --watch nor --no-bulk")
			}
			effort.Data = !noBulk && !watching
			if !watching {
				return a.verify(cmd.Context(), args, effort)
			}
			return watch(cmd.Context(), watchEvery, func(ctx context.Context) error { return cmp.Or(a.verify(ctx, args, effort), a.Flush()) })
		},
	}
	cmd.Flags().BoolVar(&effort.All, "all", false, "try all pairs of a network of more than 50 members, too")
	cmd.Flags().BoolVar(&noBulk, "no-bulk", false, "send no TCP data, which loads lines for a second per pair")
	cmd.Flags().BoolVar(&effort.Bench, "bench", false, "measure: 100 echoes a path, TCP data of one pair of a server at a time")
	cmd.Flags().BoolVar(&watching, "watch", false, "again every 10s, without TCP data, until interrupted")
	return cmd
}

const verifyHelp = `Send packets from every member of a network to every other one, by the addresses that the
network gave them, of each family one: five echoes, and one as large as the network's MTU
allows, in one piece. Where that is lost, the largest that passes is looked for. What seems
to lose packets is tried again before it is called so. Servers that are not as the cluster file
says, as 'flock status' finds them, are named. Nothing is changed.

Then TCP data is sent between every two members that answer, half a second there and half a
second back (no server has part in more than two at once; in a network of more than 12 members
each sends to its neighbours in a ring): some faults let echoes pass and stop data. Members that
accept no connection are not tried by it.

At last each member's bridge gets a new port for a moment, by which the server says what a new
container would: it asks for an address by DHCP (or router advertisements), up to the offer, and
the network's resolver for a name. No lease is taken, and no address that somebody has. Of
members whose path to the server with the network's DHCP is lost nothing is asked.

BGP daemons are asked for their sessions. Of a pair of WireGuard that answers nothing it is said
when it last had a handshake.

What must not be is looked for, too: packets of an encrypted network on the device below it as
they are, and routes into a network's subnets that are not flock's (those that routing daemons
learned, and rules, are not seen).

Members that have no address of the network are tried by what they have in the subnets that it
deals them, or that they share: on a bridge of setsubnet, on Docker's. Those without any are named.

With --bench 100 echoes are sent on each path within a second, all paths at one time, and data
between one pair of a server at a time; then a table shows the round trips that 50, 90 and 99 of a
hundred do not exceed, losses, and how fast data was, there and back.

The matrix shows the median round trip in milliseconds from the server of the row to that of
the column; 'lost': no answer; '3/5': three of five were answered; '1400B': larger packets are
lost; 'stall': TCP data stops; 'sums': it comes with wrong checksums. More than 12 members
are shown in groups: the slowest round trip, '!2': two paths are bad. All servers send at one
time, so that each knows whose packets arrive: what is said of a lost pair names the direction.
A network of more than 50 members is tried between each of them and the 16 after it in a ring,
unless --all is given, which sends data between all of them, too.

Exit status 4 when a path does not pass as it should, or a server is not as it should be, 3
when a server cannot be reached.

  flock verify
  flock verify vx1 --watch
  flock verify vx1 --bench
  flock verify vx1 -o json`

const watchEvery = 10 * time.Second

// watch calls round again and again, until ctx ends or it fails otherwise than by a verdict. It
// returns what the last whole round came to.
func watch(ctx context.Context, every time.Duration, round func(context.Context) error) (last error) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		err := round(ctx)
		_, verdict := errors.AsType[command.Exit](err)
		switch {
		case err == nil, verdict:
		case ctx.Err() != nil:
			return last
		default:
			return err
		}
		last = err
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
		if ctx.Err() != nil { // also where both came: select takes either
			return last
		}
	}
}

func (a *app) verify(ctx context.Context, names []string, effort change.Effort) error {
	c, err := a.Load(ctx)
	if err != nil {
		return err
	}
	if err := command.KnownNetworks(c, names); err != nil {
		return err
	}
	var v *change.Verification
	err = a.With(func(e command.Engine, _ *command.Progress) (err error) {
		v, err = e.Verify(ctx, names, effort)
		return err
	})
	if err != nil {
		return err
	}
	list := view.VerifiedOf(v)
	if s, err := a.Store(); err == nil {
		_ = s.NoteVerdicts(c, nil, view.VerdictsOf(list, effort.Data, s.Verdicts(), time.Now())) // in a directory that is read-only nothing is kept
	}
	switch {
	case a.JSON():
		err = a.PrintJSON(view.VerifyDocOf(v, list))
	case len(list) == 0:
		a.Say("there is no network; next: flock createnetwork NAME vxlan")
	default:
		err = a.PrintVerification(list, v.Drifted)
		if effort.Bench && err == nil {
			err = a.PrintBench(v)
		}
	}
	if err != nil {
		return err
	}
	for _, s := range v.Absent {
		a.Report(s.Err)
	}
	switch {
	case slices.ContainsFunc(list, (*view.Verified).Bad), len(v.Drifted) > 0:
		return command.Exit(command.ExitDrift)
	case len(v.Absent) > 0:
		return command.Exit(command.ExitPartial)
	}
	return nil
}
