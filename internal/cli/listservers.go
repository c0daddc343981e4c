package cli

import (
	"cmp"
	"context"
	"slices"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/remote"
	"github.com/flocknet/flock/internal/state"
	"github.com/flocknet/flock/internal/view"
	"github.com/spf13/cobra"
)

func newListServers(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "listservers [NAME]",
		Short: "list the servers, or everything about one",
		Long: `List the servers of the cluster, from the file: nobody is contacted. UNDERLAY and MTU
are what networks use on a server by default. STATE is ready, pending (flock apply finishes
it) or new (never contacted). Servers that left, or were replaced, while they were away are
gone or replaced: flock apply cleans them when they answer, 'flock delserver NAME --force'
forgets them. With -o wide and -o json CONNECTED is the socket of a connection of ssh's that is
up: commands go through it without a login.

With NAME, everything about one: how it is reached, its interfaces, what it is and has in
its networks, and what its containers get.

  flock listservers -o wide
  flock listservers s1`,
		Args:              command.Between(0, 1),
		ValidArgsFunction: a.CompleteServers(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				return a.listServer(cmd.Context(), args[0])
			}
			return a.listServers(cmd.Context())
		},
	}
}

func (a *app) listServers(ctx context.Context) error {
	r, err := a.Read(ctx)
	if err != nil {
		return err
	}
	views := view.Servers(r.Cluster, change.Pending(r.Cluster, r.Compiled))
	if a.JSON() || a.Wide() {
		a.connected(ctx, r.Cluster, views)
	}
	if a.JSON() {
		return cmp.Or(a.PrintJSON(view.ServerList{Servers: views}), r.Fault(a.App))
	}
	if len(views) == 0 {
		a.Say("no servers yet; next: flock addserver NAME [USER@]ADDRESS")
		return r.Fault(a.App)
	}
	return cmp.Or(a.ServerTable(views).Write(a.Out, a.TableWidth()), r.Fault(a.App))
}

func (a *app) listServer(ctx context.Context, name string) error {
	r, err := a.Read(ctx)
	if err != nil {
		return err
	}
	if r.Cluster.Servers[name] == nil {
		return command.Usage(hint.Unknown("server", name, "flock listservers"))
	}
	views := view.Servers(r.Cluster, change.Pending(r.Cluster, r.Compiled))
	at := slices.IndexFunc(views, func(v view.Server) bool { return v.Name == name })
	a.connected(ctx, r.Cluster, views[at:at+1])
	v := view.Detail(r.Cluster, r.Networks(), views[at])
	if a.JSON() {
		return cmp.Or(a.PrintJSON(v), r.Fault(a.App))
	}
	return cmp.Or(a.PrintServer(v), r.Fault(a.App))
}

// connected notes which servers commands reach without a login. That is between flock and ssh on
// the workstation; no server is asked.
func (a *app) connected(ctx context.Context, c *state.Cluster, views []view.Server) {
	d := a.Dialer()
	for i, r := range remote.Each(ctx, views, a.Parallel(), func(ctx context.Context, v view.Server) (string, error) {
		if c.Servers[v.Name] == nil { // gone
			return "", nil
		}
		return d.Connected(ctx, change.Target(c, v.Name)), nil
	}) {
		views[i].Connected = r.Value
	}
}
