package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/capture"
	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/edit"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/remote"
	"github.com/flocknet/flock/internal/screen"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
	"github.com/flocknet/flock/internal/trace"
	"github.com/flocknet/flock/internal/view"
)

// TestMain lets the test binary stand for flock itself.
func TestMain(m *testing.M) {
	if os.Getenv("FLOCK_TEST_CLI") != "" {
		os.Exit(Main(context.Background(), os.Args[1:], screen.Terminal(os.Stdin, os.Stdout, os.Stderr), os.Getenv))
	}
	if behaviour := os.Getenv(hostileEnv); behaviour != "" {
		os.Exit(beHostile(behaviour, os.Args[1:]))
	}
	os.Exit(m.Run())
}

// scripted is an engine that changes the cluster file for real and reaches no
// server: what the servers would answer is written down in it.
type scripted struct {
	store    *state.Store
	contacts int // calls that would have reached servers
	request  change.Request
	waited   []time.Duration // for daemons, at most
	purged   string
	retired  []string     // servers that left the file
	login    state.Server // how what was purged is logged in to

	touching func() // as a real one calls it; from bench
	touches  bool   // calls touching before it ends with err

	servers  []change.Server
	speakers []change.Speaker
	orders   []spec.BGPRequest
	pending  []string
	behind   []string // never applied
	err      error
	copies   map[string][]spec.Copied // by address
}

func (s *scripted) Run(ctx context.Context, req change.Request) (*change.Outcome, error) {
	s.request = req
	wanted := req.Edit
	if wanted == nil {
		wanted = func(*state.Cluster) error { return nil }
	}
	c, err := s.store.Load(ctx)
	if err != nil {
		return nil, err
	}
	c = c.Clone()
	if _, err := edit.Do(c, wanted); err != nil {
		return nil, errors.Join(err, change.ErrInput)
	}
	if req.Accepted != nil && !req.DryRun {
		if err := req.Accepted(); err != nil {
			return nil, err
		}
	}
	s.contacts++
	out := &change.Outcome{Cluster: c, Servers: s.servers, Pending: s.pending}
	if s.touches {
		s.touching()
	}
	if s.err != nil || req.DryRun {
		return out, s.err
	}
	if req.Approve != nil {
		if ok, err := req.Approve(out); !ok || err != nil {
			return out, err
		}
	}
	out.Saved = true
	if req.Retire != nil {
		for _, name := range req.Retire() {
			s.retired = append(s.retired, name)
			if err := edit.DelServer(c, name, false); err != nil {
				return out, err
			}
		}
	}
	_, err = s.store.Update(ctx, func(saved *state.Cluster) error { *saved = *c; return nil })
	return out, err
}

func (s *scripted) Status(_ context.Context, networks, servers []string) (*change.Outcome, error) {
	s.contacts++
	s.request = change.Request{Networks: networks, Contact: servers}
	return &change.Outcome{Cluster: &state.Cluster{}, Servers: s.servers, Pending: s.pending, Behind: s.behind}, s.err
}

// Containers answers that there is one, c1.
func (s *scripted) Containers(context.Context, string) ([]spec.Container, error) {
	s.contacts++
	return []spec.Container{{Name: "netns/c1"}}, nil
}

// Verify answers that there was nothing to try.
func (s *scripted) Verify(ctx context.Context, networks []string, _ change.Effort) (*change.Verification, error) {
	s.contacts++
	c, err := s.store.Load(ctx)
	return &change.Verification{Cluster: c, Without: networks}, err
}

// Each answers that everything went well.
func (s *scripted) Each(_ context.Context, servers []string, line string, out, _ func(string) io.Writer) (list []change.Ran, err error) {
	s.contacts++
	for _, name := range servers {
		_, err = io.WriteString(out(name), "ran "+line)
		list = append(list, change.Ran{Server: name})
	}
	return list, err
}

func (s *scripted) Trace(context.Context, string, string, string, string) (*change.Traced, error) {
	s.contacts++
	return &change.Traced{Result: &trace.Result{Way: &trace.Way{}}}, nil
}

func (s *scripted) Probe(context.Context, []string, []int, bool) (*change.Probing, error) {
	s.contacts++
	return &change.Probing{}, nil
}

func (s *scripted) Capture(_ context.Context, _ []capture.Point, _ time.Duration, begun func(map[int]capture.Source, map[int]error) error, _ func(capture.Taken) bool) error {
	s.contacts++
	return begun(nil, nil)
}

