//go:build linux

package agent

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/agent/claim"
	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/spec"
)

func unreachables(dst ...string) *spec.Host {
	h := &spec.Host{Cluster: "t", Sysctls: []spec.Sysctl{{Key: "net/ipv4/ip_forward", Value: "1"}, {Key: "net/ipv6/conf/all/forwarding", Value: "1"}}}
	for _, d := range dst {
		h.Routes = append(h.Routes, spec.Route{Unreachable: true, Dst: prefix(d), Proto: spec.RouteProto})
	}
	return h
}

// router is a server between a client and a gateway, which is its default route.
func router(t *testing.T) (client, server, gateway *nftHost) {
	t.Helper()
	client, server, gateway = newNFTHost(t), newNFTHost(t), newNFTHost(t)
	server.sh("ip link add in type veth peer name eth0 netns " + client.Path() + "; ip link add eth0 type veth peer name eth0 netns " + gateway.Path() + "; ip link set in up; ip link set eth0 up")
	client.sh("ip link set eth0 up; ip addr add 10.98.0.2/24 dev eth0; ip -6 addr add fd98::2/64 dev eth0 nodad; ip route add default via 10.98.0.1; ip -6 route add default via fd98::1")
	server.sh(`ip addr add 10.98.0.1/24 dev in; ip -6 addr add fd98::1/64 dev in nodad; ip addr add 10.99.0.1/24 dev eth0; ip -6 addr add fd99::1/64 dev eth0 nodad
		ip route add default via 10.99.0.254; ip -6 route add default via fd99::fe
		sysctl -qw net.ipv4.conf.all.rp_filter=1 net.ipv4.conf.in.rp_filter=1 net.ipv4.icmp_ratelimit=0 net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1`)
	gateway.sh("ip link set eth0 up; ip addr add 10.99.0.254/24 dev eth0; ip -6 addr add fd99::fe/64 dev eth0 nodad; ip route add default via 10.99.0.1; ip -6 route add default via fd99::1")
	return client, server, gateway
}

// What is not there is answered for, forwarded or sent by the server itself, and
// nothing of it goes to the gateway. A bridge that comes later works at once, and
// when it goes the answer is back, without us.
func TestUnreachableRouteKeepsPacketsFromTheGateway(t *testing.T) {
	client, server, gateway := router(t)
	var k *Kernel
	dir := t.TempDir()
	server.do(func() { k = open(t, "t", dir) })
	want := unreachables("10.50.0.0/24", "fd50::/64")
	sends := func(on *nftHost) string {
		out, _ := on.try("ping -n -c2 -i0.2 -W1 10.50.0.9 || true; ping -n -c2 -i0.2 -W1 fd50::9")
		return out
	}
	seen := gateway.Watch("eth0", "net 10.50.0.0/24 or net fd50::/64", func() { sends(client) })
	if !strings.Contains(seen, "10.50.0.9") || !strings.Contains(seen, "fd50::9") {
		t.Fatalf("the capture misses what leaves without the route:\n%s", seen)
	}
	settle := func(want *spec.Host) {
		t.Helper()
		server.do(func() {
			if report, err := Reconcile(context.Background(), k, want, nil); err != nil || len(report.Pending) > 0 {
				t.Fatal(err, report.Pending)
			}
		})
	}
	settle(want)
	none := func(when string) {
		t.Helper()
		seen := gateway.Watch("eth0", "net 10.50.0.0/24 or net fd50::/64", func() {
			if out := sends(client); strings.Count(out, "Unreachable") < 2 && !strings.Contains(out, "No route") || !strings.Contains(out, "From 10.98.0.1") || !strings.Contains(out, "From fd98::1") {
				t.Errorf("%s, the client hears:\n%s", when, out)
			}
			if out := sends(server); strings.Contains(out, "bytes from") {
				t.Errorf("%s, the server hears:\n%s", when, out)
			}
		})
		if seen != "" {
			t.Errorf("%s, to the gateway went:\n%s", when, seen)
		}
	}
	none("at first")
	server.sh("ip link add docker9 type bridge; ip addr add 10.50.0.1/24 dev docker9; ip -6 addr add fd50::1/64 dev docker9 nodad; ip link set docker9 up")
	container := newNFTHost(t)
	container.join("eth0", server, "c1", "docker9")
	container.sh("ip addr add 10.50.0.9/24 dev eth0; ip -6 addr add fd50::9/64 dev eth0 nodad; ip route add default via 10.50.0.1; ip -6 route add default via fd50::1")
	client.reaches("10.50.0.9")
	client.reaches("fd50::9")
	container.reaches("10.98.0.2")
	server.do(func() {
		if steps := plan(t, k, want); steps != "" {
			t.Errorf("with the subnet there, the plan is\n%s", steps)
		}
	})
	server.sh("ip link del docker9")
	none("after the bridge went")
	settle(&spec.Host{Cluster: "t"})
	if left := server.sh("ip route show proto 70; ip -6 route show proto 70"); left != "" {
		t.Errorf("left:\n%s", left)
	}
}

