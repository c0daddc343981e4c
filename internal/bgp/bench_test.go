//go:build linux

package bgp

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/spec"
)

// tableOf is how many routes of IPv4 a process's kernel has in its main table,
// and established whether somebody there has a TCP connection for BGP.
func tableOf(pid int) (routes int, established bool, err error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/fib_triestat", pid))
	if err != nil {
		return 0, false, err
	}
	// Main, then Local, or both as one.
	for line := range strings.Lines(string(data)) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), "Prefixes:"); ok {
			routes, err = strconv.Atoi(strings.TrimSpace(text))
			break
		}
	}
	if err != nil {
		return 0, false, err
	}
	data, err = os.ReadFile(fmt.Sprintf("/proc/%d/net/tcp", pid))
	if err != nil {
		return 0, false, err
	}
	for line := range strings.Lines(string(data)) {
		f := strings.Fields(line)
		established = established || len(f) > 3 && f[3] == "01" && (strings.HasSuffix(f[1], ":00B3") || strings.HasSuffix(f[2], ":00B3"))
	}
	return routes, established, nil
}

// fill waits until a process's kernel has at least n routes and returns how long
// that took since there was a connection.
func fill(b *testing.B, pid, n int) time.Duration {
	b.Helper()
	var start time.Time
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	patience := time.NewTimer(time.Minute)
	defer patience.Stop()
	for {
		routes, established, err := tableOf(pid)
		if err != nil {
			b.Fatal(err)
		}
		if established && start.IsZero() {
			start = time.Now()
		}
		if routes >= n && !start.IsZero() {
			return time.Since(start)
		}
		select {
		case <-tick.C:
		case <-patience.C:
			b.Fatalf("%d of %d routes after a minute", routes, n)
		}
	}
}

// restMost is what the daemon, as the test's program, may keep of 10,000 prefixes; with
// none it has some 26 MiB, of which 17 are the program's own pages.
const restMost = 38

// atRest is the least that a daemon has in the time in which it tidies up, in MiB.
func atRest(d *daemonProcess) int {
	least, _ := d.memory()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for range int(fibRetry/(100*time.Millisecond)) + 10 {
		<-tick.C
		now, _ := d.memory()
		least = min(least, now)
	}
	return least
}

// BenchmarkTenThousandPrefixes has FRR announce 10,000 prefixes, first to BIRD and
// then to us, until the kernel has them.
func BenchmarkTenThousandPrefixes(b *testing.B) {
	const n = 10_000
	var list strings.Builder
	for i := range n {
		fmt.Fprintf(&list, "  network 172.%d.%d.%d/28\n", 16+i>>12, i>>4&255, i<<4&255)
	}
	for b.Loop() {
		g := newSegment(b, "s1", "tor", "bird")
		neighbors := ""
		activate := " address-family ipv4 unicast\n"
		for _, name := range []string{"s1", "bird"} {
			neighbors += fmt.Sprintf("neighbor %[1]s remote-as 64512\n neighbor %[1]s passive\n ", g.v4(name))
			activate += fmt.Sprintf("  neighbor %s activate\n", g.v4(name))
		}
		g.frr("tor", frrConfig(65001, g.v4("tor"), neighbors, activate+list.String()+" exit-address-family\n"))
		bird := g.birdRouter("bird", fmt.Sprintf("protocol bgp tor { local %s as 64512; neighbor %s as 65001; connect delay time 1; "+
			"ipv4 { import all; export none; }; }\n", g.v4("bird"), g.v4("tor")))
		theirs := fill(b, bird.pid, n)
		theirMemory, _ := memoryOf(b, bird.pid)
		d := g.daemon("s1", g.alone("s1", "10.0.10.0/24", spec.BGPNeighbor{Addr: g.v4("tor"), AS: 65001, External: true}))
		ours := fill(b, d.cmd.Process.Pid, n)
		ourMemory, _ := d.memory()
		rest := atRest(d)
		if rest > restMost {
			b.Errorf("the daemon keeps %d MiB, want at most %d", rest, restMost)
		}
		b.ReportMetric(float64(ours.Milliseconds()), "ms")
		b.ReportMetric(float64(theirs.Milliseconds()), "bird-ms")
		b.ReportMetric(ours.Seconds()/theirs.Seconds(), "ratio")
		b.ReportMetric(float64(ourMemory), "MiB")
		b.ReportMetric(float64(rest), "rest-MiB")
		b.ReportMetric(float64(theirMemory), "bird-MiB")
	}
}

// TestMemoryOfFewPrefixes: a daemon with ten prefixes is small.
func TestMemoryOfFewPrefixes(t *testing.T) {
	g := newSegment(t, "s1", "s2")
	var ten []string
	for i := range 10 {
		ten = append(ten, fmt.Sprintf("10.1.%d.0/24", i))
	}
	s2 := g.alone("s2", "10.0.11.0/24", spec.BGPNeighbor{Addr: g.v4("s1"), Local: g.v4("s2"), AS: 64512})
	s2.Prefixes = prefixes(ten...)
	d := g.daemon("s1", g.alone("s1", "10.0.10.0/24", spec.BGPNeighbor{Addr: g.v4("s2"), Local: g.v4("s1"), AS: 64512}))
	g.daemon("s2", s2)
	g.eventually(15*time.Second, func() error {
		if have := len(g.kernel("s1")); have != 10 {
			return fmt.Errorf("%d routes", have)
		}
		return nil
	})
	now, most := d.memory()
	t.Logf("%d MiB, at most %d MiB", now, most)
	if most >= 64 {
		t.Errorf("want less than 64 MiB, have %d", most)
	}
}