// Copies answers what the script holds; a server without an entry does not answer.
func (s *scripted) Copies(_ context.Context, c *state.Cluster, servers []string) (map[string][]spec.Copied, []change.Server, error) {
	s.contacts++
	found, absent := map[string][]spec.Copied{}, []change.Server(nil)
	for _, name := range servers {
		if list, answers := s.copies[cmp.Or(c.Servers[name].Address, name)]; answers {
			found[name] = list
		} else {
			absent = append(absent, change.Server{Name: name, Err: errors.New("connect to " + name + ": no route to host")})
		}
	}
	return found, absent, s.err
}

func (s *scripted) Doctor(context.Context, []string, map[string][]string) (*change.Diagnosis, error) {
	s.contacts++
	return &change.Diagnosis{}, nil
}

// BGP answers what the script holds for the servers, once or until it is content.
func (s *scripted) BGP(_ context.Context, servers []string, until func([]change.Speaker) bool, within time.Duration) ([]change.Speaker, error) {
	s.contacts++
	s.waited = append(s.waited, within)
	var out []change.Speaker
	for _, name := range servers {
		one := change.Speaker{Server: name}
		for _, known := range s.speakers {
			if known.Server == name {
				one = known
			}
		}
		out = append(out, one)
	}
	if until != nil {
		until(out)
	}
	return out, s.err
}

// RequestBGP answers what the script holds for the server, before the request and after it.
func (s *scripted) RequestBGP(ctx context.Context, o change.BGPRequest) (answer, last change.Speaker, err error) {
	list, err := s.BGP(ctx, []string{o.Server}, nil, o.Within)
	if err != nil {
		return answer, last, err
	}
	if o.Approve != nil && list[0].Status == nil {
		return list[0], list[0], nil
	}
	if o.Approve != nil {
		if err := o.Approve(list[0].Status); err != nil {
			return list[0], list[0], err
		}
	}
	s.orders = append(s.orders, o.BGPRequest)
	if o.Until != nil {
		o.Until(list)
	}
	return list[0], list[0], nil
}

func (s *scripted) Purge(_ context.Context, server string, login state.Server) (*spec.Report, error) {
	s.contacts++
	s.purged, s.login = server, login
	return &spec.Report{Steps: []spec.Step{{Action: "-", Object: "link vxl0"}}}, s.err
}

// bench is one workstation: a cluster file, an engine, and the screen.
type bench struct {
	t        testing.TB
	dir      string
	engine   scripted
	out, err bytes.Buffer
	to       io.Writer // where out goes instead; nil: to out
	answers  string    // typed on a terminal; "": there is none
	env      map[string]string

	interrupted bool // before anything happens
}

func newBench(t testing.TB, cluster string) *bench {
	b := &bench{t: t, dir: t.TempDir(), env: map[string]string{}}
	if cluster != "" {
		b.write("c.toml", cluster)
	}
	return b
}

