//go:build linux

package agent

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/flocknet/flock/internal/spec"
)

// containers plugs a container into the bridge of each machine: 10.0.1N.2.
func (m *mesh) containers(b *testing.B) []*machine {
	b.Helper()
	var out []*machine
	for i, s := range m.machines {
		c := newMachine(b)
		c.sh("ip link del eth0")
		s.sh(fmt.Sprintf("ip link add c%d type veth peer name eth0 netns %s; ip link set c%d master app0 up", i, c.pid, i))
		c.sh(fmt.Sprintf("ip addr add 10.0.1%d.2/24 dev eth0; ip link set eth0 mtu 1450 up; ip route add default via 10.0.1%d.1", i+1, i+1))
		out = append(out, c)
	}
	return out
}

// poolHost is machine i's part of a pool network of two, as network compiles it.
func poolHost(i int, packed bool) *spec.Host {
	own := prefix(fmt.Sprintf("10.0.1%d.0/24", i+1))
	far := prefix(fmt.Sprintf("10.0.1%d.0/24", 2-i))
	local, remote := addr(fmt.Sprintf("10.99.0.%d", i+1)), addr(fmt.Sprintf("10.99.0.%d", 2-i))
	pool := prefix("10.0.0.0/16")
	h := &spec.Host{
		Cluster: "test", Store: "store1", Server: fmt.Sprintf("s%d", i+1), Generation: 1,
		Keeps:    []spec.Keep{{Network: "n1", Subnet: own, To: []netip.Prefix{pool}}},
		Forwards: []spec.Forward{{Network: "n1", Subnet: pool}},
		Sysctls:  []spec.Sysctl{{Key: "net/ipv4/ip_forward", Value: "1"}},
	}
	if !packed {
		h.Routes = []spec.Route{{Dst: far, Via: remote, Dev: "eth0", Proto: spec.RouteProto}}
		return h
	}
	mac := func(i int) string { return fmt.Sprintf("6a:0a:00:00:00:%02x", i+1) }
	h.Links = []spec.Link{{
		Name: "n1-vx", Network: "n1", Kind: spec.VXLAN, MAC: mac(i), MTU: 1450,
		Tunnel: &spec.Tunnel{VNI: 1, Port: 8472, Local: local, Static: true},
	}}
	h.Addrs = []spec.Addr{{Link: "n1-vx", Prefix: netip.PrefixFrom(own.Addr(), 32)}}
	h.Neighs = []spec.Neigh{{Link: "n1-vx", IP: far.Addr(), MAC: mac(1 - i)}}
	h.FDB = []spec.FDB{{Link: "n1-vx", MAC: mac(1 - i), Dst: remote}}
	h.Routes = []spec.Route{{Dst: far, Via: far.Addr(), Dev: "n1-vx", Onlink: true, Proto: spec.RouteProto}}
	return h
}

// poolByHand is the same with ip, bridge and nft. It masquerades towards the outside,
// as flannel and CNI plugins do: a server of containers tracks connections. A server
// that tracks none carries a fifth more in VXLAN, whose outer packets count too.
func poolByHand(i int, packed bool) string {
	masquerade := fmt.Sprintf(`nft "add table ip nat; add chain ip nat post { type nat hook postrouting priority 100; }
		add rule ip nat post ip saddr 10.0.1%d.0/24 ip daddr != 10.0.0.0/16 masquerade"
		`, i+1)
	if !packed {
		return masquerade + fmt.Sprintf("ip route add 10.0.1%d.0/24 via 10.99.0.%d", 2-i, 2-i)
	}
	return masquerade + fmt.Sprintf(`ip link add flannel.1 address 6a:0a:00:00:00:0%[1]d mtu 1450 type vxlan id 1 dstport 8472 local 10.99.0.%[1]d nolearning
		ip addr add 10.0.1%[1]d.0/32 dev flannel.1; ip link set flannel.1 up
		ip neigh add 10.0.1%[2]d.0 lladdr 6a:0a:00:00:00:0%[2]d dev flannel.1
		bridge fdb add 6a:0a:00:00:00:0%[2]d dst 10.99.0.%[2]d dev flannel.1
		ip route add 10.0.1%[2]d.0/24 via 10.0.1%[2]d.0 dev flannel.1 onlink`, i+1, 2-i)
}

func BenchmarkHostGWBesideByHand(b *testing.B)  { poolBesideByHand(b, false) }
func BenchmarkVXLANL3BesideByHand(b *testing.B) { poolBesideByHand(b, true) }

// poolBesideByHand compares one TCP stream between containers, the best of five taken
// in turns: the machine's own noise is larger than what is compared.
func poolBesideByHand(b *testing.B, packed bool) {
	ours, hand := newMesh(b, 2), newMesh(b, 2)
	for i := range 2 {
		ours.machines[i].call().make(poolHost(i, packed), "any")
		hand.machines[i].sh(poolByHand(i, packed))
	}
	both := []*mesh{{t: b, machines: ours.containers(b)}, {t: b, machines: hand.containers(b)}}
	for _, m := range both {
		m.machines[0].sh("ping -qc1 -W3 10.0.12.2")
	}
	for b.Loop() {
		var speed [2]float64
		for range 5 {
			for i, m := range both {
				speed[i] = max(speed[i], m.stream(b, "10.0.11.2", "10.0.12.2"))
			}
		}
		b.ReportMetric(speed[0], "Gbit/s")
		b.ReportMetric(speed[1], "Gbit/s-by-hand")
		b.ReportMetric(speed[0]/speed[1], "ratio")
		if speed[0] < 0.97*speed[1] {
			b.Errorf("want 0.97 of what is set up by hand (%.2f Gbit/s), have %.2f", speed[1], speed[0])
		}
	}
}
