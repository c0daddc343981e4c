package change

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/flocknet/flock/internal/edit"
	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/peering"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// How long a change waits for BGP sessions: when both sides connect at the same time,
// they try again after some seconds. A new reflector restarts its daemon to learn its
// clients, and announces nothing until it has all their routes again.
const (
	awaitBGP       = 20 * time.Second
	awaitConverged = time.Minute
)

// shared are the shared subnets of every BGP network before the edit.
func shared(c *state.Cluster) map[string][]netip.Prefix {
	out := map[string][]netip.Prefix{}
	for _, name := range network.BGPNetworks(c) {
		for _, text := range c.Networks[name].Shares {
			if share, err := state.ParseShare(text); err == nil {
				out[name] = append(out[name], share.Subnet)
			}
		}
	}
	return out
}

// forgotten are the subnets that members of a network shared when the run began and
// share no more.
func (r *run) forgotten(name string) []netip.Prefix {
	now := shared(r.c)[name]
	return slices.DeleteFunc(slices.Clone(r.shared[name]), func(p netip.Prefix) bool { return slices.Contains(now, p) })
}

// await waits until the members of BGP networks that answer have their sessions and
// routes, and no routes to removed subnets. Then it ends the previous sessions. What does
// not come up in time is noted.
func (r *run) await(ctx context.Context) error {
	if r.req.Await == nil {
		return nil
	}
	for _, name := range network.BGPNetworks(r.c) {
		if !r.awaited(name) {
			continue
		}
		within := awaitBGP
		for {
			settling := r.c.Networks[name].Before != nil
			if settling {
				within = awaitConverged
			}
			missing, outside, err := r.listen(ctx, name, cmp.Or(r.e.wait, within))
			if err != nil {
				return hint.With(fmt.Errorf("wait for the sessions of %s, whose change is done: %w", name, err), "network "+name, "flock showbgp")
			}
			if len(missing) > 0 || !settling {
				for _, text := range slices.Concat(missing, outside) {
					r.unheard = append(r.unheard, ground.Note{Network: name, Text: text})
				}
				break
			}
			within = awaitConverged // a daemon that is no longer a reflector restarts
			if err := r.again(func(c *state.Cluster) error { return edit.FinishSessions(c, name) }); err != nil {
				return err
			}
			if err := r.step(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// mayAwait says whether the request concerns a BGP network.
func (r *run) mayAwait(name string) bool {
	named := r.req.Await.Networks
	if len(named) == 0 {
		named = r.req.Networks
	}
	return len(named) == 0 || slices.Contains(named, name)
}

// awaited says whether a BGP network is waited for: one that the request names or, if it
// names none, one that something was done for.
func (r *run) awaited(name string) bool {
	if !r.mayAwait(name) {
		return false
	}
	n := r.c.Networks[name]
	return len(r.req.Await.Networks) > 0 || n.Before != nil || slices.ContainsFunc(n.Members, func(m string) bool {
		p := r.peers[ground.ServerOf(m)]
		if p == nil {
			return false
		}
		_, report := p.whole()
		return report != nil && len(report.Steps) > 0
	})
}

// listen asks the members that answer until nothing is missing, or until within has
// passed, and returns what is missing: among them, and of external neighbours.
func (r *run) listen(ctx context.Context, name string, within time.Duration) (missing, outside []string, err error) {
	var members []*peer
	for _, m := range r.c.Networks[name].Members {
		server := ground.ServerOf(m)
		if p := r.peers[server]; p == nil || p.state() != Unreachable {
			members = append(members, r.listener(server))
		}
	}
	if len(members) == 0 {
		return nil, nil, nil
	}
	slices.SortFunc(members, func(a, b *peer) int { return strings.Compare(a.name, b.name) })
	gone := r.forgotten(name)
	asked := r.outside()
	_, err = r.poll(ctx, members, func(list []Speaker) bool {
		missing, outside = peering.Unheard(r.c.Networks[name], r.compiled.Hosts, gone, list), nil
		wait := len(missing) > 0
		for _, s := range list {
			var h *spec.BGP
			if host := r.compiled.Hosts[s.Server]; host != nil {
				h = host.BGP
			}
			texts, waits := peering.UnheardOutside(s, h, asked)
			outside, wait = append(outside, texts...), wait || waits
		}
		return !wait
	}, within)
	return missing, outside, err
}

// listener is a server whose daemon is asked, on the session that it has. Its errors do
// not make the change fail.
func (r *run) listener(server string) *peer {
	p := r.listeners[server]
	if p == nil {
		p = &peer{name: server}
		if r.listeners == nil {
			r.listeners = map[string]*peer{}
		}
		r.listeners[server] = p
	}
	if changed := r.peers[server]; p.session == nil && changed != nil {
		p.session = changed.session
	}
	p.want = r.compiled.Hosts[server]
	return p
}
