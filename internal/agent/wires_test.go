//go:build linux

package agent

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/lab"
	"github.com/flocknet/flock/internal/spec"
)

// wired is a bridge with a device of others as its port.
func wired(dev string) *spec.Host {
	return &spec.Host{
		Cluster: "t", Store: "s", Server: "s1",
		Links: []spec.Link{
			{Name: "br0", Network: "br1", Kind: spec.Bridge, MAC: "6a:0b:00:00:00:01", MTU: 1500},
			{Name: dev, Network: "br1", Kind: spec.Port, Master: "br0"},
		},
	}
}

// TestAPortIsGivenBackAsItWasFound: up or down, whatever happened to it or to its bridge
// meanwhile; its drift is seen and repaired.
func TestAPortIsGivenBackAsItWasFound(t *testing.T) {
	for _, c := range []struct{ found, out string }{
		{"down", "~ link p1: master none -> br0, network none -> br1"},
		{"up", "+ link p1: port master br0 network br1"},
	} {
		t.Run(c.found, func(t *testing.T) {
			ownNet(t)
			sh(t, "ip link add p1 type veth peer name p1-far; ip link set p1-far up; ip link set p1 mtu 1400 "+c.found)
			found := sh(t, "ip -o link show p1 | grep -o '<[^>]*>.*mtu [0-9]*'")
			k := open(t, "t", t.TempDir())
			want := wired("p1")
			converge(t, k, want, `
				+ link br0: bridge mac 6a:0b:00:00:00:01 mtu 1500 network br1
				+ link p1: port master br0 network br1`)
			if have := sh(t, "ip -o link show p1"); !strings.Contains(have, "master br0") || !strings.Contains(have, "UP,LOWER_UP") {
				t.Error(have)
			}
			sh(t, "ip link set p1 nomaster")
			converge(t, k, want, c.out)
			sh(t, "ip link set p1 down")
			converge(t, k, want, "~ link p1: state down -> up")
			sh(t, "ip link del br0")
			converge(t, k, want, `
				+ link br0: bridge mac 6a:0b:00:00:00:01 mtu 1500 network br1
				`+c.out)
			converge(t, k, &spec.Host{Cluster: "t"}, `
				- link p1
				- link br0`)
			if have := sh(t, "ip -o link show p1 | grep -o '<[^>]*>.*mtu [0-9]*'"); have != found {
				t.Errorf("want %s, have %s", found, have)
			}
			if sysfile.Exists(filepath.Join(k.Dir(), "ports.json")) {
				t.Error("its note is there still")
			}
		})
	}
}

// TestWhatCannotBeAPort is refused before anything is touched, with the reason.
func TestWhatCannotBeAPort(t *testing.T) {
	ownNet(t)
	sh(t, `ip link add br9 type bridge
		ip link add p2 type veth peer name p3; ip link set p2 master br9
		ip link add p4 type veth peer name p5; ip link set p4 up; ip link set p5 up; ip route add 10.7.0.0/24 dev p4
		ip link add x1 type vxlan id 9 dstport 4790; ip link set x1 alias flock:t/vx9
		ip tuntap add tun9 mode tun`)
	k := open(t, "t", t.TempDir())
	for dev, why := range map[string]string{
		"lo": "it is the loopback device", "br9": "it is a bridge", "p2": "it is a port of br9 (bridge)", "p4": "routes lead by it",
		"eth0": "it has the address 10.99.0.1/24, which a port cannot use", "x1": "flock made it for t/vx9", "tun9": "it has no Ethernet (none)",
	} {
		p, err := k.Plan(t.Context(), wired(dev))
		if err != nil {
			t.Fatal(err)
		}
		if want := dev + " cannot be a port of network br1: " + why; len(p.Problems) != 1 || p.Problems[0].What != want || p.Problems[0].Next == "" {
			t.Errorf("want %q, have %+v", want, p.Problems)
		}
	}
}

// TestLoopIsFound: a device that leads to where another port of the bridge does is no port
// of it, up or down; one that leads elsewhere is.
func TestLoopIsFound(t *testing.T) {
	ownNet(t)
	sh(t, "ip link add la type veth peer name lb; ip link add pa type veth peer name pb; for l in la lb pa pb; do ip link set $l up; done")
	k := open(t, "t", t.TempDir())
	apply(t, k, wired("la"))
	sh(t, "ip link set la nomaster; ip link set lb master br0")
	const why = "it and lb, a port of br0, are on one segment"
	p, err := k.Plan(t.Context(), wired("la"))
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Problems) != 1 || !strings.Contains(p.Problems[0].What, why) {
		t.Errorf("want %q, have %+v", why, p.Problems)
	}
	sh(t, "ip link set la down")
	if _, err := Reconcile(t.Context(), k, wired("la"), nil); err == nil || !strings.Contains(err.Error(), why) {
		t.Errorf("a device that was down: want %q, have %v", why, err)
	}
	apply(t, k, wired("pa"))
}

// TestVLAN: the frames of a tag alone, and nothing of the device below is another one.
func TestVLAN(t *testing.T) {
	lab.NeedLink(t, spec.VLAN)
	ownNet(t)
	k := open(t, "t", t.TempDir())
	want := wired("eth0")
	want.Links = append(want.Links[:1], spec.Link{Name: "br0-vl", Network: "br1", Kind: spec.VLAN, MAC: "6a:0a:00:00:00:01", MTU: 1500, Master: "br0", Tunnel: &spec.Tunnel{VNI: 30, Dev: "eth0"}})
	found := sh(t, "ip -d -o link show eth0; ip -o addr show dev eth0")
	apply(t, k, want)
	if have := sh(t, "ip -d -o link show br0-vl"); !strings.Contains(have, "vlan protocol 802.1Q id 30") || !strings.Contains(have, "master br0") {
		t.Error(have)
	}
	want.Links[1].Tunnel = &spec.Tunnel{VNI: 31, Dev: "eth0"}
	converge(t, k, want, "~ link br0-vl: vlan 30 -> 31 (made anew)")
	apply(t, k, &spec.Host{Cluster: "t"})
	if have := sh(t, "ip -d -o link show eth0; ip -o addr show dev eth0"); have != found {
		t.Errorf("want\n%shave\n%s", found, have)
	}
	sh(t, "ip link add link eth0 name other type vlan id 30")
	want.Links[1].Tunnel = &spec.Tunnel{VNI: 30, Dev: "eth0"}
	p, err := k.Plan(t.Context(), want)
	if err != nil || len(p.Problems) != 1 || !strings.Contains(p.Problems[0].What, "VLAN 30 on it is other's already") {
		t.Errorf("%v, %+v", err, p)
	}
}