func (b *bench) write(name, text string) string {
	b.t.Helper()
	path := filepath.Join(b.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
	return path
}

// run calls flock with args and returns its exit status. What it advises must work.
func (b *bench) run(args ...string) int {
	b.t.Helper()
	code := b.call(args...)
	b.holdAdvice(args)
	return code
}

// call is run for words that nobody types.
func (b *bench) call(args ...string) int {
	b.out.Reset()
	b.err.Reset()
	a := &app{&command.App{
		Page: view.Page{
			Streams: screen.Streams{In: strings.NewReader(b.answers), Out: cmp.Or[io.Writer](b.to, &b.out), Err: &b.err, InTTY: b.answers != ""},
			Getenv: func(name string) string {
				if name == "FLOCK_STATE" {
					return filepath.Join(b.dir, "c.toml")
				}
				return b.env[name]
			},
		},
		Args: args,
		Connect: func(a *command.App, s *state.Store, _ *command.Progress) command.Engine {
			b.engine.store, b.engine.touching = s, a.Touched
			return &b.engine
		},
	}}
	ctx := b.t.Context()
	if b.interrupted {
		var end func()
		ctx, end = context.WithCancel(ctx)
		end()
	}
	code := a.main(ctx)
	b.asDocumented(args)
	return code
}

// nextLine is advice on the screen, and in JSON.
var nextLine = regexp.MustCompile(`(?m)next: +(.*)$|"next": "(.*)"`)

// holdAdvice fails the test when the screen advises what does not work.
func (b *bench) holdAdvice(args []string) {
	b.t.Helper()
	c, _ := state.Open(filepath.Join(b.dir, "c.toml"), "").Load(b.t.Context()) // a broken file has no names
	for _, line := range nextLine.FindAllStringSubmatch(b.out.String()+"\n"+b.err.String(), -1) {
		if err := Advice(line[1]+line[2], c); err != nil {
			b.t.Errorf("flock %s advises %v", strings.Join(args, " "), err)
		}
	}
}

func (b *bench) cluster() *state.Cluster {
	b.t.Helper()
	c, err := state.Open(filepath.Join(b.dir, "c.toml"), "default").Load(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

// three is three servers that were contacted, two of them in vx1.
const three = `schema = 1
[server.s1]
address = "10.99.0.1"
user = "root"
[server.s1.facts]
arch = "amd64"
default4 = "eth0"
interface = [{name = "eth0", mtu = 1500, addresses = ["10.99.0.1/24"]}]
[server.s2]
address = "10.99.0.2"
[server.s2.facts]
arch = "amd64"
default4 = "eth0"
interface = [{name = "eth0", mtu = 1500, addresses = ["10.99.0.2/24"]}, {name = "eth1", mtu = 9000, addresses = ["10.98.0.2/24"]}]
[server.s3]
[network.vx1]
type = "vxlan"
subnet = ["10.0.4.0/24"]
members = ["s1", "s2:eth1"]
`

// Bad input is a status of 2, one line with what to do next, and nobody is
// contacted.
func TestBadInputContactsNobody(t *testing.T) {
	for _, test := range []struct {
		args string
		want string // in the message
	}{
		{"addserver", "too few words"},
		{"addserver s1 root@10.0.0.9", "the name is taken"},
		{"addserver local2 @10.0.0.9", "user"},
		{"addserver server 10.0.0.9", "reserved"},
		{"addserver s/9 10.0.0.9", "s/9"},
		{"addserver s9 10.0.0.9 --interface a-very-long-interface-name", "15"},
		{"delserver vx1", "that is a network"},
		{"delserver s1", "member of vx1"},
		{"createnetwork vx1 vxlan --mtu 1234", "taken"},
		{"createnetwork vx2 vxlam", "vxlam"},
		{"createnetwork vx2 vxlan -v 0", "VNI 0"},
		{"createnetwork vx2 vxlan -v 16777216", "VNI 16777216"},
		{"createnetwork vx2 vxlan -p 70000", "port 70000"},
		{"createnetwork vx2 vxlan -p x", `"x"`},
		{"createnetwork vx2 vxlan -s 10.0.4.0/24", "overlaps"},
		{"createnetwork vx2 vxlan -s 10.9.4.0/31", "/31"},
		{"createnetwork vx2 vxlan -s 10.9.4.0", "not a subnet"},
		{"createnetwork vx2 vxlan -m 10.0.0.1", "multicast"},
		{"createnetwork vx2 vxlan -m x", "not an IP address"},
		{"createnetwork vx2 vxlan -b a-very-long-bridge", "15"},
		{"createnetwork vx2 vxlan -n s9", "unknown server s9"},
		{"createnetwork vx2 vxlan --no-dhcp --dhcp single", "contradict"},
		{"addnetwork vx1", "too few words"},
		{"addnetwork vx9 s1", "unknown network vx9"},
		{"addnetwork vx1 s9", "unknown server s9"},
		{"addnetwork vx1 s3:[fe80::1]", "link-local"},
		{"setsubnet s1 10.1.1.0", "not a subnet"},
		{"listnetworks vx9", "unknown network vx9"},
		{"listnetworks a b", "one word too many"},
		{"listservers --dry-run", "does not know --dry-run"},
		{"listservers -o yaml", "yaml"},
		{"listservers --parallel 0", "parallel"},
		{"listservers --timeout x", "timeout"},
		{"listservers --cluster a/b", "a/b"},
		{"plan -f no-such-file", "no-such-file"},
		{"rollback x", "not a generation"},
		{"rollback 99", "99"},
		{"lstservers", "unknown command"},
		{"completion tcsh", "tcsh"},
		{"purge s1 -i key", "-i and -J are for servers that it lacks"},
	} {
		t.Run(test.args, func(t *testing.T) {
			b := newBench(t, three)
			if code := b.run(strings.Fields(test.args)...); code != command.ExitUsage {
				t.Errorf("exit status: want %d, have %d", command.ExitUsage, code)
			}
			first, _, _ := strings.Cut(b.err.String(), "\n")
			if !strings.HasPrefix(first, "flock: ") || !strings.Contains(first, test.want) {
				t.Errorf("want %q in the first line, have:\n%s", test.want, b.err.String())
			}
			if !strings.Contains(b.err.String(), "\nnext:  ") {
				t.Errorf("no word on what to do next:\n%s", b.err.String())
			}
			if b.engine.contacts != 0 {
				t.Error("servers were contacted")
			}
		})
	}
}

func TestMalformedFileNamesLineAndKey(t *testing.T) {
	b := newBench(t, "schema = 1\n[server.s1]\naddres = \"x\"\n")
	for _, args := range []string{"listservers", "addnetwork vx1 s1"} {
		if code := b.run(strings.Fields(args)...); code != command.ExitUsage {
			t.Errorf("%s: want exit status %d, have %d", args, command.ExitUsage, code)
		}
		for _, want := range []string{"c.toml:3:", "addres"} {
			if !strings.Contains(b.err.String(), want) {
				t.Errorf("%s: want %q in:\n%s", args, want, b.err.String())
			}
		}
	}
}

func TestStatusFollowsTheOutcome(t *testing.T) {
	step := spec.Step{Action: "+", Object: "link vxl0"}
	lost := hint.Errorf("server s3", "flock apply", "dial s3: connection refused")
	done := change.Server{Name: "s1", State: change.Done, Report: &spec.Report{Steps: []spec.Step{step}}}
	planned := change.Server{Name: "s1", State: change.Planned, Plan: &spec.Plan{Steps: []spec.Step{step}}}
	still := change.Server{Name: "s2", State: change.Unchanged, Plan: &spec.Plan{}}
	never := change.Server{Name: "s9", State: change.Planned, Plan: &spec.Plan{Steps: []spec.Step{step}}}
	away := change.Server{Name: "s3", State: change.Unreachable, Err: lost}
	no := func(name string) change.Server {
		return change.Server{Name: name, State: change.Refused, Plan: &spec.Plan{}, Err: errors.New("a route")}
	}
	for _, test := range []struct {
		name    string
		args    string
		servers []change.Server
		pending []string
		err     error
		want    int
		out     string
		stderr  string
	}{
		{"done", "addnetwork vx1 s3", []change.Server{done, still}, nil, nil, command.ExitDone, "", "s1  +1\ns2  unchanged\nvx1: 3 members, ready\n"},
		{"one away", "addnetwork vx1 s3", []change.Server{done, away}, []string{"s3"}, nil, command.ExitPartial, "", "s3  unreachable: dial s3"},
		{"pending from before", "addnetwork vx1 s3", nil, []string{"s3"}, nil, command.ExitPartial, "", "s3 is pending"},
		{"pending elsewhere", "addnetwork vx1 s2", nil, []string{"s3"}, nil, command.ExitDone, "", "ready"},
		{"refused", "addnetwork vx1 s3", []change.Server{still}, nil, errors.New("no"), command.ExitFailed, "", "flock: no\n"},
		{
			"two refuse", "addnetwork vx1 s3",
			[]change.Server{planned, no("s2"), no("s3")},
			nil, errors.New("2 refuse"), command.ExitFailed, "",
			"s2  refused: a route\ns3  refused: a route\nflock: 2 refuse\n",
		},
		{"dry run", "addnetwork vx1 s3 --dry-run", []change.Server{planned, still}, []string{"s1"}, nil, command.ExitDone, "server s1\n  + link vxl0\n\n2 servers: +1, 1 unchanged\n", ""},
		{"plan finds", "plan", []change.Server{planned}, []string{"s1"}, nil, command.ExitDrift, "+ link vxl0", ""},
		{"plan finds nothing", "plan", []change.Server{still}, nil, nil, command.ExitDone, "nothing to do on 1 server\n", ""},
		{"plan is blind", "plan", []change.Server{still, away}, nil, nil, command.ExitPartial, "! dial s3: connection refused\n\n2 servers: 1 unchanged, not known of s3\n", ""},
		{"status drift", "status", []change.Server{planned, still}, nil, nil, command.ExitDrift, "2 servers: 1 converged, 1 drifted\nSERVER  STATE    WHAT\ns1      drifted  + link vxl0\n", "next: flock apply"},
		{"status moved", "status", []change.Server{planned, still}, []string{"s1"}, nil, command.ExitDrift, "s1      drifted  + link vxl0\n", "next: flock apply"},
		{"status wide", "status -o wide", []change.Server{planned, still}, nil, nil, command.ExitDrift, "2 servers: 1 converged, 1 drifted\nSERVER  STATE      WHAT\ns1      drifted    + link vxl0\ns2      converged  -\n", "next: flock apply"},
		{"status pending", "status", []change.Server{planned, never}, []string{"s1", "s9"}, nil, command.ExitDrift, "2 servers: 1 drifted, 1 pending\n", ""},
		{"status fine", "status", []change.Server{still}, nil, nil, command.ExitDone, "1 server: 1 converged\n", ""},
		{"status away", "status", []change.Server{still, away}, nil, nil, command.ExitPartial, "2 servers: 1 converged, 1 unreachable\nSERVER  STATE        WHAT\ns3      unreachable  dial s3: connection refused\n", "s3 next: flock apply"},
		{"apply", "apply", []change.Server{still}, nil, nil, command.ExitDone, "", "1 server as the cluster file says"},
		{"purge", "purge s1 --yes", nil, nil, nil, command.ExitDone, "", "1 object removed, 0 left"},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t, three)
			b.engine.servers, b.engine.pending, b.engine.err = test.servers, test.pending, test.err
			b.engine.behind = []string{"s9"}
			if code := b.run(strings.Fields(test.args)...); code != test.want {
				t.Errorf("exit status: want %d, have %d", test.want, code)
			}
			if !strings.Contains(b.out.String(), test.out) || test.out == "" && b.out.Len() > 0 {
				t.Errorf("stdout: want %q, have:\n%s", test.out, b.out.String())
			}
			if !strings.Contains(b.err.String(), test.stderr) || strings.Contains(b.err.String(), "s1") && test.err != nil {
				t.Errorf("stderr: want %q, have:\n%s", test.stderr, b.err.String())
			}
			b.run(append(strings.Fields(test.args), "--quiet", "--json")...)
			if test.want == command.ExitDone && b.err.Len() > 0 {
				t.Errorf("--quiet says %q", b.err.String())
			}
			if !strings.HasPrefix(b.out.String(), "{\n") || strings.Contains(b.out.String(), "null") {
				t.Errorf("--json prints:\n%s", b.out.String())
			}
		})
	}
}

