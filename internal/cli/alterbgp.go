package cli

import (
	"context"
	"maps"
	"slices"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/network"
)

// alterBGP is alter for a BGP network. It returns when the members that answer have
// their sessions and routes, and no routes to removed subnets. If the sessions change,
// the previous ones end then.
func (a *app) alterBGP(ctx context.Context, name string, c alter) error {
	if c.Await == nil {
		c.Await = &change.Await{}
	}
	c.networks, c.Await.Networks = []string{name}, []string{name}
	return a.alter(ctx, c)
}

// fewMissing is how many missing sessions and routes of a network are listed.
const fewMissing = 4

// unheard says which sessions and routes did not come up in time.
func (a *app) unheard(list []network.Note) {
	count := map[string]int{}
	for _, n := range list {
		if count[n.Network]++; count[n.Network] <= fewMissing {
			a.say("note: %s: %s", n.Network, n.Text)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(count)) {
		if more := count[name] - fewMissing; more > 0 {
			a.say("note: %s: and %d more, flock showbgp", name, more)
		}
	}
}

// awayIn says which servers a change found unreachable.
func awayIn(out *change.Outcome) func(server string) bool {
	away := map[string]bool{}
	for _, s := range out.Servers {
		away[s.Name] = s.State == change.Unreachable
	}
	return func(server string) bool { return away[server] }
}
