package cli

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/view"
	"github.com/spf13/cobra"
)

func newListNetworks(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "listnetworks [NAME]",
		Short: "list the networks and tunnels, or the members of one",
		Long: `List the networks and tunnels of the cluster, from the file: nobody is contacted ('flock status'
looks at the servers). With NAME, its members one by one, its routers, and what containers
get on its bridge. STATE is ready, 'pending s3 …'
(flock apply finishes it), empty (no members) or broken (what stands in the file makes no
sense: it is said why, and the exit status is 2). VERIFIED is what traffic last showed, by 'flock
verify' or at the end of a change: passes, lost, broken, stalls, lossy, narrow. With -o json all are in "networks"; with NAME there is that one.

  flock listnetworks
  flock listnetworks vx1 -o json`,
		Args:              command.Between(0, 1),
		ValidArgsFunction: a.CompleteNetworks(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				return a.listNetwork(cmd.Context(), args[0])
			}
			return a.listNetworks(cmd.Context())
		},
	}
}

func (a *app) listNetworks(ctx context.Context) error {
	r, err := a.Read(ctx)
	if err != nil {
		return err
	}
	views := r.Networks()
	if a.JSON() {
		return cmp.Or(a.PrintJSON(view.NetworkList{Networks: views}), r.Fault(a.App))
	}
	if len(views) == 0 {
		a.Say("no networks yet; next: flock createnetwork NAME %s", strings.Join(network.Created(), "|"))
		return r.Fault(a.App)
	}
	return cmp.Or(a.NetworkTable(views, time.Now()).Write(a.Out, a.TableWidth()), r.Fault(a.App))
}

func (a *app) listNetwork(ctx context.Context, name string) error {
	r, err := a.Read(ctx)
	if err != nil {
		return err
	}
	views := r.Networks()
	at := slices.IndexFunc(views, func(v *view.Network) bool { return v.Name == name })
	if at < 0 {
		return command.Usage(hint.Unknown("network", name, "flock listnetworks"))
	}
	v := views[at]
	if a.JSON() {
		return cmp.Or(a.PrintJSON(v), r.Fault(a.App))
	}
	return cmp.Or(a.PrintNetwork(v, time.Now()), r.Fault(a.App))
}
