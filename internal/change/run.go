package change

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/remote"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
	"github.com/flocknet/flock/internal/target"
)

// run is one change under way.
type run struct {
	e        *Engine
	id       string // of this change, for servers that are asked twice
	req      Request
	locked   *state.Locked // nil for a dry run
	c        *state.Cluster
	before   map[string]string     // sums before the edit
	was      map[string]*spec.Host // what the servers should look like before the edit, as far as that made sense
	behind   []string              // servers that have not confirmed that
	types    map[string]string     // of the networks before the edit
	spoke    map[string]bool       // servers with BGP before the edit
	filed    map[string]bool       // servers that the file has
	compiled *network.Compiled
	sums     sums // of the hosts of compiled
	peers    map[string]*peer
	saved    bool
	handed   map[netip.Prefix]bool // subnets of which some server was to hand out addresses before the edit
	looking  bool                  // plans take no lock: a person is asked first
	clones   []network.Note        // what servers share that were made from one image
	silent   []network.Note        // of WireGuard pairs without a handshake
	deaf     []network.Path        // that were tried and carry nothing

	turn      Rotation                  // the key that is being rotated
	shared    map[string][]netip.Prefix // by BGP networks when the run began
	listeners map[string]*peer          // whose daemons are asked while sessions are awaited
	unheard   []network.Note            // BGP sessions that did not come up in time
	stayed    []Stayed
	retired   []string // servers that left the file
	gone      []string // what the file has no more, in words
}

// begin loads and edits. A dry run takes no lock on the file: it writes nothing.
func (e *Engine) begin(ctx context.Context, req Request) (*run, error) {
	r := &run{e: e, id: rand.Text(), req: req, peers: map[string]*peer{}, sums: sums{}}
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
	err := r.edit()
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
	compiled, err := network.Edit(r.c, func(c *state.Cluster) error {
		if r.req.Edit == nil {
			return nil
		}
		if err := r.req.Edit(c); err != nil || !r.req.DryRun {
			return err
		}
		return r.foresee(was)
	})
	if err != nil {
		return inputError{cmpErr(r.e.Store.Locate(broken), err)} // what the edit did not mend is the trouble
	}
	r.compiled, r.sums = compiled, sums{}
	for _, name := range r.req.Networks {
		if r.req.All && r.c.Networks[name] == nil {
			return inputError{hint.Errorf("network "+name, "flock listnetworks", "unknown network %s", name)}
		}
	}
	return nil
}