func TestAddServerWritesTheTarget(t *testing.T) {
	b := newBench(t, three)
	if code := b.run("addserver", "s4", "admin@[fd00::4]:2222", "-i", "key", "-J", "root@jump", "--interface", "eth1", "--nat"); code != command.ExitDone {
		t.Fatalf("exit status %d: %s", code, b.err.String())
	}
	s := b.cluster().Servers["s4"]
	key, err := filepath.Abs("key")
	if err != nil {
		t.Fatal(err)
	}
	want := state.Server{Address: "fd00::4", User: "admin", Port: 2222, Identity: key, Jump: "root@jump", Interface: "eth1", NAT: true}
	if s == nil || !reflect.DeepEqual(*s, want) {
		t.Errorf("want %+v, have %+v", want, s)
	}
	if !slices.Equal(b.engine.request.Contact, []string{"s4"}) {
		t.Errorf("want s4 contacted, have %v", b.engine.request.Contact)
	}
}

func TestCreateNetworkSaysItsDefaults(t *testing.T) {
	b := newBench(t, "")
	if code := b.run("createnetwork", "vx1", "vxlan", "-s", "10.7.0.0/16", "-s", "fd07::/64"); code != command.ExitDone {
		t.Fatalf("exit status %d: %s", code, b.err.String())
	}
	want := "vx1 created: vxlan 10.7.0.0/16,fd07::/64 vni 42 port 4789 bridge vxl0 domain vxapp\n"
	if !strings.HasPrefix(b.err.String(), want) {
		t.Errorf("want %q, have %q", want, b.err.String())
	}
	if n := b.cluster().Networks["vx1"]; n == nil || len(n.Subnets) != 2 {
		t.Errorf("saved: %+v", n)
	}
}

