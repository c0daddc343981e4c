package cli

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/state"
	"github.com/flocknet/flock/internal/view"
	"github.com/spf13/cobra"
)

func newStatus(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "status [NETWORK|SERVER]...",
		Short: "look at the servers: converged, drifted, unreachable",
		Long: `Look at every server, or the members of networks, or some servers, and say in one line how
many are as the cluster file says, then what differs on the others, one line each: '+' is
missing, '~' differs, '-' is too much. Nothing is changed. A server is converged, drifted
(it differs from what it confirmed), pending (what the file says was never applied there),
unreachable, refused or failed. A server whose DHCP runs out of addresses is drifted, too,
and so are members of a network that do not reach each other. Exit status 4 when one drifted
or is pending. What traffic last showed ('flock verify') is said where it was bad. -o wide
shows all servers, and of WireGuard peers the endpoint in use, the last handshake and traffic.
-o prometheus prints all of it as metrics, for a file that node_exporter reads
(examples/metrics).

  flock status vx1
  flock status s1 s2`,
		Annotations:       command.Metered(),
		Args:              command.Between(0, 1<<30),
		ValidArgsFunction: a.completeLooking(),
		RunE:              func(cmd *cobra.Command, args []string) error { return a.lookAt(cmd.Context(), args) },
	}
}

// named separates networks and servers; a name may be both.
func (a *app) named(ctx context.Context, names []string) (networks, servers []string, err error) {
	if len(names) == 0 {
		return nil, nil, nil
	}
	c, err := a.Load(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, name := range names {
		_, server := c.Servers[name]
		_, net := c.Networks[name]
		if net {
			networks = append(networks, name)
		}
		if server {
			servers = append(servers, name)
		}
		if !net && !server {
			return nil, nil, hint.AsUnknown(command.Refuse("flock listnetworks, flock listservers", "%s is neither a network nor a server", name))
		}
	}
	return networks, servers, nil
}

func (a *app) lookAt(ctx context.Context, names []string) error {
	networks, servers, err := a.named(ctx, names)
	if err != nil {
		return err
	}
	out, err := a.Work(func(e command.Engine, _ *command.Progress) (*change.Outcome, error) {
		return e.Status(ctx, networks, servers)
	})
	if err != nil {
		return err
	}
	for i := range out.Servers {
		out.Servers[i].State = view.LiveState(out, out.Servers[i])
	}
	verdicts := a.verdicts(out, networks)
	switch {
	case a.JSON():
		doc := view.OutcomeOf(out)
		doc.Verified = verdicts
		err = a.PrintJSON(doc)
	case a.Metrics():
		err = a.PrintMetrics(out, time.Now())
	default:
		err = cmp.Or(a.PrintStatus(out), a.PrintVerdicts(verdicts, time.Now()))
	}
	if err == nil && a.Wide() {
		err = a.PrintSessions(out)
	}
	if !a.JSON() && !a.Metrics() {
		a.Notes(slices.DeleteFunc(slices.Concat(out.Notes, out.Silent), func(n ground.Note) bool { return !n.Amiss }))
		a.Notes(view.BGPNotes(out.Servers))
		view.LoosePorts(out.Servers, func(line string) { a.Say("%s", line) })
		view.AwaitedContainers(out.Servers, func(line string) { a.Say("%s", line) })
	}
	if err != nil {
		return err
	}
	return verdict(out)
}

// verdicts are the last ones of the named networks, of all without names.
func (a *app) verdicts(out *change.Outcome, names []string) map[string]state.Verdict {
	s, err := a.Store()
	if err != nil {
		return nil
	}
	verdicts := s.Verdicts()
	maps.DeleteFunc(verdicts, func(name string, _ state.Verdict) bool {
		return out.Cluster.Networks[name] == nil || len(names) > 0 && !slices.Contains(names, name)
	})
	return verdicts
}

// verdict turns states into the exit status.
func verdict(out *change.Outcome) error {
	var code error
	for _, s := range out.Servers {
		switch s.State {
		case view.Drifted, view.StatePending, change.Planned, change.Refused:
			return command.Exit(command.ExitDrift)
		case view.Converged, change.Unchanged:
		default:
			code = command.Exit(command.ExitPartial)
		}
	}
	return code
}
