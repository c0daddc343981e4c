//go:build linux

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/flocknet/flock/internal/lab"
)

// The floor is what no tool on this machine can go below: a bare x/crypto client
// that logs in to all servers at once and runs `true`. Every figure is a ratio to
// it, both medians of one run, measured by turns. All servers and both clients
// share this machine's processors, so that above some ten servers it is processor
// time that counts.

const floorEnv = "FLOCK_FLOOR_KEY"

func TestMain(m *testing.M) {
	if len(os.Args) > 3 && os.Args[1] == typist {
		os.Exit(beTypist(os.Args[2:]))
	}
	if key := os.Getenv(floorEnv); key != "" {
		if err := floor(key, os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if port := os.Getenv(relayEnv); port != "" {
		if err := relay(port, os.Args[1]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if nothing := os.Getenv(agentEnv); nothing != "" {
		if err := measureAgent(nothing, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-ended
		if err := lab.Release(context.Background()); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(130)
	}()
	os.Exit(m.Run())
}

func floor(keyFile string, addrs []string) error {
	pem, err := os.ReadFile(keyFile)
	if err != nil {
		return err
	}
	key, err := ssh.ParsePrivateKey(pem)
	if err != nil {
		return err
	}
	config := &ssh.ClientConfig{
		User: "root", Auth: []ssh.AuthMethod{ssh.PublicKeys(key)},
		HostKeyCallback: ssh.InsecureIgnoreHostKey(), //nolint:gosec // the floor checks nothing: it is a floor
	}
	errs := make(chan error, len(addrs))
	for _, addr := range addrs {
		go func() { errs <- loginTrue(addr, config) }()
	}
	for range addrs {
		if err := <-errs; err != nil {
			return err
		}
	}
	return nil
}

func loginTrue(addr string, config *ssh.ClientConfig) error {
	c, err := ssh.Dial("tcp", addr, config)
	if err != nil {
		return err
	}
	defer c.Close()
	s, err := c.NewSession()
	if err != nil {
		return err
	}
	return s.Run("true")
}

// bench is a lab of light servers with flock and the floor on its laptop, which sees the
// directories share, too.
type bench struct {
	b     *testing.B
	l     *lab.Lab
	n     int
	flock string
	state string
	self  string
	pairs []time.Duration // what pairsWith took
	ssh   string          // the ssh config; "": the lab's
}

func newBench(b *testing.B, n int, share ...string) *bench {
	b.Helper()
	lab.Need(b, "ip", "nsenter", "sshd", "dnsmasq")
	dir := build(b)
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	l, err := lab.Up(b.Context(), lab.Options{N: n, Init: lab.None, Dir: filepath.Join(dir, "lab"), Share: append(share, dir, filepath.Dir(self)), Bound: true})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := l.Down(context.Background()); err != nil {
			b.Error(err)
		}
	})
	return &bench{b: b, l: l, n: n, flock: filepath.Join(dir, "flock"), state: filepath.Join(dir, "flock.toml"), self: self}
}

// addServers applies a cluster file of all servers, the way many are added at once. It
// uploads the agent.
func (w *bench) addServers() {
	var text strings.Builder
	for i := range w.n {
		fmt.Fprintf(&text, "[server.s%d]\naddress = \"10.99.0.%d\"\nuser = \"root\"\n", i+1, i+1)
	}
	file := w.state + ".servers"
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		w.b.Fatal(err)
	}
	w.run("apply", "-f", file, "--yes")
}

// network makes vx1, of the first n servers.
func (w *bench) network(n int) {
	w.run("createnetwork", "vx1", "vxlan")
	w.run(append([]string{"addnetwork", "vx1"}, w.members(1, n)...)...)
}

// run runs flock on the laptop and returns how long it took.
func (w *bench) run(args ...string) time.Duration {
	w.b.Helper()
	env := []string{"env", "HOME=" + filepath.Dir(w.state), "FLOCK_STATE=" + w.state, "FLOCK_SSH_CONFIG=" + cmp.Or(w.ssh, w.l.SSHConfig())}
	return w.timed(append(append(env, w.flock, "--quiet"), args...)...)
}

// floor runs the floor on the laptop and returns how long it took.
func (w *bench) floor() time.Duration {
	w.b.Helper()
	argv := []string{"env", floorEnv + "=" + filepath.Join(w.l.Dir, "id_ed25519"), w.self}
	for i := range w.n {
		argv = append(argv, fmt.Sprintf("10.99.0.%d:22", i+1))
	}
	return w.timed(argv...)
}

func (w *bench) timed(argv ...string) time.Duration {
	w.b.Helper()
	cmd := w.l.Command(w.b.Context(), lab.Laptop, argv...)
	began := time.Now()
	text, err := cmd.CombinedOutput()
	if err != nil {
		w.b.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, text)
	}
	return time.Since(began)
}

func median(list []time.Duration) time.Duration {
	slices.Sort(list)
	return list[len(list)/2]
}

// byTurns measures what and the floor rounds times each and reports both and their
// ratio. Between is called after every round, outside the measurement.
func (w *bench) byTurns(rounds int, what func() time.Duration, between func()) {
	var ours, floors []time.Duration
	for range rounds {
		floors = append(floors, w.floor())
		ours = append(ours, what())
		between()
	}
	us, fl := median(ours), median(floors)
	w.b.ReportMetric(float64(us)/float64(fl), "x-floor")
	w.b.ReportMetric(float64(fl.Microseconds())/1000, "floor-ms")
	w.b.ReportMetric(float64(us.Microseconds())/1000, "flock-ms")
	if len(w.pairs) > 0 {
		w.b.ReportMetric(float64(median(w.pairs).Microseconds())/1000, "of-it-pairs-ms")
	}
	w.b.ReportMetric(0, "ns/op")
}

func (w *bench) members(from, to int) []string {
	var out []string
	for i := from; i <= to; i++ {
		out = append(out, fmt.Sprintf("s%d", i))
	}
	return out
}

var benchSizes = []int{3, 10, 50}

// BenchmarkNoop is apply when nothing has to be done: one connection, one exec,
// one look at every server.
func BenchmarkNoop(b *testing.B) {
	for _, n := range benchSizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			w := newBench(b, n)
			w.addServers()
			w.network(n)
			w.byTurns(9, func() time.Duration { return w.run("apply") }, func() {})
		})
	}
}

