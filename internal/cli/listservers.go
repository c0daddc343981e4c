package cli

import (
	"cmp"
	"context"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/view"
	"github.com/spf13/cobra"
)

func newListServers(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "listservers",
		Short: "list the servers",
		Long: `List the servers of the cluster, from the file: nobody is contacted. UNDERLAY and MTU
are what networks use on a server by default. STATE is ready, pending (flock apply finishes
it) or new (never contacted). Servers that left, or were replaced, while they were away are
gone or replaced: flock apply cleans them when they answer, 'flock delserver NAME --force'
forgets them.

  flock listservers -o wide`,
		Args: command.Exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.listServers(cmd.Context()) },
	}
}

func (a *app) listServers(ctx context.Context) error {
	r, err := a.Read(ctx)
	if err != nil {
		return err
	}
	views := view.Servers(r.Cluster, change.Pending(r.Cluster, r.Compiled))
	if a.JSON() {
		return cmp.Or(a.PrintJSON(views), r.Fault(a.App))
	}
	if len(views) == 0 {
		a.Say("no servers yet; next: flock addserver NAME [USER@]ADDRESS")
		return r.Fault(a.App)
	}
	return cmp.Or(a.ServerTable(views).Write(a.Out, a.TableWidth()), r.Fault(a.App))
}
