//go:build linux

package bgp

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/lab"
	"github.com/flocknet/flock/internal/spec"
)

// dirVariable makes the test's program a BGP daemon: GoBGP's sockets are in the
// network namespace of whatever thread opens them, so a daemon is a process.
const dirVariable = "FLOCK_TEST_BGP_DIR"

func TestMain(m *testing.M) {
	if hostile := os.Getenv(hostileVariable); hostile != "" {
		hostileMain(strings.Fields(hostile))
		return
	}
	dir := os.Getenv(dirVariable)
	if dir == "" {
		os.Exit(m.Run())
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	ready := func() (func() error, error) { return func() error { return nil }, nil }
	err := Run(ctx, dir, dir, os.Stderr, ready)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// segment is a switch, a network namespace, with machines on it: their addresses
// are 10.99.0.N and fd00:99::N.
type segment struct {
	t      testing.TB
	prefix string
	names  map[string]int
}

var segments int

func newSegment(t testing.TB, names ...string) *segment {
	t.Helper()
	lab.Need(t, "ip")
	segments++
	g := &segment{t: t, prefix: fmt.Sprintf("flbgp%d-%d-", os.Getpid(), segments), names: map[string]int{}}
	g.netns("switch")
	g.sh("switch", "ip link add br0 type bridge forward_delay 0 mcast_snooping 0; ip link set br0 up")
	for _, name := range names {
		g.join(name)
	}
	return g
}

func (g *segment) netns(name string) {
	g.t.Helper()
	run(g.t, "ip", "netns", "add", g.prefix+name)
	g.t.Cleanup(func() { _ = exec.Command("ip", "netns", "delete", g.prefix+name).Run() })
	g.sh(name, "ip link set lo up")
}

func (g *segment) join(name string) {
	g.t.Helper()
	n := len(g.names) + 1
	g.names[name] = n
	g.netns(name)
	g.sh("switch", fmt.Sprintf("ip link add p%d type veth peer name eth0 netns %s; ip link set p%d master br0 up", n, g.prefix+name, n))
	// Routers ask for the link-local address at once.
	g.sh(name, fmt.Sprintf(`
		sysctl -qw net.ipv6.conf.eth0.accept_dad=0
		ip link set eth0 up
		ip address add 10.99.0.%d/24 dev eth0
		ip address add fd00:99::%d/64 dev eth0 nodad
		sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.fib_multipath_hash_policy=1`, n, n))
}

func (g *segment) v4(name string) netip.Addr { return addr(fmt.Sprintf("10.99.0.%d", g.names[name])) }

// in is a command in a machine.
func (g *segment) in(name string, args ...string) *exec.Cmd {
	return exec.Command("ip", append([]string{"netns", "exec", g.prefix + name}, args...)...)
}

func (g *segment) sh(name, script string) string {
	g.t.Helper()
	out, err := g.in(name, "sh", "-euc", script).CombinedOutput()
	if err != nil {
		g.t.Fatalf("%s: %s: %v\n%s", name, script, err, out)
	}
	return string(out)
}

func run(t testing.TB, args ...string) {
	t.Helper()
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// start runs a command in a machine until the test ends, and kills it then.
func (g *segment) start(name, log string, env []string, args ...string) *exec.Cmd {
	g.t.Helper()
	cmd := g.in(name, args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		g.t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		g.t.Fatal(err)
	}
	_ = out.Close()
	g.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if g.t.Failed() {
			text, _ := os.ReadFile(log)
			g.t.Logf("%s of %s:\n%s", filepath.Base(args[0]), name, tail(string(text)))
		}
	})
	return cmd
}

func tail(text string) string { return text[max(0, len(text)-4000):] }

// daemonProcess is a daemon of ours.
type daemonProcess struct {
	g    *segment
	name string
	dir  string
	cmd  *exec.Cmd
}

// daemon starts one in a machine.
func (g *segment) daemon(name string, s *spec.BGP, secrets ...string) *daemonProcess {
	g.t.Helper()
	d := &daemonProcess{g: g, name: name, dir: g.publicDir()}
	d.write(s, secrets...)
	d.run()
	return d
}

// write puts the configuration where the daemon finds it; secrets are ids and
// passwords by turns.
func (d *daemonProcess) write(s *spec.BGP, secrets ...string) {
	d.g.t.Helper()
	data, err := json.Marshal(s)
	if err == nil {
		err = os.WriteFile(filepath.Join(d.dir, spec.BGPFile), data, 0o600)
	}
	for i := 0; i+1 < len(secrets) && err == nil; i += 2 {
		err = os.WriteFile(filepath.Join(d.dir, spec.BGPSecretFile(secrets[i])), []byte(secrets[i+1]), 0o600)
	}
	if err != nil {
		d.g.t.Fatal(err)
	}
}

func (d *daemonProcess) run() {
	d.g.t.Helper()
	self, err := os.Executable()
	if err != nil {
		d.g.t.Fatal(err)
	}
	d.cmd = d.g.start(d.name, filepath.Join(d.dir, "log"), []string{dirVariable + "=" + d.dir}, self)
	d.g.eventually(5*time.Second, func() error { _, err := d.ask(spec.BGPLook, false); return err })
}

// stop ends the process by a signal and waits for it.
func (d *daemonProcess) stop(s os.Signal) {
	d.g.t.Helper()
	if err := d.cmd.Process.Signal(s); err != nil {
		d.g.t.Fatal(err)
	}
	_ = d.cmd.Wait()
}

func (d *daemonProcess) ask(op string, status bool) (*spec.BGPAnswer, error) {
	return d.request(spec.BGPRequest{Op: op, Status: status})
}

func (d *daemonProcess) request(r spec.BGPRequest) (*spec.BGPAnswer, error) {
	c, err := net.Dial("unix", filepath.Join(d.dir, spec.BGPSocket))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := json.NewEncoder(c).Encode(r); err != nil {
		return nil, err
	}
	a := &spec.BGPAnswer{}
	if err := json.NewDecoder(c).Decode(a); err != nil {
		return nil, err
	}
	if a.Error != "" {
		return a, fmt.Errorf("%s: %s", r.Op, a.Error)
	}
	return a, nil
}

// reload has the daemon take s up.
func (d *daemonProcess) reload(s *spec.BGP, secrets ...string) {
	d.g.t.Helper()
	d.write(s, secrets...)
	a, err := d.ask(spec.BGPReload, false)
	if err != nil || a.Restart {
		d.g.t.Fatalf("reload: %+v, %v", a, err)
	}
}

func (d *daemonProcess) status() *spec.BGPStatus {
	d.g.t.Helper()
	a, err := d.ask(spec.BGPLook, true)
	if err != nil {
		d.g.t.Fatal(err)
	}
	return a.Status
}

func (d *daemonProcess) neighbor(a netip.Addr) spec.BGPNeighborStatus {
	d.g.t.Helper()
	for _, n := range d.status().Neighbors {
		if n.Addr == a {
			return n
		}
	}
	d.g.t.Fatalf("%s has no neighbor %s", d.name, a)
	return spec.BGPNeighborStatus{}
}

// awaitUp waits until all sessions of the daemon are established.
func (d *daemonProcess) awaitUp() {
	d.g.t.Helper()
	d.g.eventually(20*time.Second, func() error {
		for _, n := range d.status().Neighbors {
			if n.State != spec.BGPEstablished {
				return fmt.Errorf("%s: neighbor %s is %s: %s", d.name, n.Addr, n.State, n.Why)
			}
		}
		return nil
	})
}

// kernel is what the machine has by our protocol number, one line a route.
func (g *segment) kernel(name string) []string {
	g.t.Helper()
	text := g.sh(name, "ip -o route show proto 71; ip -o -6 route show proto 71")
	var out []string
	for line := range strings.Lines(text) {
		line = strings.NewReplacer("\\", " ", " pref medium", "", " proto 71", "", " metric 71", "", " weight 1", "").Replace(line)
		out = append(out, strings.Join(strings.Fields(line), " "))
	}
	slices.Sort(out)
	return out
}

// awaitKernel waits until the machine has these routes and no other.
func (g *segment) awaitKernel(name string, within time.Duration, want ...string) {
	g.t.Helper()
	slices.Sort(want)
	g.eventually(within, func() error {
		if have := g.kernel(name); !slices.Equal(have, want) {
			return fmt.Errorf("%s has\n  %s\nnot\n  %s", name, strings.Join(have, "\n  "), strings.Join(want, "\n  "))
		}
		return nil
	})
}

func (g *segment) eventually(within time.Duration, try func() error) {
	g.t.Helper()
	if err := poll(within, try); err != nil {
		g.t.Fatal(err)
	}
}

func poll(within time.Duration, try func() error) error {
	patience := time.NewTimer(within)
	defer patience.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-patience.C:
			return err
		case <-tick.C:
		}
	}
}

