//go:build linux

package agent

import (
	"fmt"
	"testing"

	"github.com/flocknet/flock/internal/lab"
	"github.com/flocknet/flock/internal/spec"
)

// BenchmarkIPTunnelsBesideByHand compares tunnels of ours with the same made by
// ip-link(8), between shared subnets: the best of three, taken in turns.
func BenchmarkIPTunnelsBesideByHand(b *testing.B) {
	lab.NeedLink(b, spec.GRE, spec.IPIP)
	for _, kind := range []struct {
		name, kind, byHand string
		mtu                int
		key                uint32
	}{
		{"gre", spec.GRE, "gre", 1476, 0},
		{"gre-key", spec.GRE, "gre key 7", 1472, 7},
		{"ipip", spec.IPIP, "ipip", 1480, 0},
	} {
		b.Run(kind.name, func(b *testing.B) {
			ours, hand := newMesh(b, 2), newMesh(b, 2)
			for i := range 2 {
				other := 2 - i
				here, there := fmt.Sprintf("10.99.0.%d", i+1), fmt.Sprintf("10.99.0.%d", other)
				behind := fmt.Sprintf("10.0.1%d.0/24", other)
				ours.machines[i].call().make(&spec.Host{
					Cluster: "test", Store: "store1", Server: fmt.Sprintf("s%d", i+1), Generation: 1,
					Links:  []spec.Link{{Name: "t1", Network: "t1", Kind: kind.kind, MTU: kind.mtu, Tunnel: &spec.Tunnel{Local: addr(here), Remote: addr(there), Key: kind.key, TTL: 64}}},
					Addrs:  []spec.Addr{{Link: "t1", Prefix: prefix(fmt.Sprintf("10.0.6.%d/30", i+1))}},
					Routes: []spec.Route{{Dst: prefix(behind), Dev: "t1", Proto: spec.RouteProto}},
				}, "any")
				hand.machines[i].sh(fmt.Sprintf("ip link add t1 type %s local %s remote %s ttl 64; ip addr add 10.0.6.%d/30 dev t1; ip link set t1 mtu %d up; ip route add %s dev t1",
					kind.byHand, here, there, i+1, kind.mtu, behind))
			}
			for b.Loop() {
				var flock, floor float64
				for range 3 {
					flock, floor = max(flock, ours.stream(b, "10.0.11.1", "10.0.12.1")), max(floor, hand.stream(b, "10.0.11.1", "10.0.12.1"))
				}
				b.ReportMetric(flock, "Gbit/s")
				b.ReportMetric(floor, "Gbit/s-by-hand")
				b.ReportMetric(flock/floor, "ratio")
				if flock < 0.97*floor {
					b.Errorf("want 0.97 of what is set up by hand (%.3f Gbit/s), have %.3f", floor, flock)
				}
			}
		})
	}
}