// complete makes whole what somebody wrote into the file by hand, and notes what
// every server should hold so far: of a file that makes no sense, what it
// confirmed.
func (r *run) complete() error {
	r.before, r.spoke, r.handed = make(map[string]string, len(r.c.Servers)), map[string]bool{}, map[netip.Prefix]bool{}
	for name, s := range r.c.Servers {
		if s.Confirmed != nil {
			r.before[name] = s.Confirmed.Sum
		}
	}
	r.types = make(map[string]string, len(r.c.Networks))
	for name, n := range r.c.Networks {
		r.types[name] = n.Type
	}
	err := network.Complete(r.c)
	if err == nil {
		var before *network.Compiled
		if before, err = network.Compile(r.c); err == nil {
			r.was, r.behind = before.Hosts, Pending(r.c, before)
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
// lock with the process in any case.
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

// scope returns the servers that this change concerns, sorted.
func (r *run) scope() []string {
	members := network.Memberships(r.c)
	pending := pending(r.c, r.compiled, r.sums)
	named := func(name string) bool {
		return slices.ContainsFunc(members[name], func(n string) bool { return slices.Contains(r.req.Networks, n) })
	}
	in := func(name string) bool {
		switch {
		case slices.Contains(r.req.Contact, name):
			return true
		case r.req.All && (len(r.req.Networks) == 0 || named(name)):
			return true
		case r.req.Only:
			return false
		case r.sums.of(r.compiled.Hosts[name]) != r.before[name]:
			return true
		}
		_, waits := slices.BinarySearch(pending, name)
		return waits && named(name)
	}
	return slices.DeleteFunc(r.c.ServerNames(), func(name string) bool { return !in(name) })
}

// maxRounds bounds how often facts may change what others must do.
const maxRounds = 4

// plan lets every server concerned plan, until the plans are based on the servers'
// current facts: a server's new address or MTU changes the specs of others.
func (r *run) plan(ctx context.Context, op string) error {
	for range maxRounds {
		var todo []*peer
		speaks := network.Speakers(r.c)
		for _, name := range r.scope() {
			p := r.peers[name]
			if p == nil {
				p = &peer{name: name, speaks: speaks[name] || r.spoke[name]}
				if heard := r.listeners[name]; heard != nil {
					p.session = heard.session
				}
				r.peers[name] = p
			}
			if want := r.compiled.Hosts[name]; p.err == nil && (p.want == nil || r.sums.of(p.want) != r.sums.of(want)) {
				p.want = want
				todo = append(todo, p)
			}
		}
		if len(todo) == 0 {
			return ctx.Err()
		}
		facts := r.ask(ctx, op, todo)
		if r.exchanged() {
			for _, p := range todo {
				r.asTurned(p)
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		for i, f := range facts {
			if f != nil {
				r.c.Servers[todo[i].name].Facts = factsOf(f)
				r.c.Servers[todo[i].name].Facts.HostKey = todo[i].session.HostKey()
			}
		}
		if op == spec.OpPlan {
			r.deal(todo)
		}
		if r.req.DryRun {
			r.assumeKeys()
		}
		if err := r.compile(); err != nil {
			return err
		}
	}
	return errors.New("the servers' addresses keep changing while planning")
}

// ask sends op to all of todo at once and returns each one's facts.
func (r *run) ask(ctx context.Context, op string, todo []*peer) []*spec.Facts {
	r.meet(ctx, todo)
	results := remote.Each(ctx, todo, r.parallel(), func(ctx context.Context, p *peer) (*spec.Facts, error) {
		if p.err != nil {
			return nil, p.err
		}
		if err := p.dial(ctx, r.e, r.c); err != nil {
			return nil, err
		}
		req := &spec.Request{
			Op: op, Look: r.looking, Want: p.want, Holder: r.e.Holder, Change: r.id, Devs: network.Devices(r.c, p.name), Secrets: r.announced(p.want),
		}
		if r.req.DryRun {
			req.Keys = slices.Sorted(maps.Values(network.KeyDevices(r.c, p.name)))
		}
		reply, err := p.do(ctx, r.e, req)
		if err != nil {
			return nil, err
		}
		p.plan, p.keys = reply.Plan, reply.Keys
		r.e.event(Event{Server: p.name, Line: LinePlanned})
		return reply.Facts, nil
	})
	facts := make([]*spec.Facts, len(todo))
	for i, res := range results {
		facts[i], todo[i].err = res.Value, res.Err
		if res.Err != nil {
			r.e.event(Event{Server: todo[i].name, Done: true, Err: res.Err})
		}
	}
	return facts
}

// deal gives more addresses to DHCP servers whose range is nearly full.
func (r *run) deal(asked []*peer) {
	for _, p := range asked {
		if p.plan == nil {
			continue
		}
		for _, use := range p.plan.Pools {
			network.Leased(r.c, p.name, use)
		}
	}
}

func (r *run) parallel() int {
	if r.e.Parallel > 0 {
		return r.e.Parallel
	}
	return 64
}

// mustAnswer is an error when a server that has to answer does not.
func (r *run) mustAnswer() error {
	for _, name := range r.req.Contact {
		if p := r.peers[name]; p != nil && p.err != nil {
			return p.err
		}
	}
	return nil
}

// refusal is the error of the servers that said no, nil when all agree. A server
// that could not be asked does not count: its part stays pending.
func (r *run) refusal() error {
	for _, p := range r.compiled.Problems {
		if peer := r.peers[p.Server]; peer != nil && peer.err == nil {
			peer.refused = append(peer.refused, hint.With(p.Err, "server "+p.Server, ""))
		}
	}
	r.refuseDuplicates()
	var first error
	count := 0
	for _, name := range sortedNames(r.peers) {
		p := r.peers[name]
		if p.plan != nil && !r.forced(name) {
			for _, problem := range p.plan.Problems {
				if !r.filed[name] {
					problem.Next = purgeByAddress(problem.Next, name, r.c.Servers[name])
				}
				p.refused = append(p.refused, problemError(name, &problem))
			}
		}
		if p.err == nil && len(p.refused) > 0 {
			first, count = cmpErr(first, p.refused[0]), count+1
		}
	}
	if count > 1 {
		return fmt.Errorf("%d servers refuse, nothing was changed; the first says: %w", count, first)
	}
	return first
}

// forced says whether a server leaves the file whatever it answers.
func (r *run) forced(name string) bool { return r.req.Force && slices.Contains(r.leaving(), name) }

// leaving are the servers that are to leave the file.
func (r *run) leaving() []string {
	if r.req.Retire == nil {
		return nil
	}
	return r.req.Retire()
}

// problemError turns a problem of a server into an error with its advice.
func problemError(server string, p *spec.Problem) error {
	where := "server " + server
	if p.Where != "" {
		where += ", " + p.Where
	}
	return hint.With(errors.New(p.What), where, advised(server, p.Next))
}

// purgeByAddress makes advice to purge a server, who knows itself by its name, work
// before the cluster file knows that name.
func purgeByAddress(next, name string, s *state.Server) string {
	if s == nil || s.Address == "" {
		return next // a name in ssh's config
	}
	return strings.ReplaceAll(next, "flock purge "+name, "flock purge "+hint.Shell(target.Format(s.User, s.Address, s.Port)))
}

// save writes the desired state; nothing has been changed on a server so far.
func (r *run) save() error {
	if err := r.locked.Save(r.c); err != nil {
		return err
	}
	r.saved = true
	r.c = r.locked.Cluster()
	return r.compile()
}

// push applies on every server that agreed and has something to do.
func (r *run) push(ctx context.Context) {
	var todo []*peer
	for _, name := range sortedNames(r.peers) {
		p := r.peers[name]
		if p.err != nil || p.plan == nil || r.forced(name) && len(p.plan.Problems) > 0 {
			continue
		}
		p.want = r.compiled.Hosts[name]
		if len(p.plan.Steps) > 0 || p.plan.Sum != r.sums.of(p.want) {
			todo = append(todo, p)
		} else {
			r.e.event(Event{Server: name, Line: "unchanged", Done: true})
		}
	}
	leases := leavingLeases(todo)
	var done map[*peer][]spec.Step
	if r.exchanged() {
		done = r.overlap(ctx, todo)
		todo = slices.DeleteFunc(todo, func(p *peer) bool { return p.err != nil })
	}
	var kept error // why the server that was to turn first did not
	for _, wave := range r.waves(todo) {
		results := remote.Each(ctx, wave, r.parallel(), func(ctx context.Context, p *peer) (*spec.Report, error) {
			if kept != nil {
				return nil, hint.Errorf("server "+p.name, "flock apply", "%s stays as it is: %s did not change", p.name, r.turn.Server)
			}
			return p.apply(ctx, r.e, r.given(p, leases))
		})
		for i, res := range results {
			p := wave[i]
			p.report, p.err = res.Value, res.Err
			if p.report != nil {
				p.report.Steps = append(done[p], p.report.Steps...)
			}
			r.e.event(Event{Server: p.name, Line: "done", Done: true, Err: p.err})
			if p.name == r.turn.Server {
				kept = p.err
			}
		}
	}
}

// given is what p's server needs to apply beside its spec: of leases those of the
// networks it hands out the addresses of.
func (r *run) given(p *peer, leases map[string]string) spec.Request {
	out := spec.Request{Secrets: r.secrets(p.want), Leases: map[string]string{}}
	for _, d := range p.want.DHCPs {
		if text := leases[d.Network]; text != "" {
			out.Leases[d.Network] = text
		}
		if !slices.ContainsFunc(d.Ranges, r.handedOut) {
			out.Untouched = append(out.Untouched, d.Network)
		}
	}
	return out
}

// handedOut says whether some server was to hand out addresses of range's subnet
// before this change. Of a file that made no sense nobody can tell.
func (r *run) handedOut(of spec.Range) bool {
	return r.was == nil || r.handed[of.Subnet]
}

// leavingLeases are those of networks whose DHCP moves to another server, by
// network.
func leavingLeases(from []*peer) map[string]string {
	out := map[string]string{}
	for _, p := range from {
		maps.Copy(out, p.plan.Leases)
	}
	return out
}

// record notes what the servers confirmed. The file is written only where that
// changed.
func (r *run) record() error {
	was := map[string]*state.Confirmed{}
	for name, p := range r.peers {
		if p.err != nil || p.want == nil {
			continue
		}
		s := r.c.Servers[name]
		if s == nil {
			continue // it has left
		}
		sum := r.sums.of(p.want)
		if s.Confirmed != nil && s.Confirmed.Sum == sum || s.Confirmed == nil && sum == "" {
			continue
		}
		was[name] = s.Confirmed
		s.Confirmed = &state.Confirmed{Generation: r.c.Generation, Sum: sum, Time: r.e.now()}
	}
	if len(was) == 0 {
		return nil
	}
	if err := r.locked.Save(r.c); err != nil {
		for name, confirmed := range was {
			r.c.Servers[name].Confirmed = confirmed // as in the file
		}
		return fmt.Errorf("note what the servers confirmed: %w", err)
	}
	return nil
}

func sortedNames(m map[string]*peer) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