func TestDryRunSavesNothing(t *testing.T) {
	b := newBench(t, three)
	before, _ := os.ReadFile(filepath.Join(b.dir, "c.toml"))
	for _, args := range []string{
		"addserver s4 10.0.0.4", "delserver s3", "delserver s1 --force", "createnetwork vx2 vxlan", "addnetwork vx1 s3",
		"delnetwork vx1 s1", "removenetwork vx1", "setsubnet s1 10.1.1.0/24", "apply", "purge s1",
	} {
		if code := b.run(append(strings.Fields(args), "--dry-run")...); code != command.ExitDone {
			t.Errorf("%s: exit status %d: %s", args, code, b.err.String())
		}
		if !b.engine.request.DryRun || b.engine.purged != "" {
			t.Errorf("%s: not a dry run", args)
		}
	}
	if after, _ := os.ReadFile(filepath.Join(b.dir, "c.toml")); !bytes.Equal(before, after) {
		t.Error("the cluster file changed")
	}
}

func TestRemovalIsConfirmedOnATerminal(t *testing.T) {
	for _, test := range []struct {
		answers, args string
		want          int
		gone          bool
	}{
		{"n\n", "removenetwork vx1", command.ExitFailed, false},
		{"\n", "removenetwork vx1", command.ExitFailed, false},
		{"y\n", "removenetwork vx1", command.ExitDone, true},
		{"n\n", "removenetwork vx1 --yes", command.ExitDone, true},
		{"", "removenetwork vx1", command.ExitUsage, false},
		{"", "removenetwork vx1 --yes", command.ExitDone, true},
		{"n\n", "purge s1", command.ExitFailed, false},
	} {
		b := newBench(t, three)
		b.answers = test.answers
		if code := b.run(strings.Fields(test.args)...); code != test.want {
			t.Errorf("%s, %q: want exit status %d, have %d", test.args, test.answers, test.want, code)
		}
		if gone := b.cluster().Networks["vx1"] == nil; gone != test.gone {
			t.Errorf("%s, %q: gone: want %v, have %v", test.args, test.answers, test.gone, gone)
		}
		if b.engine.purged != "" {
			t.Errorf("%s, %q: purged %s", test.args, test.answers, b.engine.purged)
		}
		asked := strings.Contains(b.err.String(), "remove vx1 from s1, s2? [y/N]")
		if want := test.answers != "" && test.args == "removenetwork vx1"; asked != want {
			t.Errorf("%s, %q: asked: want %v, have %v: %s", test.args, test.answers, want, asked, b.err.String())
		}
	}
}

