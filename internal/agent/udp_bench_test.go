//go:build linux

package agent

import "testing"

// BenchmarkUDPBesideOthers sets what a UDP device carries beside WireGuard, which
// encrypts besides, and beside the underlay without a device.
func BenchmarkUDPBesideOthers(b *testing.B) {
	m, udp := newMesh(b, 2), newMesh(b, 2)
	m.up(0, 1)
	udp.upUDP()
	m.ping(0, 1)
	udp.udpPing(0, 1)
	streams := []func() float64{
		func() float64 { return udp.stream(b, "10.244.1.1", "10.244.2.1") },
		func() float64 { return m.stream(b, "10.0.11.1", "10.0.12.1") },
		func() float64 { return m.stream(b, "10.99.0.1", "10.99.0.2") },
	}
	shares := inTurns(b, []string{"", "-wireguard", "-underlay"}, func(i int) float64 { return streams[i]() })
	b.ReportMetric(middle(shares[1]), "ratio-wireguard")
}
