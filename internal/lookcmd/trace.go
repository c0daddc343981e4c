package lookcmd

import (
	"context"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/state"
	"github.com/flocknet/flock/internal/view"
	"github.com/spf13/cobra"
)

func newTrace(a *app) *cobra.Command {
	by := ""
	cmd := &cobra.Command{
		Use:   "trace FROM TO [PROTO/PORT]",
		Short: "follow a packet, object by object, to the one that stops it",
		Long: `Follow a packet from FROM to TO by what the kernels say, and name the object that stops it:
route, device, bridge port, neighbour, forwarding entry or flood list, rule that drops,
WireGuard peer, reverse path filter, on each server that it meets. Then send one such packet,
an ICMP echo or what PROTO/PORT says, and tell where it was last seen: what is between servers
no look-up shows. Nothing is changed.

FROM and TO are SERVER, SERVER:CONTAINER (as 'listnet' names it) or an address. Between two
servers it goes by their first network in common, or by --network; the address of a server below leads there.

Exit status 4 when the packet does not arrive, 3 when that is not known as a server on the way
cannot be reached.

  flock trace s1 s2
  flock trace s1:c1 s2:web tcp/443
  flock trace 10.0.4.17 10.0.4.203 -o json`,
		Args: command.Between(2, 3),
		ValidArgsFunction: a.Complete(3, func(c *state.Cluster, args []string, _ string) []string {
			if len(args) == 2 {
				return []string{"icmp", "tcp/", "udp/"}
			}
			out := c.ServerNames()
			for _, name := range c.ServerNames() {
				for _, at := range c.Servers[name].Attached {
					out = append(out, name+":"+at.Container)
				}
			}
			return out
		}),
		RunE: func(cmd *cobra.Command, args []string) error {
			proto := ""
			if len(args) == 3 {
				proto = args[2]
			}
			return a.trace(cmd.Context(), args[0], args[1], proto, by)
		},
	}
	cmd.Flags().StringVar(&by, "network", "", "go by this `NETWORK`, where both share several")
	return cmd
}

func (a *app) trace(ctx context.Context, from, to, proto, by string) error {
	var found *change.Traced
	err := a.With(func(e command.Engine, _ *command.Progress) (err error) {
		found, err = e.Trace(ctx, from, to, proto, by)
		return err
	})
	if err != nil {
		return err
	}
	if a.JSON() {
		err = a.PrintJSON(view.TraceDocOf(found))
	} else {
		err = a.PrintTrace(found)
	}
	if err != nil {
		return err
	}
	r := found.Result
	if r.Guilty() != nil || r.Reaches && r.Sent { // others were not needed
		for _, s := range found.Absent {
			a.Report(s.Err)
		}
		found.Absent = nil
	}
	return a.lookedAt(found.Absent, !r.Reaches)
}
