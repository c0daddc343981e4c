//go:build linux

package agent

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/spec"
)

// BenchmarkAttachBesideIPBatch attaches 100 namespaces, with a fixed address and a default
// route each, from a look at everything to a look that finds nothing to do, beside what
// somebody would write with ip(8): a batch for the server and one per namespace.
func BenchmarkAttachBesideIPBatch(b *testing.B) {
	const containers, most, rounds = 100, 1.5, 5 // the kernel is slow to remove as many
	ownNet(b)
	dir := b.TempDir()
	b.Setenv(testDir, dir)
	k := open(b, "t", dir)
	want, base := segment(), segment()
	var made, links, gone, inside strings.Builder
	for i := range containers {
		name := fmt.Sprintf("flb%d-%d", os.Getpid(), i)
		a := spec.Attachment{
			Container: "netns/" + name, Interface: "eth1", Host: fmt.Sprintf("flk-%08x", i), Network: "vx1", Bridge: "vxl0", MAC: fmt.Sprintf("6a:0c:00:00:00:%02x", i), MTU: 1450,
			Addrs: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 4, byte(i + 100)}), 24)}, Gateways: []netip.Addr{addr("10.0.4.1")},
		}
		want.Attached = append(want.Attached, a)
		fmt.Fprintf(&made, "netns add %s\n", name)
		fmt.Fprintf(&links, "link add %s mtu 1450 type veth peer name eth1 address %s mtu 1450 netns %s\nlink set %s master vxl0 up\n", a.Host, a.MAC, name, a.Host)
		fmt.Fprintf(&gone, "link del %s\n", a.Host)
		batch := filepath.Join(dir, name)
		if err := os.WriteFile(batch, []byte(fmt.Sprintf("link set eth1 up\naddr add %s dev eth1\nroute add default via 10.0.4.1\n", a.Addrs[0])), 0o600); err != nil {
			b.Fatal(err)
		}
		fmt.Fprintf(&inside, "ip -n %s -batch %s || exit 1\n", name, batch)
	}
	batch := func(text string) string {
		path := filepath.Join(b.TempDir(), "batch")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
		return "ip -batch " + path
	}
	sh(b, batch(made.String()))
	b.Cleanup(func() { sh(b, batch(strings.ReplaceAll(made.String(), "add", "del"))) })
	// One that never comes: the process that attaches is there before and after.
	base.Attached = []spec.Attachment{{Container: "netns/flb-never", Interface: "eth1", Host: "flk-never", MAC: "6a:0c:00:00:00:ff"}}
	want.Attached = append(want.Attached, base.Attached...)
	bring(b, k, base)
	b.Cleanup(func() { bring(b, k, segment()) })
	ours, away := func() { bring(b, k, want) }, func() { bring(b, k, base) }
	script, undo := "set -e\n"+batch(links.String())+"\n"+inside.String(), batch(gone.String())
	var ratios []float64
	ours()
	away()
	for round := 0; b.Loop(); round++ {
		if round >= rounds {
			continue
		}
		took := timed(ours)
		away()
		by := timed(func() { sh(b, script) })
		sh(b, undo)
		ratios = append(ratios, took.Seconds()/by.Seconds())
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(middle(ratios), "ratio")
	if middle(ratios) > most {
		b.Errorf("want at most %.1f times the script, have %.2f, the median of %d rounds", most, middle(ratios), len(ratios))
	}
}

func timed(do func()) time.Duration {
	start := time.Now()
	do()
	return time.Since(start)
}
