package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/screen"
	"github.com/flocknet/flock/internal/state"
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
or is pending. -o wide shows all servers, and of WireGuard peers the endpoint in use, the last
handshake and traffic.

  flock status vx1
  flock status s1 s2`,
		Args:              between(0, 1<<30),
		ValidArgsFunction: a.completeLooking(),
		RunE:              func(cmd *cobra.Command, args []string) error { return a.lookAt(cmd.Context(), args) },
	}
}

// States that only status knows.
const (
	converged = "converged"
	drifted   = "drifted"
)

// named separates networks and servers; a name may be both.
func (a *app) named(ctx context.Context, names []string) (networks, servers []string, err error) {
	if len(names) == 0 {
		return nil, nil, nil
	}
	c, err := a.load(ctx)
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
			return nil, nil, refuse("flock listnetworks, flock listservers", "%s is neither a network nor a server", name)
		}
	}
	return networks, servers, nil
}

func (a *app) lookAt(ctx context.Context, names []string) error {
	networks, servers, err := a.named(ctx, names)
	if err != nil {
		return err
	}
	out, err := a.work(func(e engine, _ *progress) (*change.Outcome, error) { return e.Status(ctx, networks, servers) })
	if err != nil {
		return err
	}
	for i := range out.Servers {
		out.Servers[i].State = liveState(out, out.Servers[i])
	}
	if a.json() {
		err = a.printJSON(outcomeOf(out))
	} else {
		err = a.printStatus(out)
	}
	if err == nil && a.wide() {
		err = a.printSessions(out, time.Now())
	}
	if !a.json() {
		a.notes(slices.DeleteFunc(slices.Concat(out.Notes, out.Silent), func(n network.Note) bool { return !n.Amiss }))
		a.notes(bgpNotes(out.Servers))
		loosePorts(out.Servers, func(line string) { a.say("%s", line) })
	}
	if err != nil {
		return err
	}
	return verdict(out)
}

// liveState is the state of a server that was looked at live.
func liveState(out *change.Outcome, s change.Server) string {
	_, never := slices.BinarySearch(out.Behind, s.Name)
	_, waits := slices.BinarySearch(out.Pending, s.Name)
	switch {
	case s.Err != nil:
		return s.State
	case never:
		return statePending
	case waits, len(stepsOf(s)) > 0, len(amiss(out, s)) > 0:
		return drifted
	}
	return converged
}

// verdict turns states into the exit status.
func verdict(out *change.Outcome) error {
	var code error
	for _, s := range out.Servers {
		switch s.State {
		case drifted, statePending, change.Planned, change.Refused:
			return exit(ExitDrift)
		case converged, change.Unchanged:
		default:
			code = exit(ExitPartial)
		}
	}
	return code
}

// printStatus prints how many servers are in which state, then those that are not as
// they should be; with -o wide all.
func (a *app) printStatus(out *change.Outcome) error {
	if len(out.Servers) == 0 {
		a.say("no servers to look at; next: flock listservers")
		return nil
	}
	if err := a.print(a.Out, "%s\n", tally(out)); err != nil {
		return err
	}
	shown := *out
	if !a.wide() {
		shown.Servers = slices.DeleteFunc(slices.Clone(out.Servers), func(s change.Server) bool { return s.State == converged })
	}
	if len(shown.Servers) > 0 {
		if err := a.statusTable(out, shown.Servers).Write(a.Out, 0); err != nil {
			return err
		}
	}
	if next := nextAfter(out); next != "" {
		a.say("next: %s", next)
	}
	for _, s := range out.Servers {
		for _, err := range screen.Parts(s.Err) {
			if _, next := hint.Of(err); next != "" {
				a.say("%s next: %s", s.Name, next)
			}
		}
	}
	return nil
}

// tally is how many servers are in which state.
func tally(out *change.Outcome) string {
	count := map[string]int{}
	for _, s := range out.Servers {
		count[s.State]++
	}
	var words []string
	for _, state := range []string{converged, drifted, statePending, change.Refused, change.Unreachable, change.Failed} {
		if count[state] > 0 {
			words = append(words, fmt.Sprintf("%d %s", count[state], state))
		}
	}
	return plural(len(out.Servers), "server") + ": " + strings.Join(words, ", ")
}

// statusTable has one line per thing that is wrong, and one for a server where
// nothing is.
func (a *app) statusTable(out *change.Outcome, servers []change.Server) *screen.Table {
	t := &screen.Table{Head: []string{"SERVER", "STATE"}}
	keyed := slices.ContainsFunc(servers, func(s change.Server) bool { return wireguardOf(out.Cluster, s.Name) != "" })
	speaks := slices.ContainsFunc(servers, func(s change.Server) bool { return s.BGP != nil })
	if keyed {
		t.Head = append(t.Head, "WIREGUARD")
	}
	if speaks {
		t.Head = append(t.Head, "BGP")
	}
	t.Head = append(t.Head, "WHAT")
	for _, s := range servers {
		for _, line := range a.statusLines(out, s) {
			row := []string{s.Name, s.State}
			if keyed {
				row = append(row, wireguardOf(out.Cluster, s.Name))
			}
			if speaks {
				row = append(row, sessionsOf(out, s).text())
			}
			t.Add(append(row, strings.ReplaceAll(line, " ", screen.NoBreak))...)
		}
	}
	return t
}

// nextAfter is the advice for servers that are not as they should be. apply does not
// help a BGP session.
func nextAfter(out *change.Outcome) string {
	next := ""
	for _, s := range out.Servers {
		switch {
		case s.State == statePending || s.State == drifted && len(stepsOf(s)) > 0:
			return "flock apply"
		case s.State == drifted && len(silent(out, s)) > 0 && next == "":
			next = "flock showbgp " + s.Name
		case s.State == drifted && next == "":
			more, full := running(out, s)
			if len(more) > 0 {
				return "flock apply"
			}
			if len(full) > 0 && out.Cluster.Networks[full[0].Network] != nil {
				next = "flock listnetworks " + full[0].Network
			}
		}
	}
	return next
}

// wireguardOf says what makes a server's WireGuard devices (kernel, userspace); empty if
// it has none.
func wireguardOf(c *state.Cluster, server string) string {
	if s := c.Servers[server]; s != nil && s.Facts != nil && len(network.KeyDevices(c, server)) > 0 {
		return s.Facts.WireGuard
	}
	return ""
}

// statusLines describes what is wrong with a server, one line each; one empty line if
// nothing is.
func (a *app) statusLines(o *change.Outcome, s change.Server) []string {
	if s.Err != nil {
		var out []string
		for _, err := range screen.Parts(s.Err) {
			out = append(out, screen.Message(err))
		}
		return out
	}
	uncoloured := *a
	uncoloured.OutTTY = false // the table would count colours as columns
	out := append(uncoloured.stepLines(stepsOf(s)), amiss(o, s)...)
	if a.OutTTY {
		for i := range out {
			out[i] = screen.Cut(out[i], max(a.Columns()-len(s.Name)-len(s.State)-8, 40))
		}
	}
	if len(out) == 0 {
		out = []string{""}
		if s.State == drifted {
			out[0] = "it has not confirmed what the file says now; nothing on it has to change"
		}
	}
	return out
}