// TestWordsTheOtherWayRound: what was meant is said.
func TestWordsTheOtherWayRound(t *testing.T) {
	for args, want := range map[string]string{
		"createnetwork vxlan vx2":          "flock createnetwork vx2 vxlan",
		"createnetwork vx2 vxlam":          "one of: ali-vpc, alloc, aws-vpc, azure, bridge, gce, host-gw, ipip, l2, udp, vxlan, vxlan-l3, wireguard",
		"addnetwork s3 vx1":                "the network's name first",
		"setsubnet 10.1.1.0/24 s1":         "flock setsubnet s1 10.1.1.0/24",
		"setsubnet s1":                     "flock setsubnet s1 10.1.1.0/24",
		"setsubnet 10.1.1.0/33":            "flock setsubnet local 10.1.1.0/24",
		"addbgp bnet network 10.0.13.0/24": "SERVER:10.0.13.0/24",
		"addbgp bnet network s1":           "s1:10.0.10.0/24",
		"createbgp b2 s1":                  "flock delbgp bnet server s1",
	} {
		b := newBench(t, bgpThree)
		if code := b.run(strings.Fields(args)...); code != command.ExitUsage || !strings.Contains(b.err.String(), "\nnext:  "+want) && !strings.Contains(b.err.String(), want+"\n") {
			t.Errorf("flock %s: status %d, want next %q, have\n%s", args, code, want, b.err.String())
		}
	}
}

// TestPurgeLogsInAsTold: a server that the file lacks is reached by -i and -J.
func TestPurgeLogsInAsTold(t *testing.T) {
	b := newBench(t, "")
	if code := b.run("purge", "admin@10.99.0.9", "-i", "/keys/k", "-J", "root@bastion", "-y"); code != command.ExitDone {
		t.Fatalf("exit status %d: %s", code, b.err.String())
	}
	if want := (state.Server{Identity: "/keys/k", Jump: "root@bastion"}); b.engine.purged != "admin@10.99.0.9" || !reflect.DeepEqual(b.engine.login, want) {
		t.Errorf("purged %s by %+v", b.engine.purged, b.engine.login)
	}
	b.engine.err = fmt.Errorf("%w: no such key", remote.ErrConfig)
	if code := b.run("purge", "10.99.0.9", "-i", "/keys/k", "-y"); code != command.ExitUsage {
		t.Errorf("a key that is not there: exit status %d", code)
	}
}

func TestDelServerLeavesNothingBehind(t *testing.T) {
	b := newBench(t, three)
	if code := b.run("delserver", "s1", "--force", "--yes"); code != command.ExitDone {
		t.Fatalf("exit status %d: %s", code, b.err.String())
	}
	c := b.cluster()
	if !slices.Equal(b.engine.retired, []string{"s1"}) || !b.engine.request.Force || len(b.engine.request.Contact) > 0 || c.Servers["s1"] != nil || command.IsMember(c, "vx1", "s1") {
		t.Errorf("retired %q, server %v, member %v", b.engine.retired, c.Servers["s1"], command.IsMember(c, "vx1", "s1"))
	}
}

// A server that does not answer is deleted only when that is forced; one that was never
// reached has nothing to lose.
func TestDelServerMustBeReached(t *testing.T) {
	b := newBench(t, three)
	b.engine.err = fmt.Errorf("dial: %w", remote.ErrUnreachable)
	if code := b.run("delserver", "s3", "--yes"); code != command.ExitFailed || !strings.Contains(b.err.String(), "next:  if it is gone for good: flock delserver s3 --force") {
		t.Errorf("exit status %d: %s", code, b.err.String())
	}
	b.engine.err = nil
	if code := b.run("delserver", "s3", "--yes"); code != command.ExitDone || len(b.engine.request.Contact) > 0 {
		t.Errorf("never reached: exit status %d, must answer: %v", code, b.engine.request.Contact)
	}
}

