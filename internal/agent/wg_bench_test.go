//go:build linux

package agent

import (
	"encoding/binary"
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
			s.sh("setsid " + daemon + ` wg0 2>/dev/null; for i in $(seq 100); do wg show wg0 >/dev/null 2>&1 && break; sleep 0.05; done`)
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

// BenchmarkWireGuardBesideByHand is about the kernel's device where there is one, and
// otherwise about the userspace device.
func BenchmarkWireGuardBesideByHand(b *testing.B) {
	ours, hand := newMesh(b, 2), newMesh(b, 2)
	ours.up(0, 1)
	hand.byHand(b)
	besideByHand(b, 0.95, 1440, ours, hand)
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
