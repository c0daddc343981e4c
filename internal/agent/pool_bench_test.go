//go:build linux

package agent

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/flocknet/flock/internal/lab"
	"github.com/flocknet/flock/internal/spec"
)

// poolHost is machine i's part of a pool network of two, as network compiles it.
func poolHost(i int, kind string) *spec.Host {
	own := prefix(fmt.Sprintf("10.0.1%d.0/24", i+1))
	far := prefix(fmt.Sprintf("10.0.1%d.0/24", 2-i))
	local, remote := addr(fmt.Sprintf("10.99.0.%d", i+1)), addr(fmt.Sprintf("10.99.0.%d", 2-i))
	pool := prefix("10.0.0.0/16")
	h := &spec.Host{
		Cluster: "test", Store: "store1", Server: fmt.Sprintf("s%d", i+1), Generation: 1,
		Keeps:    []spec.PreserveSource{{Network: "n1", Subnet: own, To: []netip.Prefix{pool}}},
		Forwards: []spec.Forward{{Network: "n1", Subnet: pool}},
		Sysctls:  []spec.Sysctl{{Key: "net/ipv4/ip_forward", Value: "1"}},
		Guards:   []spec.Guard{poolGuard(i, own, kind)},
	}
	switch kind {
	case spec.VXLAN:
		addVXLAN(h, i, own, far, local, remote)
	case spec.IPIP:
		h.Links = []spec.Link{{Name: "n1-ip", Network: "n1", Kind: spec.IPIP, MTU: 1480, Tunnel: &spec.Tunnel{Local: local, TTL: 64}}}
		h.Addrs = []spec.Addr{{Link: "n1-ip", Prefix: netip.PrefixFrom(own.Addr(), 32)}}
		h.Routes = []spec.Route{{Dst: far, Via: remote, Dev: "n1-ip", Onlink: true, Proto: spec.RouteProto}}
	default:
		h.Routes = []spec.Route{{Dst: far, Via: remote, Dev: "eth0", Proto: spec.RouteProto}}
	}
	return h
}

// poolGuard is the guard before the containers' bridge, as if the network had IPv6 too:
// of all pools' guards the one with the most rules.
func poolGuard(i int, own netip.Prefix, kind string) spec.Guard {
	six := prefix(fmt.Sprintf("fd00:1%d::/64", i+1))
	g := spec.Guard{
		Network: "n1", Bridge: "app0", ServerMACs: appMAC(i), ServerMask: "ff:ff:ff:ff:ff:ff", DHCP: true, Subnets: []netip.Prefix{own, six},
		Servers: []netip.Prefix{netip.PrefixFrom(own.Addr().Next(), 32), netip.PrefixFrom(six.Addr().Next(), 128)},
	}
	if kind == spec.VXLAN {
		g.Closed = []uint16{8472}
	}
	return g
}

func addVXLAN(h *spec.Host, i int, own, far netip.Prefix, local, remote netip.Addr) {
	mac := func(i int) string { return fmt.Sprintf("6a:0a:00:00:00:%02x", i+1) }
	h.Links = []spec.Link{{
		Name: "n1-vx", Network: "n1", Kind: spec.VXLAN, MAC: mac(i), MTU: 1450,
		Tunnel: &spec.Tunnel{VNI: 1, Port: 8472, Local: local, Static: true},
	}}
	h.Addrs = []spec.Addr{{Link: "n1-vx", Prefix: netip.PrefixFrom(own.Addr(), 32)}}
	h.Neighs = []spec.Neigh{{Link: "n1-vx", IP: far.Addr(), MAC: mac(1 - i)}}
	h.FDB = []spec.FDB{{Link: "n1-vx", MAC: mac(1 - i), Dst: remote}}
	h.Routes = []spec.Route{{Dst: far, Via: far.Addr(), Dev: "n1-vx", Onlink: true, Proto: spec.RouteProto}}
}

// poolByHand is the same with ip and bridge.
func poolByHand(i int, kind string) string {
	switch kind {
	case spec.VXLAN:
		return fmt.Sprintf(`ip link add flannel.1 address 6a:0a:00:00:00:0%[1]d mtu 1450 type vxlan id 1 dstport 8472 local 10.99.0.%[1]d nolearning
			ip addr add 10.0.1%[1]d.0/32 dev flannel.1; ip link set flannel.1 up
			ip neigh add 10.0.1%[2]d.0 lladdr 6a:0a:00:00:00:0%[2]d dev flannel.1
			bridge fdb add 6a:0a:00:00:00:0%[2]d dst 10.99.0.%[2]d dev flannel.1
			ip route add 10.0.1%[2]d.0/24 via 10.0.1%[2]d.0 dev flannel.1 onlink`, i+1, 2-i)
	case spec.IPIP:
		return fmt.Sprintf(`ip link add flannel.ipip mtu 1480 type ipip local 10.99.0.%[1]d ttl 64
			ip addr add 10.0.1%[1]d.0/32 dev flannel.ipip; ip link set flannel.ipip up
			ip route add 10.0.1%[2]d.0/24 via 10.99.0.%[2]d dev flannel.ipip onlink`, i+1, 2-i)
	}
	return fmt.Sprintf("ip route add 10.0.1%d.0/24 via 10.99.0.%d", 2-i, 2-i)
}

func BenchmarkHostGWBesideByHand(b *testing.B)  { poolBesideByHand(b, "", 1500) }
func BenchmarkVXLANL3BesideByHand(b *testing.B) { poolBesideByHand(b, spec.VXLAN, 1450) }

func BenchmarkIPIPBesideByHand(b *testing.B) {
	lab.NeedLink(b, spec.IPIP)
	poolBesideByHand(b, spec.IPIP, 1480)
}

// poolBesideByHand is about a pool network over devices of kind, or over none.
func poolBesideByHand(b *testing.B, kind string, mtu int) {
	ours, hand := newMesh(b, 2), newMesh(b, 2)
	for i := range 2 {
		ours.machines[i].call().make(poolHost(i, kind), "any")
		hand.machines[i].sh(poolByHand(i, kind))
	}
	besideByHand(b, 0.97, mtu, ours, hand)
}