func addr(s string) netip.Addr     { return netip.MustParseAddr(s) }
func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func prefixes(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, s := range list {
		out[i] = prefix(s)
	}
	return out
}

// mesh is the speaker of one of several servers that all meet, each announcing
// what shares says.
func (g *segment) mesh(self string, shares map[string][]netip.Prefix) *spec.BGP {
	s := &spec.BGP{Network: "bnet", AS: 64512, RouterID: g.v4(self), Hold: 9, Prefixes: shares[self]}
	for name, list := range shares {
		s.Own = append(s.Own, list...)
		if name != self {
			s.Neighbors = append(s.Neighbors, spec.BGPNeighbor{Addr: g.v4(name), Local: g.v4(self), Name: name, AS: 64512, NextHopSelf: true})
		}
	}
	slices.SortFunc(s.Own, netip.Prefix.Compare)
	slices.SortFunc(s.Neighbors, func(a, b spec.BGPNeighbor) int { return a.Addr.Compare(b.Addr) })
	return s
}

// pinger sends a ping every 10 ms from a machine; lost ends it.
type pinger struct {
	g   *segment
	cmd *exec.Cmd
	out bytes.Buffer
	got lineCount
}

// lineCount counts the lines that are written to it.
type lineCount struct{ atomic.Int64 }

