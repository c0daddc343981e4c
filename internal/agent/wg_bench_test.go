//go:build linux

package agent

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"github.com/flocknet/flock/internal/spec"
)

// byHand sets machine pairs up with ip and wg, and where the kernel has no WireGuard
// with the daemon of the same module.
func (m *mesh) byHand(b *testing.B) {
	daemon := filepath.Join(b.TempDir(), "wireguard-go")
	public := make([]string, len(m.machines))
	for i, s := range m.machines {
		if s.command("ip", "link", "add", "wg0", "type", "wireguard").Run() != nil {
			if i == 0 {
				if out, err := exec.Command("go", "build", "-o", daemon, "golang.zx2c4.com/wireguard").CombinedOutput(); err != nil {
					b.Fatalf("build the daemon: %v: %s", err, out)
				}
			}
			s.sh(daemon + ` wg0 2>/dev/null; for i in $(seq 100); do wg show wg0 >/dev/null 2>&1 && break; sleep 0.05; done`)
			b.Cleanup(func() { s.sh("ip link del wg0") }) // the daemon ends with it
		}
		public[i] = strings.TrimSpace(s.sh("umask 077; wg genkey >/run/key; wg set wg0 listen-port 51820 private-key /run/key; wg pubkey </run/key"))
		s.sh(fmt.Sprintf("ip addr add 10.0.8.%d/32 dev wg0; ip link set wg0 mtu 1440 up", i+1))
	}
	for i, s := range m.machines {
		j := 1 - i
		s.sh(fmt.Sprintf(`wg set wg0 peer %s endpoint 10.99.0.%d:51820 allowed-ips 10.0.8.%d/32,10.0.1%d.0/24
			ip route add 10.0.8.%d/32 dev wg0; ip route add 10.0.1%d.0/24 dev wg0`, public[j], j+1, j+1, j+1, j+1, j+1))
	}
}

// contain plugs a container into each machine's bridge, 10.0.1N.2, with the MTU that
// passes the mesh whole.
func (m *mesh) contain() {
	for i, s := range m.machines {
		s.sh(fmt.Sprintf(`mkdir -p /run/netns; ip netns add c; ip link add c0 netns c mtu 1440 type veth peer name vc
			ip link set vc mtu 1440 master app0 up
			ip -n c addr add 10.0.1%d.2/24 dev c0; ip -n c link set c0 up; ip -n c route add default via 10.0.1%d.1`, i+1, i+1))
	}
	for i, s := range m.machines { // ports of a bridge take a moment
		s.sh(fmt.Sprintf("ip netns exec c ping -q -c 20 -i 0.1 -W 1 10.0.1%d.2 | grep -q ' received'", 2-i))
		s.sh(fmt.Sprintf("ip netns exec c ping -q -c 1 -W 3 10.0.1%d.2", 2-i))
	}
}

// speed is one TCP stream between the containers of two machines, in Gbit/s.
func (m *mesh) speed(b *testing.B) float64 {
	m.machines[1].sh("ip netns exec c iperf3 -s -1 -D; for i in $(seq 100); do ip netns exec c ss -Hltn | grep -q 5201 && break; sleep 0.02; done")
	var result struct {
		End struct {
			Received struct {
				Bits float64 `json:"bits_per_second"`
			} `json:"sum_received"`
		}
	}
	if err := json.Unmarshal([]byte(m.machines[0].sh("ip netns exec c iperf3 -J -t 3 -c 10.0.12.2")), &result); err != nil {
		b.Fatal(err)
	}
	return result.End.Received.Bits / 1e9
}

// BenchmarkWireGuardBesideByHand compares the best of some turns, which the machine's
// own noise can only lower: three, and more while they do not satisfy.
func BenchmarkWireGuardBesideByHand(b *testing.B) {
	ours, hand := newMesh(b, 2), newMesh(b, 2)
	ours.up(0, 1)
	hand.byHand(b)
	for _, m := range []*mesh{ours, hand} {
		m.ping(0, 1)
		m.contain()
	}
	for b.Loop() {
		var flock, floor float64
		for turn := 0; turn < 3 || turn < 8 && flock < 0.95*floor; turn++ {
			flock, floor = max(flock, ours.speed(b)), max(floor, hand.speed(b))
		}
		b.ReportMetric(flock, "Gbit/s")
		b.ReportMetric(floor, "Gbit/s-by-hand")
		b.ReportMetric(flock/floor, "ratio")
		if flock < 0.95*floor {
			b.Errorf("want 0.95 of what is set up by hand (%.3f Gbit/s), have %.3f", floor, flock)
		}
	}
}

// crowd is machine 0's spec with a thousand peers.
func (m *mesh) crowd() *spec.Host {
	want := m.host(0)
	for i := range many {
		var key wgtypes.Key
		binary.BigEndian.PutUint32(key[:], uint32(i+1))
		want.Peers = append(want.Peers, spec.Peer{
			Link: "wg-wirex", Key: key.String(), Endpoint: netip.AddrPortFrom(peer(i), 51820).String(), Allowed: []netip.Prefix{subnet(i)},
		})
	}
	return want
}

// BenchmarkPeers1000 is a session that brings a thousand peers.
func BenchmarkPeers1000(b *testing.B) {
	m := newMesh(b, 1)
	m.up(0)
	for b.Loop() {
		m.machines[0].call().make(m.crowd(), "any")
		b.StopTimer()
		m.machines[0].call().make(m.host(0), "any")
		b.StartTimer()
	}
}

// BenchmarkPeers1000Again is a session that finds a thousand peers right.
func BenchmarkPeers1000Again(b *testing.B) {
	m := newMesh(b, 1)
	m.up(0)
	m.machines[0].call().make(m.crowd(), "any")
	for b.Loop() {
		m.machines[0].call().make(m.crowd(), "")
	}
}
