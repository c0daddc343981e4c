package view

import (
	"fmt"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/screen"
	"github.com/flocknet/flock/internal/state"
)

// States that only status knows.
const (
	Converged = "converged"
	Drifted   = "drifted"
)

// serverStates are the states that a server can have in status, the best first.
func serverStates() []string {
	return []string{Converged, Drifted, StatePending, change.Refused, change.Unreachable, change.Failed}
}

// LiveState is the state of a server that was looked at live.
func LiveState(out *change.Outcome, s change.Server) string {
	_, never := slices.BinarySearch(out.Behind, s.Name)
	_, waits := slices.BinarySearch(out.Pending, s.Name)
	switch {
	case s.Err != nil:
		return s.State
	case never:
		return StatePending
	case waits, len(stepsOf(s)) > 0, len(amiss(out, s)) > 0:
		return Drifted
	}
	return Converged
}

// PrintStatus prints how many servers are in which state, then those that are not as
// they should be; with -o wide all.
func (a *Page) PrintStatus(out *change.Outcome) error {
	if len(out.Servers) == 0 {
		a.Say("no servers to look at; next: flock listservers")
		return nil
	}
	if err := a.Print(a.Out, "%s\n", tally(out)); err != nil {
		return err
	}
	shown := *out
	if !a.Wide() {
		shown.Servers = slices.DeleteFunc(slices.Clone(out.Servers), func(s change.Server) bool { return s.State == Converged })
	}
	if len(shown.Servers) > 0 {
		if err := a.statusTable(out, shown.Servers).Write(a.Out, 0); err != nil {
			return err
		}
	}
	if next := nextAfter(out); next != "" {
		a.Say("next: %s", next)
	}
	for _, s := range out.Servers {
		for _, err := range screen.Parts(s.Err) {
			if _, next := hint.Of(err); next != "" {
				a.Say("%s next: %s", s.Name, next)
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
	for _, state := range serverStates() {
		if count[state] > 0 {
			words = append(words, fmt.Sprintf("%d %s", count[state], state))
		}
	}
	return Plural(len(out.Servers), "server") + ": " + strings.Join(words, ", ")
}

// statusTable has one line per thing that is wrong, and one for a server where
// nothing is.
func (a *Page) statusTable(out *change.Outcome, servers []change.Server) *screen.Table {
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
		case s.State == StatePending || s.State == Drifted && len(stepsOf(s)) > 0:
			return "flock apply"
		case s.State == Drifted && len(silent(out, s)) > 0 && next == "":
			next = "flock showbgp " + s.Name
		case s.State == Drifted && next == "":
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
func (a *Page) statusLines(o *change.Outcome, s change.Server) []string {
	if s.Err != nil {
		var out []string
		for _, err := range screen.Parts(s.Err) {
			out = append(out, screen.Message(err))
		}
		return out
	}
	uncoloured := *a
	uncoloured.OutTTY = false // the table would count colours as columns
	out := append(uncoloured.StepLines(stepsOf(s)), amiss(o, s)...)
	if a.OutTTY {
		for i := range out {
			out[i] = screen.Cut(out[i], max(a.Columns()-len(s.Name)-len(s.State)-8, 40))
		}
	}
	if len(out) == 0 {
		out = []string{""}
		if s.State == Drifted {
			out[0] = "it has not confirmed what the file says now; nothing on it has to change"
		}
	}
	return out
}