// A destination that turns from ours to another's, or back, changes without touching
// the real route of the same destination.
func TestUnreachableRoutesAreTheirOwnObjects(t *testing.T) {
	ownNet(t)
	dir := t.TempDir()
	k := open(t, "t", dir)
	before := listings(t)
	sh(t, "ip route add 10.50.1.0/24 via 10.99.0.9; ip -6 route add fd50::/64 via fd99::9")
	want := unreachables("10.50.1.0/24", "fd50::/64")
	want.Sysctls = nil
	converge(t, k, want, `
		+ route unreachable 10.50.1.0/24: proto 70
		+ route unreachable fd50::/64: proto 70`)
	converge(t, open(t, "t", dir), plain("10.50.2.0/24"), `
		- route unreachable 10.50.1.0/24
		- route unreachable fd50::/64
		+ route 10.50.2.0/24: via 10.99.0.2 dev eth0 proto 70`)
	if have := sh(t, "ip route show 10.50.1.0/24; ip -6 route show fd50::/64"); !strings.Contains(have, "10.99.0.9") || !strings.Contains(have, "fd99::9") {
		t.Fatalf("the real routes: %s", have)
	}
	gone := unreachables("10.50.2.0/24")
	gone.Sysctls = nil
	converge(t, open(t, "t", dir), gone, `
		- route 10.50.2.0/24
		+ route unreachable 10.50.2.0/24: proto 70`)
	gone.Claims = []spec.Claim{{Network: "n1", Prefix: prefix("10.50.2.0/24")}}
	p, err := open(t, "t", dir).Plan(t.Context(), gone)
	if err != nil || len(p.Problems) > 0 {
		t.Fatalf("our own route is in the way: %v %v", err, p.Problems)
	}
	f, err := claim.Facts(t.Context(), open(t, "t", dir).Host, nil)
	if err != nil || slices.Contains(f.Prefixes, prefix("10.50.2.0/24")) || slices.Contains(f.Routed, prefix("10.50.2.0/24")) {
		t.Fatalf("our own route is a fact of the server: %v %+v", err, f)
	}
	if report := apply(t, open(t, "t", dir), &spec.Host{Cluster: "t"}); report.Left != 0 {
		t.Errorf("%d left", report.Left)
	}
	sh(t, "ip route del 10.50.1.0/24; ip -6 route del fd50::/64")
	if after := listings(t); after != before {
		t.Errorf("want\n%s\nhave\n%s", before, after)
	}
}

// The way back to the workstation is not taken away.
func TestUnreachableRouteSparesTheWorkstation(t *testing.T) {
	ownNet(t)
	sh(t, "ip route add default via 10.99.0.254")
	t.Setenv("SSH_CONNECTION", "10.50.1.7 4711 10.99.0.1 22")
	k := open(t, "t", t.TempDir())
	problems := func() string {
		t.Helper()
		p, err := k.Plan(t.Context(), unreachables("10.50.1.0/24"))
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, p := range p.Problems {
			out = append(out, p.What)
		}
		return strings.Join(out, "; ")
	}
	if have, want := problems(), "10.50.1.0/24 is not here and contains the workstation's address 10.50.1.7, which is reached by the default route"; have != want {
		t.Fatalf("want %q, have %q", want, have)
	}
	sh(t, "ip route add 10.50.1.0/25 via 10.99.0.253")
	if have := problems(); have != "" {
		t.Fatal(have)
	}
}

func TestFactsTellWhatIsThere(t *testing.T) {
	ownNet(t)
	sh(t, `ip link add docker0 type bridge; ip addr add 172.17.0.1/16 dev docker0; ip link set docker0 up
		ip addr add 10.60.0.1/32 dev lo; ip route add 10.61.0.0/24 via 10.99.0.2; ip route add 10.62.0.0/24 dev docker0
		ip link add veth9 type veth peer name veth8; ip link set veth9 up; ip route add 10.63.0.5/32 dev veth9`)
	k := open(t, "t", t.TempDir())
	f, err := claim.Facts(t.Context(), k.Host, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []netip.Prefix{prefix("10.60.0.1/32"), prefix("10.62.0.0/24"), prefix("172.17.0.0/16")}
	if !slices.Equal(f.Local, want) {
		t.Errorf("want %v, have %v", want, f.Local)
	}
}

// TestUnreachableCoversWhatItSays holds that no other type of route is taken for ours.
func TestUnreachableCoversWhatItSays(t *testing.T) {
	ownNet(t)
	sh(t, `ip route add blackhole 10.80.0.0/24 proto 70 metric 2000000000; ip route add unreachable 10.81.0.0/24 proto 70
		ip route add unreachable 10.82.0.0/24 metric 2000000000; ip route add unreachable 10.83.0.0/24 proto 70 metric 2000000000`)
	k := open(t, "t", t.TempDir())
	if err := k.Look(); err != nil {
		t.Fatal(err)
	}
	var ours []string
	for _, r := range k.Routes {
		if host.Unreachable(r) {
			ours = append(ours, host.ToPrefix(r.Dst).String())
		}
	}
	if !slices.Equal(ours, []string{"10.83.0.0/24"}) {
		t.Errorf("have %v", ours)
	}
}
