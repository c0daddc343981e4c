package command

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/screen"
	"github.com/flocknet/flock/internal/state"
	"github.com/flocknet/flock/internal/view"
)

// Ready describes a network after a change.
func Ready(out *change.Outcome, name string) string {
	n := out.Cluster.Networks[name]
	if n == nil {
		return name + " removed"
	}
	if len(n.Members) == 0 {
		return name + ": no members"
	}
	text := name + ": " + view.Plural(len(n.Members), "member")
	if len(n.Shares) > 0 {
		text += ", " + view.Plural(len(n.Shares), "shared subnet")
	}
	return text + ", ready"
}

// Outline is a network in one line.
func Outline(n *state.Network) string {
	subnets := Prefixes(n.Subnets)
	words := append(strings.Fields(n.Type+" "+subnets.String()), view.Options(n, n.MTU)...)
	return strings.ReplaceAll(strings.Join(words, " "), screen.NoBreak, " ")
}

// IsMember says whether a server is in a network of the file.
func IsMember(c *state.Cluster, name, server string) bool {
	if c == nil || c.Networks[name] == nil {
		return false
	}
	return slices.ContainsFunc(c.Networks[name].Members, func(m string) bool { return ground.ServerOf(m) == server })
}

// Remove takes a network out as wanted says.
func (a *App) Remove(ctx context.Context, name string, wanted func(*state.Cluster, string) error) error {
	var members []string
	return a.Alter(ctx, Alter{
		Request: change.Request{Edit: func(c *state.Cluster) error {
			members = nil
			if n := c.Networks[name]; n != nil {
				for _, m := range n.Members {
					members = append(members, ground.ServerOf(m))
				}
			}
			return wanted(c, name)
		}},
		Question: func() string {
			if len(members) == 0 {
				return fmt.Sprintf("remove %s, which has no members?", name)
			}
			return fmt.Sprintf("remove %s from %s?", name, view.Listed(members))
		},
		Already: AlreadyGone(name, ""),
		Said:    func(out *change.Outcome) string { return Ready(out, name) },
	})
}

// Nothing ends a command that finds everything in c as it should be, and contacts nobody.
func (a *App) Nothing(c *state.Cluster, text string) error {
	a.Say("%s", text)
	if a.JSON() {
		return a.PrintJSON(view.OutcomeOf(&change.Outcome{Cluster: c}))
	}
	return nil
}

// AlreadyThere says that what was to be added to a network is there.
func AlreadyThere(what []string, name string) func(*change.Outcome) string {
	return func(out *change.Outcome) string {
		return view.Listed(what) + ": already in " + name + "\n" + Ready(out, name)
	}
}

// AlreadyGone says that what was to be taken out of a network, or the network if within is
// "", is not there.
func AlreadyGone(what, within string) func(*change.Outcome) string {
	return func(out *change.Outcome) string {
		switch {
		case within == "":
			return what + ": not there, nothing to remove"
		case out.Cluster.Networks[within] == nil:
			return within + ": not there, nothing to remove"
		}
		return what + ": not in " + within + ", nothing to remove"
	}
}
