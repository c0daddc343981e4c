package cli

import (
	"context"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/edit"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/segment"
	"github.com/flocknet/flock/internal/state"
	"github.com/spf13/cobra"
)

func newDelNet(a *app) *cobra.Command {
	var o netOptions
	return &cobra.Command{
		Use:   "delnet [SERVER:]CONTAINER IFACE",
		Short: "take an interface away from a container",
		Long: `Take an interface away that flock gave to a container, now and for good. One that setnet
moved goes back to the bridge that it was on. Other interfaces of the container are not
touched.

  flock delnet s1:c1 eth1`,
		Args:              command.Exactly(2),
		ValidArgsFunction: a.completeNet(interfacesOf),
		Annotations:       command.Changing(),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.parseTarget(args[0]); err != nil {
				return err
			}
			o.Interface = args[1]
			return a.delNet(cmd.Context(), &o)
		},
	}
}

func (a *app) delNet(ctx context.Context, o *netOptions) error {
	c, err := a.Load(ctx)
	if err != nil {
		return err
	}
	s := c.Servers[o.Server]
	if s == nil {
		return command.Usage(hint.Unknown("server", o.Server, "flock listservers"))
	}
	if err := o.Choose(o.Recorded(s)); err != nil {
		return command.Usage(err)
	}
	if segment.AttachedAt(s, o.Container, o.Interface) < 0 {
		a.Say("nothing to do: flock gave %s on %s no interface %s", o.Container, o.Server, o.Interface)
		return nil
	}
	return a.Alter(ctx, command.Alter{
		Request: change.Request{Edit: func(c *state.Cluster) error { return edit.Detach(c, o.Server, o.Container, o.Interface) }},
		Said:    func(*change.Outcome) string { return o.Server + ":" + o.Container + ": no " + o.Interface },
	})
}
