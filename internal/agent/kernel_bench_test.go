//go:build linux

package agent

import (
	"context"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/agent/family"
	"github.com/flocknet/flock/internal/spec"
)

const many = 1000

func peer(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 77, byte(i >> 8), byte(i)}) }

func subnet(i int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 78 + byte(i>>8), byte(i), 0}), 24)
}

// programmed measures from knowing what is there to having programmed want: what
// iproute2 does with a batch.
func programmed(b *testing.B, base, want *spec.Host) {
	ownNet(b)
	k := open(b, "t", b.TempDir())
	for b.Loop() {
		b.StopTimer()
		bring(b, k, base)
		b.StartTimer()
		a := family.NewApplier(k.Host, families, want, func(spec.Step) {})
		if err := a.Apply(context.Background(), Diff(want, base)); err != nil {
			b.Fatal(err)
		}
	}
}

// reconciled measures the same with a look at everything before and after.
func reconciled(b *testing.B, base, want *spec.Host) {
	ownNet(b)
	k := open(b, "t", b.TempDir())
	for b.Loop() {
		b.StopTimer()
		bring(b, k, base)
		b.StartTimer()
		bring(b, k, want)
	}
}

func bring(b *testing.B, k *Kernel, want *spec.Host) {
	b.Helper()
	if _, err := Reconcile(context.Background(), k, want, nil); err != nil {
		b.Fatal(err)
	}
}

func bare() *spec.Host {
	h := segment()
	h.Routes, h.Neighs, h.FDB, h.Floods, h.Gateways, h.NATs, h.Sysctls = nil, nil, nil, nil, nil, nil, nil
	return h
}

func manyFDB() *spec.Host {
	want := bare()
	for i := range many {
		want.FDB = append(want.FDB, spec.FDB{Link: "vxl0-vx", MAC: spec.ZeroMAC, Dst: peer(i)})
	}
	return want
}

func manyRoutes() *spec.Host {
	want := bare()
	for i := range many {
		want.Routes = append(want.Routes, spec.Route{Dst: subnet(i), Via: addr("10.0.4.9"), Dev: "vxl0", Proto: spec.RouteProto})
	}
	return want
}

func BenchmarkFDB1000(b *testing.B)             { programmed(b, bare(), manyFDB()) }
func BenchmarkRoutes1000(b *testing.B)          { programmed(b, bare(), manyRoutes()) }
func BenchmarkReconcileFDB1000(b *testing.B)    { reconciled(b, bare(), manyFDB()) }
func BenchmarkReconcileRoutes1000(b *testing.B) { reconciled(b, bare(), manyRoutes()) }

// batched measures the floor: iproute2 with the same entries in one process.
func batched(b *testing.B, program string, lines []string) {
	ownNet(b)
	k := open(b, "t", b.TempDir())
	bring(b, k, bare())
	script := strings.Join(lines, "\n") + "\n"
	for b.Loop() {
		b.StopTimer()
		bring(b, k, bare())
		b.StartTimer()
		cmd := exec.Command(program, "-batch", "-")
		cmd.Stdin = strings.NewReader(script)
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("%s: %v: %s", program, err, out)
		}
	}
}

func BenchmarkBridgeBatch1000(b *testing.B) {
	var lines []string
	for i := range many {
		lines = append(lines, fmt.Sprintf("fdb append %s dev vxl0-vx dst %s", spec.ZeroMAC, peer(i)))
	}
	batched(b, "bridge", lines)
}

func BenchmarkIPBatch1000(b *testing.B) {
	var lines []string
	for i := range many {
		lines = append(lines, fmt.Sprintf("route add %s via 10.0.4.9 dev vxl0 proto 70", subnet(i)))
	}
	batched(b, "ip", lines)
}

// BenchmarkNothingToDo is what an apply that changes nothing costs.
func BenchmarkNothingToDo(b *testing.B) {
	ownNet(b)
	k := open(b, "t", b.TempDir())
	bring(b, k, segment())
	for b.Loop() {
		bring(b, k, segment())
	}
}