func (c *lineCount) Write(b []byte) (int, error) {
	c.Add(int64(bytes.Count(b, []byte("\n"))))
	return len(b), nil
}

// await waits until so many answers came, or more.
func (p *pinger) await(answers int64) {
	p.g.t.Helper()
	p.g.eventually(20*time.Second, func() error {
		if got := p.got.Load() - 1; got < answers { // the first line is a heading
			return fmt.Errorf("%d answers, want %d", got, answers)
		}
		return nil
	})
}

func (g *segment) ping(from, source, to string) *pinger {
	g.t.Helper()
	p := &pinger{g: g, cmd: g.in(from, "ping", "-n", "-i", "0.01", "-I", source, to)}
	p.cmd.Stdout = io.MultiWriter(&p.out, &p.got)
	if err := p.cmd.Start(); err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	return p
}

// underWay is how many of the last packets may have no answer yet when ping ends: a
// busy machine takes its time.
const underWay = 20

// lost is how many packets got no answer, of how many.
func (p *pinger) lost() (lost, sent int) {
	p.g.t.Helper()
	_ = p.cmd.Process.Signal(os.Interrupt)
	_ = p.cmd.Wait()
	answered, last := map[int]bool{}, 0
	for line := range strings.Lines(p.out.String()) {
		if _, rest, ok := strings.Cut(line, "icmp_seq="); ok && strings.Contains(rest, "time=") {
			var seq int
			if _, err := fmt.Sscan(rest, &seq); err == nil {
				answered[seq], last = true, max(last, seq)
			}
		}
		var received int
		if _, err := fmt.Sscanf(line, "%d packets transmitted, %d received", &sent, &received); err == nil {
			return sent - len(answered) - min(sent-last, underWay), sent
		}
	}
	p.g.t.Fatalf("ping said %q", p.out.String())
	return 0, 0
}
