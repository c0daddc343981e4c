package cli

import (
	"context"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/edit"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/state"
	"github.com/spf13/cobra"
)

func newDelNet(a *app) *cobra.Command {
	var o netOptions
	return &cobra.Command{
		Use:   "delnet [SERVER:]CONTAINER IFACE",
		Short: "take an interface away from a container",
		Long: `Take an interface away that flock gave to a container, now and for good. Other interfaces
of the container are not touched.

  flock delnet s1:c1 eth1`,
		Args:              exactly(2),
		ValidArgsFunction: a.completeNet(interfacesOf),
		Annotations:       changing(),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.parseTarget(args[0]); err != nil {
				return err
			}
			o.iface = args[1]
			return a.delNet(cmd.Context(), &o)
		},
	}
}

func (a *app) delNet(ctx context.Context, o *netOptions) error {
	c, err := a.load(ctx)
	if err != nil {
		return err
	}
	s := c.Servers[o.server]
	if s == nil {
		return usage{hint.Errorf("server "+o.server, "flock listservers", "unknown server %s", o.server)}
	}
	if err := o.choose(o.recorded(s)); err != nil {
		return usage{err}
	}
	if network.AttachedAt(s, o.container, o.iface) < 0 {
		a.Say("nothing to do: flock gave %s on %s no interface %s", o.container, o.server, o.iface)
		return nil
	}
	return a.alter(ctx, alter{
		Request: change.Request{Edit: func(c *state.Cluster) error { return edit.Detach(c, o.server, o.container, o.iface) }},
		said:    func(*change.Outcome) string { return o.server + ":" + o.container + ": no " + o.iface },
	})
}
