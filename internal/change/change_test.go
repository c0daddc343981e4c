package change

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/edit"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/option"
	"github.com/flocknet/flock/internal/remote"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// fleet stands in for servers: each holds a spec and answers as an agent does. What
// crosses SSH and kernels is proved by the walks; here it is who is asked what, and
// when.
type fleet struct {
	mu      sync.Mutex // guards below
	servers map[string]*server
	log     []string // "s1 plan", in order
	dialed  int      // connections that were tried
	met     []string // those, in order
	targets []remote.Target
	agents  []string     // "s1 bgp", the variants that were asked for
	asked   []*spec.Host // what applies brought, in order

	spoke []string // "s1 to s2", of WireGuard peers
	mute  bool     // daemons never hear anything
	deaf  string   // what keys begin with that do not answer

	examined []string // servers whose firewalls were asked
	walled   string   // the one with a firewalld

	tried    []string          // "s1 10.0.4.253", the ways that were tried
	hushed   string            // the address that does not answer
	silenced string            // the address from and to which nothing comes
	sums     map[string]uint64 // wrong checksums that servers counted
	stalls   int               // how many flows to hushed do not arrive
	corrupts uint64            // what those add to the sums of s1
	closed   bool              // no member accepts a connection
	measured bool              // echoes to hushed are answered
	times    int               // how many echoes were asked for on each way
	admitted []int             // how many addresses each listener was told

	drops int    // how many more probes are not answered
	fails string // the server whose probes cannot be sent
	lies  bool   // measurements are not what was asked for

	between *between // the servers, below all networks

	announced []string                     // "s1:ID" of secrets that plans knew of
	secrets   map[string]map[string]string // that applies brought, by server
}

type server struct {
	more      []spec.Interface // beside eth0
	away, cut bool             // unreachable; takes no fresh connection
	dies      bool             // when it is asked for packets
	drift     []spec.Step
	hang      func() // waits before an apply is answered, which comes to nothing then
	problem   string
	broken    string // what apply fails with
	unsettled []spec.Step
	step      string // what apply does
	mtu       int
	key       string // of its WireGuard devices
	made      int    // keys so far
	machine   string
	hostKey   string
	as        string     // answers like this server: the same machine
	held      *spec.Host // confirmed
	applied   *spec.Host // waits for a confirmation
	leases    string     // of vx1, while it hands out there
	given     map[string]string
	copy      string // of the cluster file, with the last apply
	untouched []string
	vnis      []uint32 // of devices of others
	sessions  []spec.Session
	clock     time.Time
}

func (f *fleet) open(_ context.Context, t remote.Target) (session, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.servers[t.Host]
	if s == nil {
		s = f.servers[t.Name]
	}
	f.dialed++
	f.met, f.targets = append(f.met, t.Name), append(f.targets, t)
	f.agents = append(f.agents, t.Name+" "+string(t.Variant))
	if s.away {
		return nil, hint.Errorf("server "+t.Name, "ping "+t.Name, "dial %s: %w", t.Name, remote.ErrUnreachable)
	}
	return &agent{f: f, name: t.Name, s: s}, nil
}

type agent struct {
	f    *fleet
	name string
	s    *server
}

func (a *agent) Reachable(context.Context) error {
	if a.s.cut {
		return remote.ErrUnreachable
	}
	return nil
}

func (a *agent) HostKey() string { return a.s.hostKey }

// Close is the end of the session: what was not confirmed goes back.
func (a *agent) Close() error {
	a.s.applied = nil
	return nil
}

