package cli

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/state"
)

// How long a command waits for sessions: a connection that crosses its like from the
// other side is tried again after some seconds. A reflector's daemon is started anew
// to know its clients, and tells nothing until it heard everybody again.
const (
	awaitBGP    = 20 * time.Second
	awaitSettle = time.Minute
)

// alterBGP is alter for a BGP network. It returns when the members that answer have
// their sessions and routes, and have forgotten those to what is gone. Where the
// sessions become others, those of before end then.
func (a *app) alterBGP(ctx context.Context, name string, c alter, gone *going) error {
	said := c.said
	var out *change.Outcome
	c.networks, c.said = []string{name}, nil
	c.seen = func(o *change.Outcome) {
		out = o
		// That is what comes next.
		o.Notes = slices.DeleteFunc(o.Notes, func(n network.Note) bool { return n.Text == network.Settling })
	}
	err := a.alter(ctx, c)
	if err != nil && !errors.As(err, new(partial)) || a.flags.dryRun {
		return err
	}
	var subnets []netip.Prefix
	if gone != nil {
		subnets = gone.subnets
	}
	if err := a.settleBGP(ctx, out, name, subnets, awaitBGP); err != nil {
		return err
	}
	if err == nil && said != nil {
		a.say("%s", said(out))
	}
	return err
}

// settleAll does so for the BGP networks of a change of many, networks or all, as
// far as servers had something to do. Err is how the change ended.
func (a *app) settleAll(ctx context.Context, out *change.Outcome, networks []string, err error) error {
	if err != nil && !errors.As(err, new(partial)) || out == nil || a.flags.dryRun {
		return err
	}
	changed := map[string]bool{}
	for _, s := range out.Servers {
		changed[s.Name] = len(stepsOf(s)) > 0
	}
	for _, name := range network.BGPNetworks(out.Cluster) {
		n := out.Cluster.Networks[name]
		touched := n.Before != nil || slices.ContainsFunc(n.Members, func(m string) bool { return changed[network.ServerOf(m)] })
		if !touched || len(networks) > 0 && !slices.Contains(networks, name) {
			continue
		}
		if err := a.settleBGP(ctx, out, name, nil, awaitBGP); err != nil {
			return err
		}
	}
	return err
}

// settleBGP waits within for the sessions and routes of a network that was changed to
// out, longer where daemons are started anew, and ends the sessions of before when those of now are up. What does not come up
// in time is said.
func (a *app) settleBGP(ctx context.Context, out *change.Outcome, name string, gone []netip.Prefix, within time.Duration) error {
	c := out.Cluster
	n := c.Networks[name]
	if n == nil {
		return nil
	}
	away := awayIn(out)
	var members []string
	for _, m := range n.Members {
		if server := network.ServerOf(m); !away(server) {
			members = append(members, server)
		}
	}
	slices.Sort(members)
	if len(members) == 0 {
		return nil
	}
	if n.Before != nil {
		within = awaitSettle
	}
	var missing []string
	err := a.with(func(e engine, _ *progress) error {
		_, err := e.BGP(ctx, members, func(s []change.Speaker) bool {
			missing = change.Unheard(c, name, gone, s)
			return len(missing) == 0
		}, within)
		return err
	})
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		for _, line := range missing[:min(len(missing), fewMissing)] {
			a.say("note: %s: %s", name, line)
		}
		if more := len(missing) - fewMissing; more > 0 {
			a.say("note: %s: and %d more, flock showbgp", name, more)
		}
		if n.Before != nil {
			a.say("note: %s: %s", name, network.Settling)
		}
		return nil
	}
	if n.Before == nil {
		return nil
	}
	settled, err := a.work(func(e engine, _ *progress) (*change.Outcome, error) {
		return e.Run(ctx, change.Request{Edit: func(c *state.Cluster) error { return network.Settle(c, name) }, Networks: []string{name}})
	})
	if err != nil {
		return a.failed(settled, err)
	}
	if err := a.settleBGP(ctx, settled, name, gone, awaitSettle); err != nil { // what reflects no more is started anew
		return err
	}
	return incomplete(settled, []string{name})
}

// awayIn says which servers a change found unreachable.
func awayIn(out *change.Outcome) func(server string) bool {
	away := map[string]bool{}
	for _, s := range out.Servers {
		away[s.Name] = s.State == change.Unreachable
	}
	return func(server string) bool { return away[server] }
}

// fewMissing is how many missing sessions and routes are said one by one.
const fewMissing = 4
