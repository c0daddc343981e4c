//go:build linux

package agent

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/flocknet/flock/internal/spec"
)

func BenchmarkGuardedBridgeBesideByHand(b *testing.B)  { guardedBesideByHand(b, nil) }
func BenchmarkIsolatedBridgeBesideByHand(b *testing.B) { guardedBesideByHand(b, &spec.Isolation{}) }

// guardedBesideByHand is about a host-gw network whose bridges have flock's port rules, beside
// one with plain bridges.
func guardedBesideByHand(b *testing.B, isolated *spec.Isolation) {
	ours, hand := newMesh(b, 2), newMesh(b, 2)
	if isolated != nil {
		isolated.From = []netip.Prefix{prefix("10.99.0.1/32"), prefix("10.99.0.2/32")}
	}
	for i := range 2 {
		mac := fmt.Sprintf("6a:0b:00:00:01:%02x", i+1)
		h := poolHost(i, "")
		h.Guards = []spec.Guard{{
			Network: "n1", Bridge: "app0", ServerMACs: mac, ServerMask: "ff:ff:ff:ff:ff:ff", DHCP: true, Isolated: isolated, Closed: []uint16{8472},
			Servers: []netip.Prefix{prefix(fmt.Sprintf("10.0.1%d.1/32", i+1))}, Subnets: []netip.Prefix{prefix(fmt.Sprintf("10.0.1%d.0/24", i+1))},
		}}
		ours.machines[i].sh("ip link set app0 address " + mac)
		ours.machines[i].call().make(h, "any")
		hand.machines[i].sh(poolByHand(i, ""))
	}
	besideByHand(b, 0.97, 1500, ours, hand)
}
