//go:build linux

package main

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/lab"
	"github.com/flocknet/flock/internal/vm"
)

// metric is one of a benchmark's figures, as testing prints them; benchmark is the
// line of one, with the part behind the slash.
var (
	metric    = regexp.MustCompile(`([0-9.e+-]+) (\S*(?:ratio|Gbit/s)\S*)`)
	benchmark = regexp.MustCompile(`^Benchmark\w+(/\S+?)?(?:-\d+)?\s`)
)

// BenchmarkKernelWireGuardBesideByHand is internal/agent's
// BenchmarkWireGuardBesideByHand where the kernel has WireGuard.
func BenchmarkKernelWireGuardBesideByHand(b *testing.B) {
	benchInVM(b, "BenchmarkWireGuardBesideByHand", "wg", "iperf3")
}

// BenchmarkKernelIPTunnelsBesideByHand is internal/agent's
// BenchmarkIPTunnelsBesideByHand where the kernel has GRE and IPIP.
func BenchmarkKernelIPTunnelsBesideByHand(b *testing.B) {
	benchInVM(b, "BenchmarkIPTunnelsBesideByHand", "iperf3")
}

// benchInVM runs a benchmark of internal/agent under the other kernel. Only its ratios
// mean something: the processor is emulated.
func benchInVM(b *testing.B, name string, programs ...string) {
	b.Helper()
	lab.Need(b, slices.Concat([]string{"go"}, programs, vm.Programs)...)
	s := suite{
		name: "agent", pkg: "internal/agent", binary: compileTests(b, "internal/agent"),
		args: []string{"-test.run=^$", "-test.benchtime=1x", "-test.bench=^" + name + "$"},
	}
	for b.Loop() {
		out := runInVM(b, []suite{s})
		found := 0
		for line := range strings.Lines(out) {
			if of := benchmark.FindStringSubmatch(line); of != nil {
				found += reportFigures(b, line, strings.TrimPrefix(of[1], "/"))
			}
		}
		if found == 0 || b.Failed() {
			b.Fatalf("want figures:\n%s", out)
		}
	}
}

// reportFigures makes the figures in a benchmark's line this one's, with what they are
// of in their names.
func reportFigures(b *testing.B, line, of string) (n int) {
	b.Helper()
	for _, f := range metric.FindAllStringSubmatch(line, -1) {
		v, err := strconv.ParseFloat(f[1], 64)
		if err != nil {
			b.Fatal(err)
		}
		unit := f[2]
		if of != "" {
			unit += "-" + of
		}
		b.ReportMetric(v, unit)
		n++
	}
	return n
}