// BenchmarkNoopControl is the same where ssh has a connection to every server that others may
// use (ControlMaster): there is no login.
func BenchmarkNoopControl(b *testing.B) {
	for _, n := range benchSizes[1:] {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			w := newBench(b, n)
			w.addServers()
			w.network(n)
			w.masters()
			w.byTurns(9, func() time.Duration { return w.run("apply") }, func() {})
		})
	}
}

// masters has ssh connect to every server, and flock find these connections.
func (w *bench) masters() {
	w.b.Helper()
	text, err := os.ReadFile(w.l.SSHConfig())
	if err != nil {
		w.b.Fatal(err)
	}
	w.ssh = w.state + ".ssh"
	text = append(text, "\nHost *\n  ControlPath "+filepath.Dir(w.state)+"/%r@%h:%p\n"...)
	if err := os.WriteFile(w.ssh, text, 0o600); err != nil {
		w.b.Fatal(err)
	}
	for i := range w.n {
		address := fmt.Sprintf("root@10.99.0.%d", i+1)
		w.timed("ssh", "-F", w.ssh, "-o", "BatchMode=yes", "-MNf", address)
		w.b.Cleanup(func() {
			out, err := w.l.Command(context.Background(), lab.Laptop, "ssh", "-F", w.ssh, "-O", "exit", address).CombinedOutput()
			if err != nil {
				w.b.Errorf("end ssh: %v\n%s", err, out)
			}
		})
	}
	w.run("status")
}

// BenchmarkCreate is a first network on servers that hold none, from the key press
// to every pair of servers reaching each other in it.
func BenchmarkCreate(b *testing.B) {
	for _, n := range benchSizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			w := newBench(b, n)
			w.addServers()
			create := func() time.Duration {
				socks := w.listen()
				began := time.Now()
				w.network(n)
				w.pairsWith(socks, everybody)
				return time.Since(began)
			}
			w.byTurns(5, create, func() { w.run("removenetwork", "vx1", "--yes") })
		})
	}
}

// BenchmarkJoin is one more server: the last joins the n-1 others.
func BenchmarkJoin(b *testing.B) {
	for _, n := range benchSizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) { newBench(b, n).joins(func() {}) })
	}
}

// BenchmarkJoinControl is the same where ssh has a connection to every server, the one that
// joins too.
func BenchmarkJoinControl(b *testing.B) {
	for _, n := range benchSizes[1:] {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			w := newBench(b, n)
			w.joins(w.masters)
		})
	}
}

