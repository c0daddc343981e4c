package cli

import (
	"cmp"
	"context"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/view"
	"github.com/spf13/cobra"
)

func newListServers(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "listservers",
		Short: "list the servers",
		Long: `List the servers of the cluster, from the file: nobody is contacted. UNDERLAY and MTU
are what networks use on a server by default. STATE is ready, pending (flock apply finishes
it) or new (never contacted).

  flock listservers -o wide`,
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.listServers(cmd.Context()) },
	}
}

func (a *app) listServers(ctx context.Context) error {
	r, err := a.read(ctx)
	if err != nil {
		return err
	}
	views := view.Servers(r.c, change.Pending(r.c, r.compiled))
	if a.JSON() {
		return cmp.Or(a.PrintJSON(views), r.fault(a))
	}
	if len(views) == 0 {
		a.Say("no servers yet; next: flock addserver NAME [USER@]ADDRESS")
		return r.fault(a)
	}
	return cmp.Or(a.ServerTable(views).Write(a.Out, a.TableWidth()), r.fault(a))
}
