package cli

import (
	"context"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/edit"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
	"github.com/flocknet/flock/internal/view"
	"github.com/spf13/cobra"
)

func newListNet(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "listnet [SERVER[:CONTAINER]]",
		Short: "list a server's containers and their interfaces, live",
		Long: `List the containers of a server, without one of this workstation, and their interfaces: the
bridge that one is plugged into, MAC, addresses, and BY whom: flock (of this cluster, or which
cluster), or - for whoever else. AWAITED is one that comes with its container; a container
that is STOPPED has none. Guests of libvirt's have theirs listed also while they are shut off,
with the addresses that the server leased to them. Interfaces on
bridges of the cluster whose container is not known are listed by their ends on the server,
with the MAC that was last heard there.

  flock listnet s1
  flock listnet s1:c1 -o json`,
		Args: command.Between(0, 1),
		ValidArgsFunction: a.Complete(1, func(c *state.Cluster, _ []string, _ string) []string {
			return c.ServerNames()
		}),
		RunE: func(cmd *cobra.Command, args []string) error { return a.listNet(cmd.Context(), args) },
	}
}

func (a *app) listNet(ctx context.Context, args []string) error {
	o := netOptions{Plug: edit.Plug{Server: network.Local}}
	if len(args) > 0 {
		o.Server = args[0]
		if strings.Contains(args[0], ":") {
			if err := o.parseTarget(args[0]); err != nil {
				return err
			}
		}
	}
	c, err := a.Load(ctx)
	if err != nil {
		return err
	}
	if c.Servers[o.Server] == nil && o.Server != network.Local {
		return command.Usage(hint.Unknown("server", o.Server, "flock listservers"))
	}
	var found []spec.Container
	err = a.With(func(e command.Engine, _ *command.Progress) (err error) {
		found, err = e.Containers(ctx, o.Server)
		return err
	})
	if err != nil {
		return command.Partial(err)
	}
	views := view.Nets(c, o.Server, found)
	if o.Container != "" {
		views = slices.DeleteFunc(views, func(v view.Net) bool {
			_, name, _ := strings.Cut(v.Container, "/")
			return v.Container != o.Container && name != o.Container
		})
		if len(views) == 0 {
			return hint.AsUnknown(hint.Errorf("server "+o.Server, "flock listnet "+o.Server, "there is no container %s on %s", o.Container, o.Server))
		}
	}
	if a.JSON() {
		return a.PrintJSON(view.NetList{Interfaces: views})
	}
	if len(views) == 0 {
		a.Say("no containers on %s", o.Server)
		return nil
	}
	return view.NetTable(views, a.Cluster(), a.Wide()).Write(a.Out, a.TableWidth())
}
