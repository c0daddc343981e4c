//go:build linux

package main

import (
	"regexp"
	"strconv"
	"testing"

	"github.com/flocknet/flock/internal/lab"
	"github.com/flocknet/flock/internal/vm"
)

// metric is one of a benchmark's figures, as testing prints them.
var metric = regexp.MustCompile(`([0-9.e+-]+) (\S*(?:ratio|Gbit/s)\S*)`)

// BenchmarkKernelWireGuardBesideByHand is internal/agent's
// BenchmarkWireGuardBesideByHand where the kernel has WireGuard. Only its ratio
// means something: the processor is emulated.
func BenchmarkKernelWireGuardBesideByHand(b *testing.B) {
	lab.Need(b, append([]string{"go", "wg", "iperf3"}, vm.Programs...)...)
	s := suite{
		name: "agent", pkg: "internal/agent", binary: compileTests(b, "internal/agent"),
		args: []string{"-test.run=^$", "-test.benchtime=1x", "-test.bench=^BenchmarkWireGuardBesideByHand$"},
	}
	for b.Loop() {
		out := runInVM(b, []suite{s})
		figures := metric.FindAllStringSubmatch(out, -1)
		if len(figures) == 0 || b.Failed() {
			b.Fatalf("want figures:\n%s", out)
		}
		for _, f := range figures {
			v, err := strconv.ParseFloat(f[1], 64)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(v, f[2])
		}
	}
}
