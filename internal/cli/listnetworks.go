package cli

import (
	"cmp"
	"context"
	"slices"
	"strings"

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
looks at the servers). With NAME, its members one by one. STATE is ready, 'pending s3 …'
(flock apply finishes it), empty (no members) or broken (what stands in the file makes no
sense: it is said why, and the exit status is 2). With -o json a list, with NAME one object.

  flock listnetworks
  flock listnetworks vx1 -o json`,
		Args:              between(0, 1),
		ValidArgsFunction: a.completeNetworks(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				return a.listNetwork(cmd.Context(), args[0])
			}
			return a.listNetworks(cmd.Context())
		},
	}
}

func (a *app) listNetworks(ctx context.Context) error {
	r, err := a.read(ctx)
	if err != nil {
		return err
	}
	views := r.networks()
	if a.JSON() {
		return cmp.Or(a.PrintJSON(views), r.fault(a))
	}
	if len(views) == 0 {
		a.Say("no networks yet; next: flock createnetwork NAME %s", strings.Join(network.Created(), "|"))
		return r.fault(a)
	}
	return cmp.Or(a.NetworkTable(views).Write(a.Out, a.TableWidth()), r.fault(a))
}

func (a *app) listNetwork(ctx context.Context, name string) error {
	r, err := a.read(ctx)
	if err != nil {
		return err
	}
	views := r.networks()
	at := slices.IndexFunc(views, func(v *view.Network) bool { return v.Name == name })
	if at < 0 {
		return usage{hint.Errorf("network "+name, "flock listnetworks", "unknown network %s", name)}
	}
	v := views[at]
	if a.JSON() {
		return cmp.Or(a.PrintJSON(v), r.fault(a))
	}
	return cmp.Or(a.PrintNetwork(v), r.fault(a))
}