func (a *agent) Do(_ context.Context, r *spec.Request, _ func(string)) (*spec.Reply, error) {
	if a.s.hang != nil && r.Op == spec.OpApply {
		a.s.hang()
		return nil, fmt.Errorf("no sign of life: %w", remote.ErrAgent)
	}
	a.f.mu.Lock()
	defer a.f.mu.Unlock()
	if r.Look {
		a.f.log = append(a.f.log, a.name+" look")
	} else {
		a.f.log = append(a.f.log, a.name+" "+r.Op)
	}
	switch r.Op {
	case spec.OpBGP:
		return &spec.Reply{BGP: a.speaks()}, nil
	case spec.OpPurge:
		a.s.held, a.s.key = nil, ""
		return &spec.Reply{Report: &spec.Report{Steps: []spec.Step{{Action: spec.Remove, Object: "all"}}, Looked: true}}, nil
	case spec.OpPlan, spec.OpStatus:
		for id, secret := range r.Secrets {
			a.f.announced = append(a.f.announced, a.name+":"+id)
			a.f.keepSecret(a.name, id, secret)
		}
		keys := map[string]string{}
		for _, device := range r.Keys {
			if a.s.key != "" {
				keys[device] = a.s.key
			}
		}
		reply := &spec.Reply{Plan: a.plan(r.Want), Facts: a.facts(), Keys: keys}
		if len(r.Probes) > 0 && len(reply.Plan.Steps) == 0 && a.name != a.f.fails { // as agents do
			reply.Unheard, reply.Probed = a.f.probe(a.name, r).Unheard, true
		}
		return reply, nil
	case spec.OpApply:
		if a.s.broken != "" {
			return &spec.Reply{Report: &spec.Report{Undone: true, Error: &spec.Problem{What: a.s.broken}}}, nil
		}
		if a.s.unsettled != nil {
			return &spec.Reply{Report: &spec.Report{Pending: a.s.unsettled}}, nil
		}
		a.s.applied, a.s.given, a.s.untouched, a.s.copy = r.Want, r.Leases, r.Untouched, r.Copy
		a.f.asked = append(a.f.asked, r.Want)
		for id, secret := range r.Secrets {
			a.f.keepSecret(a.name, id, secret)
		}
		steps := []spec.Step{{Action: spec.Add, Object: a.s.step}}
		for _, p := range r.Want.Peers {
			if a.s.held == nil || !slices.ContainsFunc(a.s.held.Peers, func(h spec.Peer) bool { return h.Key == p.Key }) {
				steps = append(steps, spec.Step{Action: spec.Add, Object: p.Object()})
			}
		}
		settled := r.Settle && !spec.CanCutOff(steps)
		if settled {
			a.s.held = a.s.applied
		}
		return &spec.Reply{Report: &spec.Report{Steps: steps, Confirmed: settled, Looked: r.Want.Empty()}}, nil
	case spec.OpKeys:
		keys := map[string]string{}
		for _, device := range r.Keys {
			if a.s.key == "" || r.Rotate {
				a.s.made++
				a.s.key = key(fmt.Sprintf("%s key %d", a.name, a.s.made))
			}
			keys[device] = a.s.key
		}
		return &spec.Reply{Keys: keys}, nil
	case spec.OpHandshake:
		return a.f.handshake(a.name, r), nil
	case spec.OpMeasure:
		return a.f.measure(a.name, r), nil
	case spec.OpUnderlay:
		return a.f.underlay(a.name, r.Underlay), nil
	case spec.OpFacts:
		return &spec.Reply{Facts: a.facts()}, nil
	case spec.OpBulk:
		return a.f.flow(a.name, r), nil
	case spec.OpCapture:
		if a.s.dies {
			return nil, fmt.Errorf("no sign of life: %w", remote.ErrUnreachable)
		}
		return nil, errors.New("open /dev/net/tun: no such file or directory")
	case spec.OpDoctor:
		return a.f.beside(a.name, r), nil
	case spec.OpCopies:
		return &spec.Reply{Copies: []spec.Copied{{Cluster: r.Want.Cluster, Server: a.name, File: a.s.copy}}}, nil
	case spec.OpProbe:
		if a.name == a.f.fails {
			return nil, errors.New("no probe leaves")
		}
		return a.f.probe(a.name, r), nil
	case spec.OpConfirm:
		a.s.held = a.s.applied
		return &spec.Reply{Report: &spec.Report{Looked: a.s.held.Empty()}}, nil
	}
	return nil, fmt.Errorf("unknown operation %s", r.Op)
}

// key is a public key that can be read: text, in the form that keys have.
func key(text string) string {
	text = strings.ReplaceAll(text, " ", "/")
	return text + strings.Repeat("A", 43-len(text)) + "="
}

