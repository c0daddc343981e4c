package cli

import (
	"context"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/remote"
	"github.com/flocknet/flock/internal/state"
	"github.com/flocknet/flock/internal/target"
	"github.com/spf13/cobra"
)

func newImport(a *app) *cobra.Command {
	var login state.Server
	cmd := &cobra.Command{
		Use:   "import [USER@]ADDRESS[:PORT]",
		Short: "get a lost cluster file back from the servers",
		Long: `Get the cluster file from a server: after the workstation was lost, or as a second admin.
Every server that has part in a network keeps the file of the generation that it confirmed
last. The one that is named says which others there are; all of them are asked, and the newest
file is taken. Nothing is changed on them. The server is called by its address, or by its name
in ~/.ssh/config, with -i and -J as addserver has them.

What one of the servers has confirmed and no file that was found has is lost, and is told.
Where there is a cluster file already, 'flock pull' takes a newer one.

Exit status 3 when some of the servers did not answer: one of them may have a newer file.

  flock import root@10.99.0.1
  flock --cluster lab import admin@[fd00::3]:2222 -i ~/.ssh/lab -J root@bastion`,
		Args:        command.Exactly(1),
		Annotations: command.Changing(),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkLogin(&login); err != nil {
				return err
			}
			return a.importFrom(cmd.Context(), args[0], login)
		},
	}
	loginFlags(cmd.Flags(), &login)
	return cmd
}

func (a *app) importFrom(ctx context.Context, server string, login state.Server) error {
	s, err := a.Store()
	if err != nil {
		return err
	}
	was, err := s.Load(ctx)
	if err != nil {
		return command.Usage(hint.Errorf(s.Path(), "mv "+hint.Shell(s.Path(), s.Path()+".broken")+", then the same again", "import from %s: the cluster file that is there is broken: %v", server, err))
	}
	if len(was.Servers)+len(was.Networks) > 0 {
		return command.Usage(hint.Errorf(s.Path(), "flock pull, which takes a newer one from its servers; or --state FILE for another file", "import from %s: there is a cluster file already", server))
	}
	c := &state.Cluster{Schema: state.Schema, Name: a.Cluster(), Servers: map[string]*state.Server{server: &login}}
	if server != remote.Local {
		if login.User, login.Address, login.Port, err = target.Parse(server); err != nil {
			return command.Usage(err)
		}
	}
	g := &gathering{a: a, store: s}
	var best *state.Held
	err = a.With(func(e command.Engine, p *command.Progress) error {
		if err := g.inquire(ctx, e, c, []string{server}); err != nil {
			return err
		}
		if len(g.absent) > 0 {
			return wayIn(g.absent[0].Err)
		}
		first := state.Newest(g.held)
		if first == nil {
			return g.none(server)
		}
		g.ask = func(brings string) error { return a.Confirm(p, brings+"?") }
		if err := g.uses(c, first.File); err != nil {
			return err
		}
		g.held = nil // it is among its own servers
		best, err = g.whole(ctx, e, first.File)
		if best == nil { // by its own address it does not answer here
			g.held, best = []*state.Held{first}, first
		}
		return err
	})
	if err != nil {
		return err
	}
	return g.take(ctx, best, was)
}

// none is the error about a server that has no cluster file for us.
func (g *gathering) none(server string) error {
	others := []string{}
	for _, c := range g.seen {
		if c.Cluster == g.a.Cluster() {
			return hint.Errorf("server "+server, "another server of the cluster", "%s has networks of cluster %s, and no copy of its file: an older flock made them", server, c.Cluster)
		}
		others = append(others, c.Cluster)
	}
	if len(others) == 0 {
		return hint.Errorf("server "+server, "another server of the cluster", "%s has nothing of flock's", server)
	}
	slices.Sort(others)
	return hint.Errorf("server "+server, hint.Shell("flock", "--cluster", others[0], "import", server), "%s has nothing of cluster %s; it has: %s", server, g.a.Cluster(), strings.Join(others, ", "))
}
