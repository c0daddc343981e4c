//go:build linux

package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// BenchmarkVerify is `flock verify` of a network: of 10 members all pairs, of 50 a sample. Beside
// it fping and iperf3 by hand try the same pairs in the same way, without a login, and without DHCP
// and names: what they take together is the floor. Whoever waits for it waits this long at most.
func BenchmarkVerify(b *testing.B) {
	for _, size := range []struct {
		n    int
		most time.Duration
	}{{10, 15 * time.Second}, {50, time.Minute}} {
		n := size.n
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			w := newBench(b, n)
			w.addServers()
			w.network(n)
			w.serveData()
			var ours, hands []time.Duration
			for range 3 {
				hands = append(hands, w.byHand())
				ours = append(ours, w.run("verify", "vx1"))
			}
			us, hand := median(ours), median(hands)
			if us > size.most {
				b.Errorf("flock verify of %d members takes %v, at most %v is wanted; by hand it is %v", n, us, size.most, hand)
			}
			b.ReportMetric(us.Seconds()/hand.Seconds(), "x-by-hand")
			b.ReportMetric(hand.Seconds(), "by-hand-s")
			b.ReportMetric(us.Seconds(), "flock-s")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// serveData runs iperf3 on every server, for one test at once, until the benchmark ends.
func (w *bench) serveData() {
	w.b.Helper()
	for i := range w.n {
		cmd := w.l.Command(w.b.Context(), fmt.Sprintf("s%d", i+1), "iperf3", "-s")
		if err := cmd.Start(); err != nil {
			w.b.Fatal(err)
		}
		w.b.Cleanup(func() {
			_ = cmd.Process.Kill() // of this benchmark's own
			_ = cmd.Wait()
		})
	}
}

// byHand tries pairs as verify does: five small requests and a large one to each, all servers at
// one time, then a second of data between each two members, or each and the next two in a ring
// where there are many, no server in more than two tests at once.
func (w *bench) byHand() time.Duration {
	w.b.Helper()
	reach, ring := w.n-1, w.n > 12
	if ring {
		reach = min(reach, 16)
	}
	began := time.Now()
	w.atOnce(w.n, func(i int) string {
		var to []string
		for d := 1; d <= reach; d++ {
			to = append(to, fmt.Sprintf("10.0.4.%d", 254-(i+d)%w.n))
		}
		all := strings.Join(to, " ")
		return fmt.Sprintf("s%d fping -q -C 5 -p 100 %s && fping -q -M -b 1422 -C 1 %s", i+1, all, all)
	})
	// Of a ring of n members those d apart are n pairs, each server twice: once it listens.
	for d := 1; d <= w.n/2 && (!ring || d == 1); d++ {
		pairs := w.n
		if 2*d == w.n {
			pairs /= 2
		}
		w.atOnce(pairs, func(i int) string {
			return fmt.Sprintf("s%d iperf3 -c 10.0.4.%d -t 1", i+1, 254-(i+d)%w.n)
		})
	}
	return time.Since(began)
}

// atOnce runs commands, each a server's name and what a shell there runs.
func (w *bench) atOnce(n int, command func(int) string) {
	w.b.Helper()
	ctx, cancel := context.WithTimeout(w.b.Context(), time.Minute)
	defer cancel()
	var wait sync.WaitGroup
	for i := range n {
		server, script, _ := strings.Cut(command(i), " ")
		cmd := w.l.Command(ctx, server, "sh", "-c", script)
		wait.Go(func() {
			if out, err := cmd.CombinedOutput(); err != nil {
				w.b.Errorf("%s: %s: %v\n%s", server, script, err, out)
			}
		})
	}
	wait.Wait()
}