// joins measures how the last server joins a network of all others. Ready is called before.
func (w *bench) joins(ready func()) {
	w.b.Helper()
	w.addServers()
	w.network(w.n - 1)
	ready()
	last := fmt.Sprintf("s%d", w.n)
	join := func() time.Duration {
		socks := w.listen()
		began := time.Now()
		w.run("addnetwork", "vx1", last)
		w.pairsWith(socks, w.n-1)
		return time.Since(began)
	}
	w.byTurns(5, join, func() { w.run("delnetwork", "vx1", last, "--yes") })
}

// BenchmarkFirstContact uploads the agent to servers that never saw one.
func BenchmarkFirstContact(b *testing.B) {
	for _, n := range benchSizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			w := newBench(b, n)
			began := time.Now()
			w.addServers()
			b.ReportMetric(float64(time.Since(began).Milliseconds()), "flock-ms")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// everybody is pairsWith for all pairs.
const everybody = -1

// listen opens a socket on every server, for the address that it has or will have
// in vx1: that is the laboratory's work, and no part of what is measured.
func (w *bench) listen() []net.PacketConn {
	w.b.Helper()
	socks := make([]net.PacketConn, w.n)
	for i := range socks {
		c, err := w.l.ListenPacket(fmt.Sprintf("s%d", i+1), "udp4", fmt.Sprintf("10.0.4.%d:7777", 254-i))
		if err != nil {
			w.b.Fatal(err)
		}
		socks[i] = c
	}
	return socks
}

// pairsWith waits until every server has reached server number one (from 0) by its
// own address in vx1, and that one all others: a datagram there, and an answer to
// it. It closes the sockets, which are all servers'.
func (w *bench) pairsWith(socks []net.PacketConn, one int) {
	w.b.Helper()
	began, n := time.Now(), len(socks)
	defer func() { w.pairs = append(w.pairs, time.Since(began)) }()
	for _, c := range socks {
		defer c.Close()
	}
	deadline := time.Now().Add(20 * time.Second)
	errs := make(chan error, n)
	var missing sync.WaitGroup // servers that have not reached everybody
	missing.Add(n)
	finished := make(chan struct{})
	go func() {
		missing.Wait()
		close(finished)
		for _, c := range socks {
			_ = c.SetReadDeadline(time.Now()) // wakes who waits for more; a closed one does not
		}
	}()
	for i, c := range socks {
		p := &pairer{c: c, self: i, deadline: deadline, wanted: map[string]bool{}, again: 5 * time.Millisecond}
		if one == everybody {
			p.again = 20 * time.Millisecond // so many ask that to ask more often only takes time
		}
		for j := range n {
			if j != i && (one == everybody || i == one || j == one) {
				p.wanted[fmt.Sprintf("10.0.4.%d:7777", 254-j)] = true
			}
		}
		go func() { errs <- p.run(sync.OnceFunc(missing.Done), finished) }()
	}
	for range n {
		if err := <-errs; err != nil {
			w.b.Fatal(err)
		}
	}
}

// pairer is one server that wants to reach others.
type pairer struct {
	c        net.PacketConn
	self     int
	deadline time.Time
	wanted   map[string]bool // addresses that have not answered
	again    time.Duration   // between two times of asking
}

// run asks until all that are wanted have answered, and answers others until
// everybody has finished.
func (p *pairer) run(reached func(), finished <-chan struct{}) error {
	defer reached()
	for {
		if err := p.ask(); err != nil {
			return err
		}
		if err := p.listen(p.again, reached); err != nil {
			return err
		}
		select {
		case <-finished:
			return nil
		default:
		}
		if time.Now().After(p.deadline) {
			return fmt.Errorf("s%d did not reach %d others", p.self+1, len(p.wanted))
		}
	}
}

func (p *pairer) ask() error {
	for to := range p.wanted {
		if _, err := p.c.WriteTo([]byte("?"), net.UDPAddrFromAddrPort(netip.MustParseAddrPort(to))); err != nil {
			return err
		}
	}
	return nil
}

// listen takes answers and gives them for a while, or until it is woken.
func (p *pairer) listen(within time.Duration, reached func()) error {
	if err := p.c.SetReadDeadline(time.Now().Add(within)); err != nil {
		return err
	}
	buf := make([]byte, 8)
	for {
		k, from, err := p.c.ReadFrom(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return err
		}
		if string(buf[:k]) == "?" {
			if _, err := p.c.WriteTo([]byte("!"), from); err != nil {
				return err
			}
			continue
		}
		delete(p.wanted, from.String())
		if len(p.wanted) == 0 {
			reached()
		}
	}
}
