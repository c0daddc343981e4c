//go:build linux

package agent

import (
	"fmt"
	"testing"

	"github.com/flocknet/flock/internal/lab"
	"github.com/flocknet/flock/internal/spec"
)

// BenchmarkIPTunnelsBesideByHand is about tunnels between shared subnets.
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
				own, behind := fmt.Sprintf("10.0.1%d.0/24", i+1), fmt.Sprintf("10.0.1%d.0/24", other)
				ours.machines[i].call().make(&spec.Host{
					Cluster: "test", Store: "store1", Server: fmt.Sprintf("s%d", i+1), Generation: 1,
					Links:    []spec.Link{{Name: "t1", Network: "t1", Kind: kind.kind, MTU: kind.mtu, Tunnel: &spec.Tunnel{Local: addr(here), Remote: addr(there), Key: kind.key, TTL: 64}}},
					Addrs:    []spec.Addr{{Link: "t1", Prefix: prefix(fmt.Sprintf("10.0.6.%d/30", i+1))}},
					Routes:   []spec.Route{{Dst: prefix(behind), Dev: "t1", Proto: spec.RouteProto}},
					Keeps:    []spec.PreserveSource{{Network: "t1", Link: "t1", Subnet: prefix(own)}},
					Forwards: []spec.Forward{{Network: "t1", Link: "t1"}},
				}, "any")
				hand.machines[i].sh(fmt.Sprintf("ip link add t1 type %s local %s remote %s ttl 64; ip addr add 10.0.6.%d/30 dev t1; ip link set t1 mtu %d up; ip route add %s dev t1",
					kind.byHand, here, there, i+1, kind.mtu, behind))
			}
			besideByHand(b, 0.97, kind.mtu, ours, hand)
		})
	}
}
