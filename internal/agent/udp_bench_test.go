//go:build linux

package agent

import (
	"encoding/json"
	"testing"
)

// stream is one TCP stream from an address of machine 0 to one of machine 1, in Gbit/s.
func (m *mesh) stream(b *testing.B, from, to string) float64 {
	b.Helper()
	m.machines[1].sh("iperf3 -s -1 -D -B " + to + "; for i in $(seq 100); do ss -Hltn | grep -q 5201 && break; sleep 0.02; done")
	var result struct {
		End struct {
			Received struct {
				Bits float64 `json:"bits_per_second"`
			} `json:"sum_received"`
		}
	}
	if err := json.Unmarshal([]byte(m.machines[0].sh("iperf3 -J -t 3 -B "+from+" -c "+to)), &result); err != nil {
		b.Fatal(err)
	}
	return result.End.Received.Bits / 1e9
}

// BenchmarkUDPBesideOthers sets what a UDP device carries beside WireGuard, which
// encrypts besides, and beside the underlay without a device: the best of three,
// taken in turns.
func BenchmarkUDPBesideOthers(b *testing.B) {
	m, udp := newMesh(b, 2), newMesh(b, 2)
	m.up(0, 1)
	udp.upUDP()
	m.ping(0, 1)
	udp.udpPing(0, 1)
	for b.Loop() {
		var packets, encrypted, bare float64
		for range 3 {
			packets = max(packets, udp.stream(b, "10.244.1.1", "10.244.2.1"))
			encrypted = max(encrypted, m.stream(b, "10.0.11.1", "10.0.12.1"))
			bare = max(bare, m.stream(b, "10.99.0.1", "10.99.0.2"))
		}
		b.ReportMetric(packets, "Gbit/s")
		b.ReportMetric(encrypted, "Gbit/s-wireguard")
		b.ReportMetric(bare, "Gbit/s-underlay")
		b.ReportMetric(packets/encrypted, "ratio-wireguard")
	}
}
