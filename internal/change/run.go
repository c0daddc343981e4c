package change

import (
	"cmp"
	"context"
	"crypto/rand"
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/cloud"
	"github.com/flocknet/flock/internal/edit"
	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// run is the state of one change.
type run struct {
	e        *Engine
	id       string // of this change, for servers that are asked twice
	req      Request
	locked   *state.Locked // nil for a dry run
	c        *state.Cluster
	before   map[string]string         // sums before the edit
	was      map[string]*spec.Host     // the specs before the edit; nil if that file made no sense
	behind   []string                  // servers that have not confirmed that
	ways     map[string]way            // of the networks before the edit
	spoke    map[string]bool           // servers with BGP before the edit
	filed    map[string]bool           // servers that the file has
	entries  map[any]entry             // servers before the edit
	former   map[string]entry          // those by the names after it
	networks map[*state.Network]string // by what they were called before the edit
	called   map[string]string         // what networks were called before the edit, if otherwise
	compiled *ground.Compiled
	sums     sums // of the hosts of compiled
	peers    map[string]*peer
	saved    bool
	lineage  *state.Lineage
	copy     string                   // of the file as it was saved, for servers to keep
	handed   map[netip.Prefix]bool    // subnets in which some server ran DHCP before the edit
	looking  bool                     // plans take no lock: a person is asked first
	beside   []ground.Note            // about servers that were made from one disk image, and firewalls of theirs
	silent   []ground.Note            // of WireGuard pairs without a handshake
	muted    map[string]bool          // servers of pairs that do not hear each other
	deaf     []network.Path           // whose probes were not answered
	verdicts map[string]state.Verdict // of what the change brought together, by network

	clouds   *cloud.Set     // nil before the servers have planned
	clouded  []ground.Cloud // what clouds should have had before the edit
	formerly []Server       // what was done in clouds in earlier steps

	turn      Rotation                  // the key that is being rotated
	shared    map[string][]netip.Prefix // by BGP networks when the run began
	listeners map[string]*peer          // servers whose daemons are asked while sessions are awaited
	unheard   []ground.Note             // BGP sessions that did not come up in time
	stayed    []Stayed
	retired   []string // servers that left the file
	visited   []*peer  // servers that are gone, and answered
	gone      []string // what was removed from the file, in words
}

// read is the cluster file and what it comes to, for requests that change nothing.
func (e *Engine) read(ctx context.Context) (*state.Cluster, *ground.Compiled, error) {
	c, err := e.Store.Load(ctx)
	if err != nil {
		return nil, nil, err
	}
	if err := network.Complete(c); err != nil {
		return nil, nil, inputError{e.Store.Locate(err)}
	}
	compiled, err := network.Compile(c)
	if err != nil {
		return nil, nil, inputError{err}
	}
	return c, compiled, nil
}

// begin loads and edits. A dry run takes no lock on the file: it writes nothing.
func (e *Engine) begin(ctx context.Context, req Request) (*run, error) {
	r := &run{e: e, id: rand.Text(), req: req, peers: map[string]*peer{}, sums: sums{}, muted: map[string]bool{}, lineage: e.Store.Lineage()}
	if req.DryRun {
		c, err := e.Store.Load(ctx)
		if err != nil {
			return nil, err
		}
		r.c = c
	} else {
		locked, err := e.Store.Lock(ctx, e.Holder)
		if err != nil {
			return nil, err
		}
		r.locked, r.c = locked, locked.Cluster()
	}
	r.shared = shared(r.c)
	if len(req.Rotate) > 0 {
		r.turn = req.Rotate[0]
	}
	err := r.askContainers(ctx)
	if err == nil {
		err = r.edit()
	}
	if err == nil && req.Accepted != nil && !req.DryRun {
		err = req.Accepted()
	}
	if err != nil {
		r.end()
		return nil, err
	}
	return r, nil
}

func (r *run) edit() error {
	var was *state.Cluster
	if r.req.DryRun {
		was = r.c.Clone()
	}
	r.filed = make(map[string]bool, len(r.c.Servers))
	for name := range r.c.Servers {
		r.filed[name] = true
	}
	broken := r.complete()
	r.remember()
	compiled, err := edit.Do(r.c, func(c *state.Cluster) error {
		for _, t := range r.req.Rotate {
			if err := CheckRotation(c, t); err != nil {
				return err
			}
		}
		if r.req.Edit != nil {
			if err := r.req.Edit(c); err != nil {
				return err
			}
		}
		if !r.req.DryRun {
			return nil
		}
		return r.foresee(was)
	})
	if err != nil {
		return inputError{cmp.Or(r.e.Store.Locate(broken), err)} // the edit did not repair the file: its first error is the cause
	}
	r.compiled, r.sums = compiled, sums{}
	r.recognize()
	for _, name := range r.req.Networks {
		if r.req.All && r.c.Networks[name] == nil {
			return inputError{hint.Unknown("network", name, "flock listnetworks")}
		}
	}
	return nil
}

// complete completes what somebody wrote into the file by hand, and notes what every
// server should have so far: if the file makes no sense, what it confirmed.
func (r *run) complete() error {
	r.before, r.spoke, r.handed = make(map[string]string, len(r.c.Servers)), map[string]bool{}, map[netip.Prefix]bool{}
	for name, s := range r.c.Servers {
		if s.Confirmed != nil {
			r.before[name] = s.Confirmed.Sum
		}
	}
	r.ways = make(map[string]way, len(r.c.Networks))
	for name, n := range r.c.Networks {
		r.ways[name] = wayOf(n)
	}
	err := network.Complete(r.c)
	if err == nil {
		var before *ground.Compiled
		if before, err = network.Compile(r.c); err == nil {
			r.was, r.behind = before.Hosts, Pending(r.c, before)
			r.clouded = before.Clouds
			for name, h := range before.Hosts {
				r.before[name], r.spoke[name] = h.Sum(), h.BGP != nil
				for _, d := range h.DHCPs {
					for _, of := range d.Ranges {
						r.handed[of.Subnet] = true
					}
				}
			}
		}
	}
	if err != nil {
		err = hint.With(err, "", "edit "+r.e.Store.Path()+", or go back: flock history, then flock rollback GENERATION")
		return r.e.Store.Outdated(r.c.Writer, err)
	}
	return nil
}

// release unlocks the file. Everything is written by then, and the kernel releases the
// lock at the end of the process in any case.
func release(l *state.Locked) { _ = l.Unlock() }

func (r *run) end() {
	for _, p := range r.peers {
		p.close()
	}
	for name, p := range r.listeners {
		if changed := r.peers[name]; changed == nil || changed.session != p.session {
			p.close()
		}
	}
	if r.locked != nil {
		release(r.locked)
	}
}

func sortedNames(m map[string]*peer) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