// keepSecret notes a secret that came; the name of one alone is none.
func (f *fleet) keepSecret(server, id, secret string) {
	if secret == "" {
		return
	}
	if f.secrets == nil {
		f.secrets = map[string]map[string]string{}
	}
	if f.secrets[server] == nil {
		f.secrets[server] = map[string]string{}
	}
	f.secrets[server][id] = secret
}

func (a *agent) plan(want *spec.Host) *spec.Plan {
	p := &spec.Plan{Sum: a.s.held.Sum(), VNIs: a.s.vnis, Sessions: a.s.sessions, Clock: a.s.clock}
	if p.Sum != want.Sum() {
		p.Steps = []spec.Step{{Action: spec.Change, Object: "everything"}}
	}
	if a.s.held != nil {
		p.Generation, p.Made = a.s.held.Generation, a.s.held.Made
	}
	p.Steps = append(p.Steps, a.s.drift...)
	if a.s.leases != "" && len(want.DHCPs) == 0 {
		p.Leases = map[string]string{"vx1": a.s.leases}
	}
	if a.s.problem != "" {
		p.Problems = []spec.Problem{{What: a.s.problem, Next: "look"}}
	}
	return p
}

func (a *agent) facts() *spec.Facts {
	var n byte
	if _, err := fmt.Sscanf(cmp.Or(a.s.as, a.name), "s%d", &n); err != nil {
		panic(err)
	}
	return &spec.Facts{Machine: a.s.machine, Arch: "amd64", Default4: "eth0", Interfaces: append([]spec.Interface{{
		Name: "eth0", MTU: a.s.mtu, Addrs: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, n}), 24)},
	}}, a.s.more...)}
}

// world is servers s1…sn that the cluster file knows, and an engine.
func world(t *testing.T, n int) (*fleet, *Engine) {
	t.Helper()
	f := &fleet{servers: map[string]*server{}}
	e := &Engine{Store: state.Open(filepath.Join(t.TempDir(), "default.toml"), "default"), Holder: "test", open: f.open}
	for i := range n {
		name := fmt.Sprintf("s%d", i+1)
		f.servers[name] = &server{mtu: 1500, step: "link vxl0"}
		add := func(c *state.Cluster) error { return edit.AddServer(c, name, state.Server{Address: name}) }
		out := carry(t, e, Request{Edit: add, Contact: []string{name}})
		if len(out.Pending) != 0 {
			t.Fatalf("pending after addserver: %v", out.Pending)
		}
	}
	f.log = nil
	return f, e
}