// TestDryRunsOfTheDead: what may be away for the change may be away for its dry run.
func TestDryRunsOfTheDead(t *testing.T) {
	for args, want := range map[string]int{
		"delserver s2 --force": command.ExitDone, "delnetwork vx1 s2 --force": command.ExitDone, "delnetwork vx1 s2": command.ExitPartial,
	} {
		b := newBench(t, three)
		b.engine.servers = []change.Server{{Name: "s2", State: change.Unreachable, Err: remote.ErrUnreachable}}
		if code := b.run(append(strings.Fields(args), "--dry-run")...); code != want || want == command.ExitDone && !strings.Contains(b.err.String(), "s2: away; flock apply cleans it") {
			t.Errorf("%s: exit status %d, want %d: %s", args, code, want, b.err.String())
		}
	}
}

func TestApplyFileReplacesTheCluster(t *testing.T) {
	b := newBench(t, three)
	if code := b.run("apply"); code != command.ExitDone { // deals out vx1's options and addresses
		t.Fatalf("exit status %d: %s", code, b.err.String())
	}
	dealt := b.cluster().Networks["vx1"].Allocated["s2"].Addrs[0]
	file := b.write("wish.toml", `
[server.s2]
address = "10.99.0.2"
[server.s9]
address = "10.99.0.9"
[network.vx1]
type = "vxlan"
members = ["s9", "s2"]
`)
	if code := b.run("apply", "-f", file, "-o", "json", "-y"); code != command.ExitDone {
		t.Fatalf("exit status %d: %s", code, b.err.String())
	}
	if !json.Valid(b.out.Bytes()) {
		t.Errorf("no JSON: %s", b.out.String())
	}
	if !slices.Equal(b.engine.retired, []string{"s1", "s3"}) || b.engine.request.Force {
		t.Errorf("want s1 and s3 to leave, have %q", b.engine.retired)
	}
	c := b.cluster()
	if names := c.ServerNames(); !slices.Equal(names, []string{"s2", "s9"}) {
		t.Errorf("servers: %v", names)
	}
	if have := c.Networks["vx1"].Allocated["s2"].Addrs[0]; have != dealt {
		t.Errorf("s2 was renumbered: want %s, have %s", dealt, have)
	}
	if c.Servers["s2"].Facts == nil {
		t.Error("what was seen on s2 is forgotten")
	}
	if code := b.run("history", "--json"); code != command.ExitDone || !strings.Contains(b.out.String(), `"current": true`) {
		t.Errorf("history: exit status %d:\n%s", code, b.out.String())
	}
	if code := b.run("rollback", "1", "--yes"); code != command.ExitDone {
		t.Fatalf("rollback: exit status %d: %s", code, b.err.String())
	}
	if names := b.cluster().ServerNames(); !slices.Equal(names, []string{"s1", "s2", "s3"}) {
		t.Errorf("servers after rollback: %v", names)
	}
}

func TestCompletionOffersNames(t *testing.T) {
	b := newBench(t, three)
	for args, want := range map[string]string{
		"addnetwork ":        "vx1",
		"addnetwork vx1 ":    "s3 local",
		"delnetwork vx1 ":    "s1 s2",
		"removenetwork ":     "vx1",
		"delserver ":         "s1 s2 s3",
		"createnetwork vx2 ": "ali-vpc alloc aws-vpc azure bridge gce host-gw ipip l2 udp vxlan vxlan-l3 wireguard",
		"completion ":        "bash zsh fish",
		"delnetwork vx1 s1 ": "s2",
		"listnetworks vx1 ":  "",
		"addnetwork vx1 s1:": "s1:eth0",
		"listnetworks -o ":   "table json wide",
		"help lab ":          "container cut down exec join list off on ssh up",

		"createnetwork x vxlan --dhcp ": "single distributed",
		"createnetwork x vxlan -n ":     "s1 s2 s3",
	} {
		words := append([]string{"__completeNoDesc"}, strings.Split(args, " ")...)
		b.run(words...)
		have := strings.Fields(b.out.String())
		if n := len(have); n > 0 {
			have = have[:n-1] // the directive
		}
		if !slices.Equal(have, strings.Fields(want)) {
			t.Errorf("%q: want %q, have %q", args, want, have)
		}
	}
}

