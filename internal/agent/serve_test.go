//go:build linux

package agent

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/attach"
	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/link"
	"github.com/flocknet/flock/internal/agent/socket"
	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/agent/unit"
	"github.com/flocknet/flock/internal/agent/wg"
	"github.com/flocknet/flock/internal/lab"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/wire"
)

// agentRole makes a run of this test binary an agent: "serve" or "boot".
const agentRole = "FLOCK_TEST_AGENT"

// hasty makes agents wait a second only for who does not answer.
const hasty = "FLOCK_TEST_HASTY"

// hurried makes agents count beats of so long, instead of wire.Beat.
const hurried = "FLOCK_TEST_BEAT"

// TestAgentProcess is no test but the agent that the others start.
func TestAgentProcess(t *testing.T) {
	var err error
	switch os.Getenv(agentRole) {
	case "":
		return
	case "serve":
		err = Serve(context.Background(), os.Stdin, os.Stdout, "test", nil)
	case "boot":
		err = Boot(context.Background(), os.Stderr)
	case "resolve again":
		err = resolveAgain()
	case "resolve later":
		err = link.NewResolver(host.NewFiles("test")).Look(context.Background(), time.Now().Add(time.Hour))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// TestMain also makes this test binary the daemons that an agent starts.
func TestMain(m *testing.M) {
	if os.Getenv(filtered) != "" {
		beFiltered()
	}
	if os.Getenv(hasty) != "" {
		wg.AnswerWithin = time.Second
	}
	if text := os.Getenv(hurried); text != "" {
		var err error
		if host.Beat, err = time.ParseDuration(text); err != nil {
			panic(err)
		}
	}
	if os.Getenv(agentRole) == "" {
		socket.ProcNet, unit.OwnNetwork = "/proc/thread-self/net", "/proc/thread-self/ns/net" // a test's thread is in a namespace of its own, an agent's is not
	}
	if len(os.Args) < 4 || os.Args[1] != "agent" {
		os.Exit(borrowed(m))
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM)
	run := map[string]func(context.Context, string, io.Writer) error{"wireguard": wireGuard, "udp": udp, "resolve": resolve, "names": testNames, "attach": testAttach, "try": tryOut, "undo": undoStdin}[os.Args[2]]
	err := run(ctx, os.Args[3], os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// borrowed runs the tests with inotify instances for all the daemons that they start.
func borrowed(m *testing.M) int {
	if os.Getenv(agentRole) != "" { // in a test's machine
		return m.Run()
	}
	giveBack, err := lab.Borrow()
	if err != nil { // a container whose /proc/sys is read only: the tests of no daemon run there
		fmt.Fprintln(os.Stderr, err)
		return m.Run()
	}
	code := m.Run()
	if err := giveBack(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// testDir is where a test keeps a server's files that its daemons need to know.
const testDir = "FLOCK_TEST_DIR"

func testNames(ctx context.Context, mark string, log io.Writer) error {
	_, network, _ := strings.Cut(mark, "/")
	return filesIn(os.Getenv(testDir)).DHCP.Answer(ctx, network, log)
}

func testAttach(ctx context.Context, cluster string, log io.Writer) error {
	dir := os.Getenv(testDir)
	return attach.Serve(ctx, host.FilesAt(cluster, host.Paths{Lib: dir, Run: filepath.Join(dir, "run"), Systemd: filepath.Join(dir, "none")}), log)
}

func tryOut(_ context.Context, kinds string, _ io.Writer) error { return try(kinds, os.Stdout) }

func undoStdin(ctx context.Context, cluster string, log io.Writer) error {
	return Undo(ctx, cluster, os.Stdin, log)
}

// machine is a server of its own: network, /run, /var/lib and /usr/local/lib are
// not this host's. A process holds its namespaces.
type machine struct {
	t   testing.TB
	pid string
}

func newMachine(t testing.TB) *machine {
	t.Helper()
	lab.Need(t, "ip", "unshare")
	cmd := exec.Command("unshare", "-m", "-n", "sh", "-ec", `
		for d in /run /var/lib /usr/local/lib /etc/systemd/system; do mount -t tmpfs none $d; done
		sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
		ip link set lo up
		ip link add eth0 type veth peer name wire
		ip link set wire up; ip addr add 10.99.0.1/24 dev eth0; ip link set eth0 up
		until ip -br link show eth0 | grep -q " UP "; do :; done # what stands is listed
		echo ready; exec cat`)
	stdin, err1 := cmd.StdinPipe()
	stdout, err2 := cmd.StdoutPipe()
	cmd.Stderr = os.Stderr
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(stdin.Close(), cmd.Wait()); err != nil {
			t.Error(err)
		}
	})
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "ready\n" {
		t.Fatalf("make a machine (root needed): %v", err)
	}
	m := &machine{t: t, pid: fmt.Sprint(cmd.Process.Pid)}
	t.Cleanup(func() { m.killAll() })
	return m
}

// killAll ends what runs in the machine, whoever knows of it, but the process that holds it.
func (m *machine) killAll() {
	m.t.Helper()
	own, err := os.Readlink("/proc/" + m.pid + "/ns/net")
	if err != nil {
		m.t.Fatal(err)
	}
	all, err := filepath.Glob("/proc/[0-9]*/ns/net")
	if err != nil {
		m.t.Fatal(err)
	}
	for _, path := range all {
		there, _ := os.Readlink(path) // others come and go
		pid, err := strconv.Atoi(strings.Split(path, "/")[2])
		if err != nil || there != own || strconv.Itoa(pid) == m.pid {
			continue
		}
		if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
			m.t.Error(err)
		}
	}
}

func (m *machine) command(name string, args ...string) *exec.Cmd {
	return exec.Command("nsenter", append([]string{"-t", m.pid, "-m", "-n", "--", name}, args...)...)
}

func (m *machine) sh(script string) string {
	m.t.Helper()
	out, err := m.command("sh", "-ec", script).CombinedOutput()
	if err != nil {
		m.t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return string(out)
}

func (m *machine) agent(role string) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		m.t.Fatal(err)
	}
	// Hardened servers have such a mask; dnsmasq, as nobody, must reach its files.
	cmd := m.command("sh", "-c", `umask 077; exec "$0" "$@"`, self, "-test.run=^TestAgentProcess$")
	cmd.Env = append(os.Environ(), agentRole+"="+role)
	return cmd
}

func (m *machine) boot() {
	m.t.Helper()
	if out, err := m.agent("boot").CombinedOutput(); err != nil {
		m.t.Fatalf("boot: %v\n%s", err, out)
	}
}

// call is one session with a machine's agent.
type call struct {
	t        testing.TB
	cmd      *exec.Cmd
	in       io.WriteCloser
	out      *os.File
	conn     *wire.Conn
	said     bytes.Buffer
	progress []string
	over     bool
	alive    wire.Vigil // shows the agent that we are there, until it is ended
}

func (m *machine) call() *call {
	m.t.Helper()
	return m.callBy(m.agent("serve"), func() {})
}

// callBy is call to the agent that cmd starts; started is called when it runs.
func (m *machine) callBy(cmd *exec.Cmd, started func()) *call {
	m.t.Helper()
	c := &call{t: m.t, cmd: cmd}
	var err1, err2 error
	c.in, err1 = c.cmd.StdinPipe()
	out, err2 := c.cmd.StdoutPipe()
	c.cmd.Stderr = &c.said
	if err := errors.Join(err1, err2, c.cmd.Start()); err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() {
		if !c.over {
			c.hangUp()
		}
	})
	started()
	c.out = out.(*os.File) // which StdoutPipe makes
	r := bufio.NewReader(out)
	if _, _, err := wire.AwaitGreeting(r); err != nil {
		m.t.Fatalf("%v: %s", err, c.said.String())
	}
	c.conn = wire.NewConn(r, c.in)
	beat := wire.Beat
	if text := os.Getenv(hurried); text != "" {
		var err error
		if beat, err = time.ParseDuration(text); err != nil {
			m.t.Fatal(err)
		}
	}
	c.alive.Begin(beat, func(int) { _ = c.conn.Send(spec.Request{Op: spec.OpAlive}) }) // an agent that ended takes none
	return c
}

// ask returns the final reply, which may be an error.
func (c *call) ask(r spec.Request) spec.Reply {
	c.t.Helper()
	if err := c.conn.Send(r); err != nil {
		c.t.Fatal(err)
	}
	return c.reply()
}

func (c *call) reply() spec.Reply {
	c.t.Helper()
	for {
		var reply spec.Reply
		if err := c.conn.Receive(&reply); err != nil {
			c.t.Fatalf("await reply: %v: %s", err, c.said.String())
		}
		if reply.Done {
			return reply
		}
		if reply.Progress != "" {
			c.progress = append(c.progress, reply.Progress)
		}
	}
}

// must is ask for what must succeed.
func (c *call) must(r spec.Request) spec.Reply {
	c.t.Helper()
	reply := c.ask(r)
	if reply.Error != nil {
		c.t.Fatalf("%s: %s", r.Op, reply.Error.What)
	}
	if p := reply.Report; p != nil && (p.Error != nil || len(p.Pending) > 0) {
		c.t.Fatalf("%s: %+v, %v", r.Op, p, p.Error)
	}
	return reply
}

// hangUp ends the session and waits for the agent.
func (c *call) hangUp() {
	c.t.Helper()
	c.over = true
	c.alive.End()
	if err := errors.Join(c.in.Close(), c.cmd.Wait()); err != nil {
		c.t.Errorf("agent: %v: %s", err, c.said.String())
	}
}

func (c *call) refused(r spec.Request, word string) {
	c.t.Helper()
	if reply := c.ask(r); reply.Error == nil || !strings.Contains(reply.Error.What, word) || reply.Error.Next == "" {
		c.t.Errorf("%s: want a refusal with %q and advice, have %+v", r.Op, word, reply.Error)
	}
}

func testHost(mtu int) *spec.Host {
	d := testDHCP()
	d.Listen, d.DNS, d.Ranges, d.MTU = d.Listen[:1], d.DNS[:1], d.Ranges[:1], mtu
	return &spec.Host{
		Cluster: "test", Store: "store1", Server: "s1", Generation: 7,
		Links: []spec.Link{
			{Name: "vxl0", Network: "vx1", Kind: spec.Bridge, MAC: "6a:0b:00:00:00:01", MTU: mtu},
			{
				Name: "vxl0-vx", Network: "vx1", Kind: spec.VXLAN, MAC: "6a:0a:00:00:00:01", MTU: mtu, Master: "vxl0",
				Tunnel: &spec.Tunnel{VNI: 42, Port: 4789, Local: netip.MustParseAddr("10.99.0.1")},
			},
		},
		Addrs:     []spec.Addr{{Link: "vxl0", Prefix: netip.MustParsePrefix("10.0.4.254/24")}, {Link: "vxl0", Prefix: netip.MustParsePrefix("10.0.4.1/32")}},
		Floods:    []spec.Flood{{Link: "vxl0-vx", To: spec.NewAddrSet(addrs("10.99.0.1", "10.99.0.2")...)}},
		NATs:      []spec.NAT{{Network: "vx1", Bridge: "vxl0", Subnet: netip.MustParsePrefix("10.0.4.0/24")}},
		Sysctls:   []spec.Sysctl{{Key: "net/ipv4/ip_forward", Value: "1"}},
		DHCPs:     []spec.DHCP{d},
		Unmanaged: []spec.Unmanage{{Links: []string{"vxl0", "vxl0-vx"}}},
		Claims:    []spec.Claim{{Network: "vx1", Prefix: netip.MustParsePrefix("10.0.4.0/24")}, {Network: "vx1", UDPPort: 4789}},
	}
}

func emptyHost() *spec.Host {
	return &spec.Host{Cluster: "test", Store: "store1", Server: "s1", Generation: 8}
}

// traces is everything on a machine that a cluster could leave behind.
func (m *machine) traces() string {
	m.t.Helper()
	return m.sh(`ip -br link | sed 's/@.*//'; ip -4 -br addr; ip route show table all; nft list ruleset
		cat /proc/sys/net/ipv4/ip_forward; find /run /var/lib /usr/local/lib | sort
		ss -Hlun | awk '{print $4}' | sort`)
}

func (m *machine) mtu(want int) {
	m.t.Helper()
	if have := m.sh("ip link show dev vxl0"); !strings.Contains(have, fmt.Sprintf("mtu %d ", want)) {
		m.t.Errorf("want MTU %d, have %s", want, have)
	}
}

func TestServeFromNothingToNothing(t *testing.T) {
	m := newMachine(t)
	before := m.traces()
	want := testHost(1450)

	c := m.call()
	if f := c.must(spec.Request{Op: spec.OpFacts}).Facts; f == nil || f.Agent != "test" || len(f.Interfaces) != 1 || f.Interfaces[0].Name != "eth0" {
		t.Errorf("facts: %+v", f)
	}
	plan := c.must(spec.Request{Op: spec.OpPlan, Want: want}).Plan
	if len(plan.Steps) == 0 || len(plan.Problems) != 0 || plan.Sum != "" {
		t.Fatalf("plan: %+v", plan)
	}
	report := c.must(spec.Request{Op: spec.OpApply, Want: want}).Report
	if len(report.Steps) != len(plan.Steps) {
		t.Errorf("planned %v, did %v", plan.Steps, report.Steps)
	}
	c.must(spec.Request{Op: spec.OpConfirm})
	c.hangUp()
	if modes := m.sh("cd /var/lib/flock; stat -c %a . test test/dnsmasq-vx1.hosts"); modes != "755\n755\n644\n" {
		t.Errorf("modes: %s", modes)
	}
	if mode := m.sh("stat -c %a /var/lib/flock/test/spec.json; ls -a /var/lib/flock/test /run/flock"); !strings.HasPrefix(mode, "600") || strings.Contains(mode, host.PendingFile) {
		t.Errorf("files: %s", mode)
	}

	standing := m.traces()
	c = m.call()
	if plan := c.must(spec.Request{Op: spec.OpPlan, Want: want}).Plan; len(plan.Steps)+len(plan.Problems) != 0 || plan.Sum != want.Sum() {
		t.Errorf("second plan: %+v", plan)
	}
	c.hangUp()
	c = m.call()
	c.must(spec.Request{Op: spec.OpApply, Want: want})
	c.must(spec.Request{Op: spec.OpConfirm})
	c.hangUp()
	if now := m.traces(); now != standing {
		t.Errorf("applied twice: want\n%s\nhave\n%s", standing, now)
	}

	c = m.call()
	if left := c.must(spec.Request{Op: spec.OpApply, Want: emptyHost()}).Report.Left; left != 0 {
		t.Errorf("left = %d", left)
	}
	c.must(spec.Request{Op: spec.OpConfirm})
	c.hangUp()
	if after := m.traces(); after != before {
		t.Errorf("want\n%s\nhave\n%s", before, after)
	}
}

// TestSettle: what can cut nobody off needs no confirmation, whatever else does.
func TestSettle(t *testing.T) {
	m := newMachine(t)
	c := m.call()
	want := testHost(1450)
	if r := c.must(spec.Request{Op: spec.OpApply, Want: want, Settle: true}).Report; r.Confirmed {
		t.Errorf("a new network stands without a confirmation: %v", r.Steps)
	}
	c.must(spec.Request{Op: spec.OpConfirm})

	more := testHost(1450)
	more.Floods[0].To = spec.NewAddrSet(addrs("10.99.0.1", "10.99.0.2", "10.99.0.3")...)
	c.must(spec.Request{Op: spec.OpPlan, Want: more})
	if r := c.must(spec.Request{Op: spec.OpApply, Want: more, Settle: true}).Report; !r.Confirmed || len(r.Steps) != 1 {
		t.Errorf("one more neighbour: %+v", r)
	}
	c.refused(spec.Request{Op: spec.OpConfirm}, "nothing to confirm")

	c.must(spec.Request{Op: spec.OpPlan, Want: want})
	if r := c.must(spec.Request{Op: spec.OpApply, Want: want, Settle: true}).Report; r.Confirmed {
		t.Error("nobody will forget what a neighbour that leaves says last")
	}
	c.must(spec.Request{Op: spec.OpConfirm})
	c.hangUp()
	c = m.call()
	c.must(spec.Request{Op: spec.OpApply, Want: more, Settle: true})
	c.hangUp()
	if fdb := m.sh("bridge fdb show dev vxl0-vx; ls /var/lib/flock/test; cat /var/lib/flock/test/spec.json"); strings.Count(fdb, "10.99.0.3") != 2 || strings.Contains(fdb, host.PendingFile) {
		t.Errorf("what stands and what is kept:\n%s", fdb)
	}
}

// A status has the probes done where nothing differs, and nowhere else.
func TestStatusProbes(t *testing.T) {
	m := newMachine(t)
	c := m.call()
	want := testHost(1450)
	c.must(spec.Request{Op: spec.OpApply, Want: want})
	c.must(spec.Request{Op: spec.OpConfirm})
	own := want.Addrs[0].Prefix.Addr()
	near, far := spec.Probe{Link: "vxl0", From: own, To: own}, spec.Probe{Link: "vxl9", From: own, To: own}
	probes := []spec.Probe{near, far}
	if r := c.must(spec.Request{Op: spec.OpStatus, Want: want, Probes: probes}); len(r.Plan.Steps) > 0 || !r.Probed || !slices.Equal(r.Unheard, []spec.Probe{far}) {
		t.Errorf("nothing differs: %+v, steps %v", r, r.Plan.Steps)
	}
	if r := c.must(spec.Request{Op: spec.OpStatus, Want: testHost(1400), Probes: probes}); len(r.Plan.Steps) == 0 || r.Probed || r.Unheard != nil {
		t.Errorf("something differs: %+v", r)
	}
	if r := c.must(spec.Request{Op: spec.OpStatus, Want: want}); r.Probed {
		t.Error("nothing was to be probed")
	}
}

// TestChangedSincePlan: what somebody changes between plan and apply is noticed,
// though apply begins with what the plan saw.
func TestChangedSincePlan(t *testing.T) {
	m := newMachine(t)
	c := m.call()
	c.must(spec.Request{Op: spec.OpApply, Want: testHost(1450)})
	c.must(spec.Request{Op: spec.OpConfirm})
	for _, meanwhile := range []string{
		"ip link del vxl0-vx", "ip addr del 10.0.4.254/24 dev vxl0", "nft delete table ip flock-test || nft delete table inet flock-test",
		"bridge fdb append 00:00:00:00:00:00 dev vxl0-vx dst 10.99.0.3", "true",
	} {
		want := testHost(1450)
		want.Floods[0].To = spec.NewAddrSet(addrs("10.99.0.1", "10.99.0.2", "10.99.0.3")...)
		c.must(spec.Request{Op: spec.OpPlan, Want: want})
		m.sh(meanwhile)
		if r := c.must(spec.Request{Op: spec.OpApply, Want: want}).Report; r.Error != nil || len(r.Pending) > 0 {
			t.Errorf("after %q: %+v", meanwhile, r)
		}
		c.must(spec.Request{Op: spec.OpConfirm})
		if plan := c.must(spec.Request{Op: spec.OpStatus, Want: want}).Plan; len(plan.Steps) > 0 {
			t.Errorf("after %q there is left to do: %v", meanwhile, plan.Steps)
		}
		c.must(spec.Request{Op: spec.OpApply, Want: testHost(1450)})
		c.must(spec.Request{Op: spec.OpConfirm})
	}
	c.hangUp()
}

func TestUndoWhenNobodyConfirms(t *testing.T) {
	m := newMachine(t)
	before := m.traces()
	c := m.call()
	c.must(spec.Request{Op: spec.OpApply, Want: testHost(1450), Undo: 50 * time.Millisecond})
	poll(t, func() error {
		if m.sh("ip -br link") == "" || strings.Contains(m.sh("ip -br link"), "vxl0") {
			return errors.New("vxl0 is still there")
		}
		return nil
	})
	c.refused(spec.Request{Op: spec.OpConfirm}, "nothing to confirm")
	c.hangUp()
	if after := m.traces(); after != before {
		t.Errorf("want\n%s\nhave\n%s", before, after)
	}
}

// The laptop's lid falls shut, or somebody ends the agent: the session ends with a
// signal, nobody reads any more.
func TestUndoWhenTheSessionEnds(t *testing.T) {
	for _, signal := range []unix.Signal{unix.SIGHUP, unix.SIGTERM} {
		t.Run(unix.SignalName(signal), func(t *testing.T) {
			m := newMachine(t)
			c := m.call()
			c.must(spec.Request{Op: spec.OpApply, Want: testHost(1450)})
			c.must(spec.Request{Op: spec.OpConfirm})
			c.must(spec.Request{Op: spec.OpApply, Want: testHost(1400)})
			m.mtu(1400)
			if err := c.cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			c.hangUp()
			m.mtu(1450)
			if conf := m.sh("cat /var/lib/flock/test/dnsmasq-vx1.conf; ls /var/lib/flock/test"); !strings.Contains(conf, "mtu,1450") || strings.Contains(conf, host.PendingFile) {
				t.Errorf("files: %s", conf)
			}
		})
	}
}

// TestForgottenServerKeepsItsNetworks: without what was confirmed there is no way
// back, and a change that fails must not take everything away.
func TestForgottenServerKeepsItsNetworks(t *testing.T) {
	m := newMachine(t)
	c := m.call()
	c.must(spec.Request{Op: spec.OpApply, Want: testHost(1450)})
	c.must(spec.Request{Op: spec.OpConfirm})
	c.hangUp()
	m.sh("rm -r /var/lib/flock")
	bad := testHost(1400)
	bad.Sysctls = append(bad.Sysctls, spec.Sysctl{Key: "net/ipv4/ip_default_ttl", Value: "9999"})
	for range 2 {
		c = m.call()
		reply := c.ask(spec.Request{Op: spec.OpApply, Want: bad})
		report := reply.Report
		if report == nil || report.Undone || report.Error == nil || !strings.Contains(report.Error.What, "nothing was taken back") {
			t.Fatalf("%+v, %+v", report, reply.Error)
		}
		c.hangUp()
		m.mtu(1400)
	}
	c = m.call()
	c.must(spec.Request{Op: spec.OpApply, Want: testHost(1450)})
	c.must(spec.Request{Op: spec.OpConfirm})
	c.hangUp()
	m.mtu(1450)
}

func TestUndoWhenApplyFails(t *testing.T) {
	m := newMachine(t)
	before := m.traces()
	want := testHost(1450)
	want.Sysctls = append(want.Sysctls, spec.Sysctl{Key: "net/ipv4/ip_default_ttl", Value: "9999"})
	c := m.call()
	report := c.ask(spec.Request{Op: spec.OpApply, Want: want}).Report
	if report == nil || !report.Undone || report.Error == nil || !strings.Contains(report.Error.What, "ip_default_ttl") {
		t.Errorf("report: %+v", report)
	}
	c.hangUp()
	if after := m.traces(); after != before {
		t.Errorf("want\n%s\nhave\n%s", before, after)
	}
}

// kill -9 and a power cut: what was confirmed last comes back at boot.
func TestBootAfterKill(t *testing.T) {
	m := newMachine(t)
	c := m.call()
	c.must(spec.Request{Op: spec.OpApply, Want: testHost(1450)})
	c.must(spec.Request{Op: spec.OpConfirm})
	c.must(spec.Request{Op: spec.OpApply, Want: testHost(1400)})
	c.kill(m)
	m.sh("ls /var/lib/flock/test/" + host.PendingFile + "; ip link del vxl0; ip link del vxl0-vx; nft flush ruleset")
	m.boot()
	m.mtu(1450)
	c = m.call()
	if plan := c.must(spec.Request{Op: spec.OpPlan, Want: testHost(1450)}).Plan; len(plan.Steps) != 0 {
		t.Errorf("after boot: %v", plan.Steps)
	}
	c.hangUp()
}

func TestBootAfterKilledFirstChange(t *testing.T) {
	m := newMachine(t)
	before := m.traces()
	c := m.call()
	c.must(spec.Request{Op: spec.OpApply, Want: testHost(1450)})
	c.kill(m)
	m.boot()
	if after := m.traces(); after != before {
		t.Errorf("want\n%s\nhave\n%s", before, after)
	}
}

// kill is kill -9 of the agent: nsenter without -F execs into it.
func (c *call) kill(m *machine) {
	c.t.Helper()
	c.over = true
	if err := c.cmd.Process.Kill(); err != nil {
		c.t.Fatal(err)
	}
	_ = c.cmd.Wait() // says that it was killed
}

func TestSecondAdminWaits(t *testing.T) {
	m := newMachine(t)
	first, second := m.call(), m.call()
	first.must(spec.Request{Op: spec.OpPlan, Want: testHost(1450), Holder: "ann@desk, flock addnetwork"})
	if err := second.conn.Send(spec.Request{Op: spec.OpPlan, Want: testHost(1450), Holder: "bob@home, flock apply"}); err != nil {
		t.Fatal(err)
	}
	second.waits(t, "ann@desk, flock addnetwork (pid "+fmt.Sprint(first.cmd.Process.Pid)+")", first.hangUp)
	// Looking takes no lock.
	third := m.call()
	third.must(spec.Request{Op: spec.OpStatus, Want: testHost(1450)})
	third.must(spec.Request{Op: spec.OpFacts})
	if plan := third.must(spec.Request{Op: spec.OpPlan, Look: true, Want: testHost(1450)}).Plan; len(plan.Steps) == 0 || len(third.progress) > 0 {
		t.Errorf("a look for a person: %+v, after %q", plan, third.progress)
	}
	third.hangUp()
	second.hangUp()
	if files := m.sh("ls /run"); strings.Contains(files, "flock") {
		t.Errorf("after the last session: %s", files)
	}
}

// waits checks that progress names holder, has it go and awaits the reply.
func (c *call) waits(t *testing.T, holder string, release func()) {
	t.Helper()
	var reply spec.Reply
	if err := c.conn.Receive(&reply); err != nil || !strings.Contains(reply.Progress, "waiting for "+holder+" since ") {
		t.Fatalf("progress: want %q, have %+v, %v", holder, reply, err)
	}
	release()
	if reply := c.reply(); reply.Error != nil || reply.Plan == nil {
		t.Fatalf("after the wait: %+v", reply)
	}
}

// One machine under two names: the second session of the same command does not wait for
// the first one's end, which would not come.
func TestOneCommandAsksTwice(t *testing.T) {
	m := newMachine(t)
	first, second := m.call(), m.call()
	first.must(spec.Request{Op: spec.OpPlan, Want: testHost(1450), Holder: "ann@laptop", Change: "c1"})
	plan := second.must(spec.Request{Op: spec.OpPlan, Want: testHost(1450), Holder: "ann@laptop", Change: "c1"}).Plan
	if len(plan.Problems) != 1 || !strings.Contains(plan.Problems[0].What, "under two names") || plan.Problems[0].Next == "" {
		t.Errorf("problems: %+v", plan.Problems)
	}
	if err := second.conn.Send(spec.Request{Op: spec.OpPlan, Want: testHost(1450), Holder: "bob@laptop", Change: "c2"}); err != nil {
		t.Fatal(err)
	}
	second.waits(t, "ann@laptop (pid "+fmt.Sprint(first.cmd.Process.Pid)+")", first.hangUp)
	second.hangUp()
}

func TestLockOutlastsNobody(t *testing.T) {
	path := t.TempDir() + "/run/lock"
	l, err := host.TakeLock(context.Background(), path, "ann", "", time.Second, nil)
	if err != nil {
		t.Fatal(err)
	}
	var waited []string
	_, err = host.TakeLock(context.Background(), path, "bob", "", 60*time.Millisecond, func(s string) { waited = append(waited, s) })
	if err == nil || !strings.Contains(err.Error(), "ann (pid ") || len(waited) != 1 {
		t.Errorf("want a refusal that names ann, have %v; waited for %q", err, waited)
	}
	if err := l.Release(true); err != nil {
		t.Fatal(err)
	}
	if sysfile.Exists(path) {
		t.Error("the last one left the lock file")
	}
	next, err := host.TakeLock(context.Background(), path, "bob", "", time.Second, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := next.Release(true); err != nil {
		t.Fatal(err)
	}
}

func TestServerBelongsToOneClusterFile(t *testing.T) {
	m := newMachine(t)
	before := m.traces()
	c := m.call()
	c.must(spec.Request{Op: spec.OpApply, Want: testHost(1450)})
	c.must(spec.Request{Op: spec.OpConfirm})
	other, older := testHost(1400), testHost(1400)
	other.Store, older.Generation = "store2", 6
	for word, want := range map[string]*spec.Host{"another cluster file": other, "newer": older} {
		plan := c.must(spec.Request{Op: spec.OpPlan, Want: want}).Plan
		if len(plan.Problems) == 0 || !strings.Contains(plan.Problems[0].What, word) || plan.Problems[0].Next == "" {
			t.Errorf("want a problem with %q, have %+v", word, plan.Problems)
		}
		c.refused(spec.Request{Op: spec.OpApply, Want: want}, word)
	}
	m.mtu(1450)
	nothing := emptyHost()
	nothing.Store = "store2"
	if left := c.must(spec.Request{Op: spec.OpPurge, Want: nothing}).Report.Left; left != 0 {
		t.Errorf("left = %d", left)
	}
	c.hangUp()
	if after := m.traces(); after != before {
		t.Errorf("want\n%s\nhave\n%s", before, after)
	}
}

func TestApplyRefusesConflicts(t *testing.T) {
	m := newMachine(t)
	m.sh("ip link add vxl0 type bridge")
	before := m.traces()
	c := m.call()
	c.refused(spec.Request{Op: spec.OpApply, Want: testHost(1450)}, "vxl0")
	c.refused(spec.Request{Op: spec.OpConfirm}, "nothing to confirm")
	if reply := c.ask(spec.Request{Op: "dance", Want: testHost(1450)}); reply.Error == nil {
		t.Error("an unknown operation is answered")
	}
	if reply := c.ask(spec.Request{Op: spec.OpPlan}); reply.Error == nil {
		t.Error("a plan of nothing is answered")
	}
	c.hangUp()
	if after := m.traces(); after != before {
		t.Errorf("want\n%s\nhave\n%s", before, after)
	}
}