func carry(t *testing.T, e *Engine, r Request) *Outcome {
	t.Helper()
	out, err := e.Run(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func create(c *state.Cluster) error { return edit.Create(c, "vx1", "vxlan", option.Options{}) }

func join(servers ...string) func(*state.Cluster) error {
	return func(c *state.Cluster) error { return edit.Join(c, "vx1", servers) }
}

func load(t *testing.T, e *Engine) *state.Cluster {
	t.Helper()
	c, err := e.Store.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func states(out *Outcome) string {
	var list []string
	for _, s := range out.Servers {
		list = append(list, s.Name+" "+s.State)
	}
	return strings.Join(list, ", ")
}

func TestAllPlanBeforeOneApplies(t *testing.T) {
	f, e := world(t, 3)
	carry(t, e, Request{Edit: create})
	if len(f.log) != 0 {
		t.Fatalf("a network without members contacted %v", f.log)
	}
	out := carry(t, e, Request{Edit: join("s1", "s2", "s3")})
	if got, want := states(out), "s1 done, s2 done, s3 done"; got != want || len(out.Pending) > 0 || !out.Saved {
		t.Fatalf("%s, pending %v, saved %v", got, out.Pending, out.Saved)
	}
	firstApply := slices.IndexFunc(f.log, func(l string) bool { return strings.HasSuffix(l, spec.OpApply) })
	if plans := slices.DeleteFunc(slices.Clone(f.log[:firstApply]), func(l string) bool { return !strings.HasSuffix(l, spec.OpPlan) }); len(plans) != 3 {
		t.Fatalf("before the first apply: %v", f.log[:firstApply])
	}
	c := load(t, e)
	for name, s := range c.Servers {
		if s.Confirmed == nil || s.Confirmed.Generation != c.Generation || s.Confirmed.Sum != f.servers[name].held.Sum() {
			t.Errorf("%s: confirmed %+v of generation %d", name, s.Confirmed, c.Generation)
		}
	}
	f.log = nil
	carry(t, e, Request{Edit: join("s1", "s2", "s3"), Networks: []string{"vx1"}})
	if len(f.log) != 0 {
		t.Errorf("the same again contacted %v", f.log)
	}
	if again := load(t, e); again.Generation != c.Generation {
		t.Errorf("the same again is generation %d, was %d", again.Generation, c.Generation)
	}
}

// What does not converge is named, each with how it differs.
func TestWhatDoesNotSettleIsNamed(t *testing.T) {
	f, e := world(t, 1)
	carry(t, e, Request{Edit: create})
	f.servers["s1"].unsettled = []spec.Step{
		{Action: spec.Change, Object: "link vxl0", Detail: "mtu 1400 -> 1450"},
		{Action: spec.Add, Object: "addr 10.0.4.1/32 dev vxl0"},
		{Action: spec.Add, Object: "route a"},
		{Action: spec.Add, Object: "route b"},
		{Action: spec.Add, Object: "route c"},
	}
	out, err := e.Run(t.Context(), Request{Edit: join("s1")})
	if err != nil {
		t.Fatal(err)
	}
	const want = "~ link vxl0: mtu 1400 -> 1450; + addr 10.0.4.1/32 dev vxl0; + route a; and 2 more"
	if s := out.Servers[0]; s.Err == nil || !strings.Contains(s.Err.Error(), "s1 does not converge: ") || !strings.HasSuffix(s.Err.Error(), want) {
		t.Errorf("want %q, have %v", want, s.Err)
	}
}

func TestOneRefusalStopsAll(t *testing.T) {
	f, e := world(t, 2)
	carry(t, e, Request{Edit: create})
	before := load(t, e)
	f.servers["s2"].problem = "10.0.4.0/24 overlaps the route 10.0.0.0/16 dev eth1"
	out, err := e.Run(t.Context(), Request{Edit: join("s1", "s2")})
	if err == nil || errors.Is(err, ErrInput) || !strings.Contains(err.Error(), "overlaps") {
		t.Fatalf("error %v", err)
	}
	if where, next := hint.Of(err); where != "server s2" || next != "on s2: look" {
		t.Errorf("where %q, next %q", where, next)
	}
	if got, want := states(out), "s1 planned, s2 refused"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if f.servers["s1"].held != nil || slices.Contains(f.log, "s1 "+spec.OpApply) {
		t.Error("s1 was touched")
	}
	if after := load(t, e); after.Generation != before.Generation || len(after.Networks["vx1"].Members) != 0 {
		t.Error("the file was touched")
	}
}

func TestAwayIsPendingAndApplyFinishes(t *testing.T) {
	f, e := world(t, 3)
	carry(t, e, Request{Edit: create})
	f.servers["s3"].away = true
	out := carry(t, e, Request{Edit: join("s1", "s2", "s3")})
	if got, want := states(out), "s1 done, s2 done, s3 unreachable"; got != want {
		t.Fatalf("%s, want %s", got, want)
	}
	if !slices.Equal(out.Pending, []string{"s3"}) {
		t.Fatalf("pending %v", out.Pending)
	}
	f.servers["s3"].away = false
	out = carry(t, e, Request{All: true})
	if got, want := states(out), "s1 unchanged, s2 unchanged, s3 done"; got != want || len(out.Pending) > 0 {
		t.Fatalf("%s, pending %v", got, out.Pending)
	}
}

func TestTheSameCommandFinishesPendingMembers(t *testing.T) {
	f, e := world(t, 2)
	carry(t, e, Request{Edit: create})
	f.servers["s2"].away = true
	carry(t, e, Request{Edit: join("s1", "s2"), Networks: []string{"vx1"}})
	f.servers["s2"].away, f.log = false, nil
	out := carry(t, e, Request{Edit: join("s1", "s2"), Networks: []string{"vx1"}})
	if got, want := states(out), "s2 done"; got != want || len(out.Pending) > 0 {
		t.Fatalf("%s, pending %v", got, out.Pending)
	}
}

func TestMustAnswer(t *testing.T) {
	f, e := world(t, 1)
	f.servers["s2"] = &server{away: true}
	add := func(c *state.Cluster) error { return edit.AddServer(c, "s2", state.Server{Address: "s2"}) }
	if _, err := e.Run(t.Context(), Request{Edit: add, Contact: []string{"s2"}}); !errors.Is(err, remote.ErrUnreachable) {
		t.Fatalf("error %v", err)
	}
	if load(t, e).Servers["s2"] != nil {
		t.Error("s2 was saved")
	}
}

// TestFactsOfNow: a server whose underlay changed since it was last contacted
// changes what all members must look like, also those nobody planned to contact.
func TestFactsOfNow(t *testing.T) {
	f, e := world(t, 3)
	carry(t, e, Request{Edit: create})
	carry(t, e, Request{Edit: join("s1", "s2")})
	f.servers["s2"].mtu = 1400
	out := carry(t, e, Request{All: true})
	if got, want := states(out), "s1 done, s2 done, s3 unchanged"; got != want {
		t.Fatalf("%s, want %s", got, want)
	}
	for _, name := range []string{"s1", "s2"} {
		if text := f.servers[name].held.Text(); !strings.Contains(text, "mtu 1350") {
			t.Errorf("%s holds\n%s", name, text)
		}
	}
}

func TestUnconfirmedIsPending(t *testing.T) {
	f, e := world(t, 2)
	carry(t, e, Request{Edit: create})
	f.servers["s1"].cut = true
	f.servers["s2"].broken = "device busy"
	out := carry(t, e, Request{Edit: join("s1", "s2")})
	if got, want := states(out), "s1 undone, s2 undone"; got != want {
		t.Fatalf("%s, want %s", got, want)
	}
	if !slices.Equal(out.Pending, []string{"s1", "s2"}) || f.servers["s1"].held != nil {
		t.Fatalf("pending %v", out.Pending)
	}
}

// TestFloodEntriesNeedNoProof: what cannot cut a server off costs it no connection.
func TestFloodEntriesNeedNoProof(t *testing.T) {
	f, e := world(t, 2)
	carry(t, e, Request{Edit: create})
	f.servers["s1"].cut, f.servers["s1"].step = true, "fdb 00:00:00:00:00:00 dst 192.0.2.2 dev vxl0-vx"
	out := carry(t, e, Request{Edit: join("s1", "s2")})
	if got, want := states(out), "s1 done, s2 done"; got != want {
		t.Fatalf("%s, want %s", got, want)
	}
}

func TestDryRunAndNoChangeNothing(t *testing.T) {
	f, e := world(t, 2)
	carry(t, e, Request{Edit: create})
	before := load(t, e)
	out := carry(t, e, Request{Edit: join("s1", "s2"), DryRun: true})
	if got, want := states(out), "s1 planned, s2 planned"; got != want || out.Saved {
		t.Fatalf("%s, saved %v", got, out.Saved)
	}
	no := func(*Outcome) (bool, error) { return false, nil }
	if _, err := e.Run(t.Context(), Request{Edit: join("s1", "s2"), Approve: no}); err == nil {
		t.Fatal("a no is no error")
	}
	if slices.ContainsFunc(f.log, func(l string) bool { return strings.HasSuffix(l, spec.OpApply) }) {
		t.Error("something was applied")
	}
	if after := load(t, e); after.Generation != before.Generation {
		t.Error("the file was touched")
	}
}

func TestBadInputContactsNobody(t *testing.T) {
	f, e := world(t, 1)
	for name, r := range map[string]Request{
		"edit":    {Edit: join("s9")},
		"network": {All: true, Networks: []string{"vx9"}},
	} {
		if _, err := e.Run(t.Context(), r); !errors.Is(err, ErrInput) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if len(f.log) > 0 {
		t.Errorf("contacted: %v", f.log)
	}
}

// TestOneNetworkAloneConcernsOthers: what is found on a member changes another
// network too, whose members are not left behind.
func TestOneNetworkAloneConcernsOthers(t *testing.T) {
	f, e := world(t, 3)
	carry(t, e, Request{Edit: create})
	carry(t, e, Request{Edit: join("s1", "s2")})
	carry(t, e, Request{Edit: func(c *state.Cluster) error {
		return errors.Join(edit.Create(c, "vx2", "vxlan", option.Options{}), edit.Join(c, "vx2", []string{"s2", "s3"}))
	}})
	f.servers["s2"].mtu = 1400
	if out, err := e.Status(t.Context(), []string{"vx1"}, nil); err != nil || states(out) != "s1 planned, s2 planned" {
		t.Fatalf("status: %v, %v", out, err)
	}
	out := carry(t, e, Request{Edit: network.Complete, All: true, Networks: []string{"vx1"}})
	if got, want := states(out), "s1 done, s2 done, s3 done"; got != want || len(out.Pending) > 0 {
		t.Fatalf("%s, pending %v", got, out.Pending)
	}
}

func TestStatusSaysWhoRefuses(t *testing.T) {
	f, e := world(t, 2)
	carry(t, e, Request{Edit: create})
	carry(t, e, Request{Edit: join("s1", "s2")})
	f.servers["s1"].problem = "link vxl0 of network vx1: there is one already"
	f.servers["s2"].mtu = 600 // too small: what compiling finds
	out, err := e.Status(t.Context(), nil, nil)
	if got, want := states(out), "s1 refused, s2 refused"; err != nil || got != want {
		t.Fatalf("%s, want %s, %v", got, want, err)
	}
}

// TestFileEditedByHand: the desired state alone is enough, nonsense is bad input, and what
// mends it goes through.
func TestFileEditedByHand(t *testing.T) {
	f, e := world(t, 2)
	carry(t, e, Request{Edit: create})
	carry(t, e, Request{Edit: join("s1")})
	rewrite := func(old, new string) {
		t.Helper()
		text, err := os.ReadFile(e.Store.Path())
		if err == nil && !strings.Contains(string(text), old) {
			err = fmt.Errorf("%q is not in\n%s", old, text)
		}
		if err == nil {
			err = os.WriteFile(e.Store.Path(), []byte(strings.Replace(string(text), old, new, 1)), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	rewrite("members = ['s1']", "members = ['s1', 's2']")
	out := carry(t, e, Request{Edit: network.Complete, All: true})
	if got, want := states(out), "s1 done, s2 done"; got != want {
		t.Fatalf("%s, want %s", got, want)
	}
	f.log = nil
	rewrite("10.0.4.0/24", "10.0.4.0/31")
	_, err := e.Run(t.Context(), Request{Edit: join("s2")})
	if _, next := hint.Of(err); !errors.Is(err, ErrInput) || !strings.Contains(next, "subnet") {
		t.Fatalf("error %v, next %q", err, next)
	}
	if len(f.log) > 0 {
		t.Errorf("contacted: %v", f.log)
	}
	out = carry(t, e, Request{Edit: func(c *state.Cluster) error { return edit.Remove(c, "vx1") }})
	if got, want := states(out), "s1 done, s2 done"; got != want || len(out.Pending) > 0 {
		t.Fatalf("%s, pending %v", got, out.Pending)
	}
}

func TestProgressSaysWhoHasPlanned(t *testing.T) {
	_, e := world(t, 1)
	var lines []string
	e.Progress = func(ev Event) { lines = append(lines, ev.Line) }
	carry(t, e, Request{All: true})
	if want := []string{"connecting", LinePlanned, "unchanged"}; !slices.Equal(lines, want) {
		t.Errorf("lines: want %q, have %q", want, lines)
	}
}

// TestOneMachineHasOneName: adding it again would take everything off it.
func TestOneMachineHasOneName(t *testing.T) {
	f, e := world(t, 2)
	add := func(name string) Request {
		return Request{Contact: []string{name}, Edit: func(c *state.Cluster) error {
			return edit.AddServer(c, name, state.Server{Address: name})
		}}
	}
	for _, s := range f.servers {
		s.machine = "cloned with the disk"
	}
	carry(t, e, Request{All: true})
	f.servers["s3"] = &server{mtu: 1500, machine: "cloned with the disk"}
	carry(t, e, add("s3"))
	f.servers["s4"] = &server{mtu: 1500, machine: "cloned with the disk", as: "s1"}
	_, err := e.Run(t.Context(), add("s4"))
	if where, next := hint.Of(err); err == nil || !strings.Contains(err.Error(), "same machine as server s1") || where != "server s4" || next == "" {
		t.Fatalf("where %q, next %q, %v", where, next, err)
	}
	if load(t, e).Servers["s4"] != nil {
		t.Error("s4 was saved")
	}
}

// Servers of one image are named, where they are looked at before anything is done and
// when they come.
func TestClonesAreNamed(t *testing.T) {
	f, e := world(t, 3)
	for name, s := range f.servers {
		s.machine, s.hostKey = "machine of "+name, "key of "+name
	}
	if out := carry(t, e, Request{All: true, DryRun: true}); len(out.Beside) > 0 {
		t.Errorf("of servers of their own: %v", out.Beside)
	}
	add := Request{Contact: []string{"s4"}, Edit: func(c *state.Cluster) error {
		return edit.AddServer(c, "s4", state.Server{Address: "192.0.2.4"})
	}}
	carry(t, e, Request{All: true, Contact: []string{"s1", "s2", "s3"}})
	f.servers["s4"] = &server{mtu: 1500, machine: "machine of s1", hostKey: "key of s2"}
	for what, req := range map[string]Request{"when it comes": add, "in a plan": {All: true, Edit: add.Edit}} {
		req.DryRun = true
		out := carry(t, e, req)
		if len(out.Beside) != 2 || out.Beside[0].Network != "s1, s4" || !strings.Contains(out.Beside[0].Text, "same machine id") ||
			out.Beside[1].Network != "s2, s4" || !strings.Contains(out.Beside[1].Text, "same SSH host key") {
			t.Errorf("%s: %v", what, out.Beside)
		}
	}
	if out := carry(t, e, add); len(out.Beside) != 2 {
		t.Errorf("s4 came: %v", out.Beside)
	}
	if out := carry(t, e, Request{Edit: create}); len(out.Beside) > 0 {
		t.Errorf("when others change: %v", out.Beside)
	}
}

func TestLeasesFollowDHCP(t *testing.T) {
	f, e := world(t, 3)
	carry(t, e, Request{Edit: create})
	carry(t, e, Request{Edit: join("s1", "s2", "s3")})
	if have := f.servers["s1"].untouched; !slices.Equal(have, []string{"vx1"}) {
		t.Errorf("of a new network s1 is told that %q are untouched", have)
	}
	f.servers["s1"].leases = "leases of s1"
	carry(t, e, Request{Edit: func(c *state.Cluster) error { return edit.Leave(c, "vx1", []string{"s1"}) }})
	for name, want := range map[string]string{"s1": "", "s2": "leases of s1", "s3": ""} {
		if have := f.servers[name].given["vx1"]; want != have {
			t.Errorf("leases given to %s: want %q, have %q", name, want, have)
		}
		if have := f.servers[name].untouched; name != "s1" && len(have) > 0 {
			t.Errorf("%s is told that %q are untouched", name, have)
		}
	}
	// Whoever is set up anew starts without leases where somebody handed out before.
	f.servers["s2"].held, f.servers["s2"].untouched = nil, []string{"?"}
	carry(t, e, Request{All: true})
	if have := f.servers["s2"].untouched; len(have) > 0 {
		t.Errorf("s2, set up anew, is told that %q are untouched", have)
	}
}

// What was confirmed and cannot be written down is an error after the change.
func TestConfirmedCannotBeNoted(t *testing.T) {
	_, e := world(t, 1)
	carry(t, e, Request{Edit: create})
	touched := false
	e.Touching = func() {
		touched = true
		if err := os.RemoveAll(filepath.Dir(e.Store.Path())); err != nil {
			t.Error(err)
		}
	}
	out, err := e.Run(t.Context(), Request{Edit: join("s1")})
	if err == nil || !touched || out == nil || !out.Saved {
		t.Errorf("want an error after the servers were told, have %v", err)
	}
	if out != nil && !slices.Contains(out.Pending, "s1") {
		t.Errorf("want s1 pending: the file does not know that it confirmed, have %v", out.Pending)
	}
}