func TestInterruptIsOneWord(t *testing.T) {
	b := newBench(t, three)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	getenv := func(name string) string {
		return map[string]string{"FLOCK_STATE": filepath.Join(b.dir, "c.toml")}[name]
	}
	a := &app{&command.App{Page: view.Page{Streams: screen.Streams{Out: &b.out, Err: &b.err}, Getenv: getenv}, Args: []string{"listservers"}}}
	if code := a.main(ctx); code != command.ExitFailed || b.err.String() != "flock: interrupted\n" {
		t.Errorf("exit status %d: %q", code, b.err.String())
	}
}

func TestHelpRefusesWhatIsNoCommand(t *testing.T) {
	b := newBench(t, "")
	for _, args := range []string{"help nonsense", "help lab nonsense", "help status nonsense"} {
		if code := b.run(strings.Split(args, " ")...); code != command.ExitUsage || !strings.Contains(b.err.String(), `unknown command "nonsense"`) {
			t.Errorf("%s: exit status %d: %s", args, code, b.err.String())
		}
	}
	if code := b.run("help", "lab", "up"); code != command.ExitDone || !strings.Contains(b.out.String(), "flock lab up") {
		t.Errorf("help lab up: exit status %d: %s", code, b.out.String())
	}
	if code := b.run("--version"); code != command.ExitDone || !strings.HasPrefix(b.out.String(), "flock ") || strings.Contains(b.out.String(), "\n\n") {
		t.Errorf("--version: exit status %d: %s", code, b.out.String())
	}
}

// TestQuietSaysWhatFailed: an error is not chatter.
func TestQuietSaysWhatFailed(t *testing.T) {
	var out, errs strings.Builder
	a := &app{&command.App{Page: view.Page{Streams: screen.Streams{Out: &out, Err: &errs}, Getenv: func(string) string { return "" }}}}
	a.Quiet = true
	a.Summary(&change.Outcome{Servers: []change.Server{
		{Name: "s1", State: change.Done},
		{Name: "s2", State: change.Failed, Err: hint.Errorf("", "df", "no space left on device")},
	}})
	if want := "s2  failed: no space left on device\n    next: df\n"; errs.String() != want || out.Len() > 0 {
		t.Errorf("want %q, have %q and %q", want, errs.String(), out.String())
	}
}

// TestCountsAreExplained to who wants to hear more.
func TestCountsAreExplained(t *testing.T) {
	for _, verbose := range []bool{false, true} {
		var b strings.Builder
		a := &app{&command.App{Page: view.Page{Streams: screen.Streams{Err: &b}, Verbose: verbose, Getenv: func(string) string { return "" }}}}
		a.Summary(&change.Outcome{Servers: []change.Server{{Name: "s1", State: change.Done, Report: &spec.Report{Steps: []spec.Step{{Action: spec.Add}, {Action: spec.Remove}}}}}})
		want := "s1  +1 -1\n"
		if verbose {
			want += "+ made, ~ changed, - taken away\n"
		}
		if b.String() != want {
			t.Errorf("verbose %v: want %q, have %q", verbose, want, b.String())
		}
	}
}

func TestDryRunOfCreateNetworkSaysWhatItWouldBe(t *testing.T) {
	b := newBench(t, three)
	if code := b.run("createnetwork", "vx2", "vxlan", "--dry-run"); code != command.ExitDone || !strings.Contains(b.err.String(), "vx2 would be vxlan 10.0.5.0/24 vni ") {
		t.Errorf("exit status %d: %s", code, b.err.String())
	}
}

// TestListingNamesTheServerThatHandsOut: not the one asked for while it is no member.
func TestListingNamesTheServerThatHandsOut(t *testing.T) {
	n := &state.Network{DHCP: state.DHCPSingle, DHCPServer: "s2"}
	for members, want := range map[string]string{"": "s2", "s1": "s1", "s1 s2": "s2", "s3:eth1 s1": "s3"} {
		n.Members = strings.Fields(members)
		if have := view.Options(n, 0); !slices.Contains(have, "dhcp"+screen.NoBreak+want) {
			t.Errorf("members %q: want dhcp %s, have %q", members, want, have)
		}
	}
}

func TestListingsCount(t *testing.T) {
	b := newBench(t, "schema = 1\n[server.s10]\n[server.s2]\n[network.n10]\ntype = 'vxlan'\n[network.n9]\ntype = 'vxlan'\n")
	for line, want := range map[string]string{"listservers": "(?s)s2.*s10", "listnetworks": "(?s)n9.*n10"} {
		if code := b.run(line); code != command.ExitDone || !regexp.MustCompile(want).MatchString(b.out.String()) {
			t.Errorf("%s: exit status %d: %s%s", line, code, b.out.String(), b.err.String())
		}
	}
}
