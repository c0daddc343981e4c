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

// figures is a line of a benchmark's result as testing prints it: the name, without the
// number of processors, and all that was measured; figure is one of those.
var (
	figures = regexp.MustCompile(`^Benchmark(\S+?)(?:-\d+)?\s+\d+\s(.*)$`)
	figure  = regexp.MustCompile(`([0-9.e+-]+) (\S+)`)
)

// byHandInVM are the benchmarks of internal/agent that BenchmarkKernel runs.
var byHandInVM = []string{"WireGuard", "IPTunnels", "IPIP", "HostGW", "VXLANL3"}

// BenchmarkKernel runs internal/agent's benchmarks of networks beside the same set up
// by hand under the kernel that has WireGuard, GRE and IPIP, in one VM. Its clock
// counts instructions, so that the ratios are those of the work that each takes, and
// hardly differ from round to round.
func BenchmarkKernel(b *testing.B) {
	lab.Need(b, slices.Concat([]string{"go", "wg", "iperf3", "nft"}, vm.Programs)...)
	wanted := regexp.MustCompile(asked("bench", 1))
	names := slices.DeleteFunc(slices.Clone(byHandInVM), func(name string) bool { return !wanted.MatchString(name) })
	out := runInVM(b, []suite{{
		name: "agent", pkg: "internal/agent", binary: compileTests(b, "internal/agent"),
		args: []string{"-test.run=^$", "-test.benchtime=5x", "-test.bench=^Benchmark(" + strings.Join(names, "|") + ")BesideByHand$"},
	}}, true)
	found := map[string]bool{}
	for line := range strings.Lines(out) {
		of := figures.FindStringSubmatch(strings.TrimSpace(line))
		if of == nil {
			continue
		}
		name := strings.Replace(of[1], "BesideByHand", "", 1)
		first, _, _ := strings.Cut(name, "/")
		found[first] = true
		b.Run(name, func(b *testing.B) {
			for b.Loop() { // it has run
			}
			reportFigures(b, of[2])
		})
	}
	if len(found) != len(names) || b.Failed() {
		b.Fatalf("want figures of %v:\n%s", names, out)
	}
}

// reportFigures makes the figures of a benchmark in the VM this one's.
func reportFigures(b *testing.B, line string) {
	b.Helper()
	b.ReportMetric(0, "ns/op")
	for _, f := range figure.FindAllStringSubmatch(strings.ReplaceAll(line, "\t", " "), -1) {
		v, err := strconv.ParseFloat(f[1], 64)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(v, f[2])
	}
}
