//go:build linux

package agent

import (
	"bytes"
	"net"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/agent/claim"
	"github.com/flocknet/flock/internal/spec"
)

func problems(t *testing.T, k *Kernel, claims ...spec.Claim) []spec.Problem {
	t.Helper()
	want := &spec.Host{Cluster: "t", Claims: claims}
	for _, c := range claims { // who claims a subnet of its own is on it, or has a part of it
		if c.Prefix.IsValid() && !c.Shared {
			want.Envs = append(want.Envs, spec.SubnetEnv{Network: c.Network})
		}
	}
	p, err := k.Plan(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	return p.Problems
}

func TestPrefixClaims(t *testing.T) {
	for _, c := range []struct{ name, setup, claim, what, next string }{
		{"free", "", "10.0.4.0/24", "", ""},
		{"default routes are no overlap", "ip route add default via 10.99.0.9; ip -6 route add default via fd99::9", "10.0.4.0/24", "", ""},
		{"address", "", "10.99.0.0/24", "10.99.0.0/24 overlaps the address 10.99.0.1/24 dev eth0", "flock setnetwork vx1 -s 10.20.4.0/24"},
		{"route", "ip route add 10.0.0.0/16 via 10.99.0.9", "10.0.4.0/24", "10.0.4.0/24 overlaps the route 10.0.0.0/16 dev eth0", "flock setnetwork vx1 -s 10.20.4.0/24"},
		{"route in another table", "ip route add 10.0.4.128/25 via 10.99.0.9 table 77", "10.0.4.0/24", "10.0.4.0/24 overlaps the route 10.0.4.128/25 dev eth0", "flock setnetwork vx1 -s 10.20.4.0/24"},
		{"blackhole", "ip route add blackhole 10.0.0.0/8", "10.0.4.0/24", "10.0.4.0/24 overlaps the route 10.0.0.0/8", "flock setnetwork vx1 -s 172.18.4.0/24"},
		{"the example is free", "ip route add 10.16.0.0/13 via 10.99.0.9", "10.16.1.0/24", "10.16.1.0/24 overlaps the route 10.16.0.0/13 dev eth0", "flock setnetwork vx1 -s 10.30.4.0/24"},
		{"a routing daemon's route", "ip route add 10.0.4.0/25 via 10.99.0.9 proto bird", "10.0.4.0/24", "10.0.4.0/24 overlaps the route 10.0.4.0/25 via 10.99.0.9 dev eth0, which a routing daemon (proto bird) learned", "flock setnetwork vx1 -s 10.20.4.0/24"},
		{"what our daemon learned", "ip route add 10.0.4.0/25 via 10.99.0.9 proto 71 metric 71", "10.0.4.0/24", "10.0.4.0/24 overlaps the BGP route 10.0.4.0/25 via 10.99.0.9 dev eth0", "flock setnetwork vx1 -s 10.20.4.0/24"},
		{"what it learned contains it", "ip route add 10.0.0.0/8 via 10.99.0.9 proto 71 metric 71", "10.0.4.0/24", "10.0.4.0/24 overlaps the BGP route 10.0.0.0/8 via 10.99.0.9 dev eth0", "flock setnetwork vx1 -s 172.18.4.0/24"},
		{"a learned default", "ip route add default via 10.99.0.9 proto 71 metric 71", "10.0.4.0/24", "", ""},
		{"IPv6", "", "fd99::/48", "fd99::/48 overlaps the address fd99::1/64 dev eth0", "flock setnetwork vx1 -s CIDR"},
		{"another cluster", "ip link add o type bridge; ip link set o alias flock:other/n; ip addr add 10.0.4.1/24 dev o", "10.0.4.0/24", "10.0.4.0/24 overlaps the address 10.0.4.1/24 dev o", "flock setnetwork vx1 -s 10.20.4.0/24"},
		{"this cluster", "ip link add o type bridge; ip link set o alias flock:t/n; ip addr add 10.0.4.1/24 dev o; ip link set o up", "10.0.4.0/24", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			ownNet(t)
			sh(t, c.setup)
			k := open(t, "t", t.TempDir())
			list := problems(t, k, spec.Claim{Network: "vx1", Prefix: prefix(c.claim)})
			switch {
			case c.what == "" && len(list) > 0:
				t.Fatalf("problems: %v", list)
			case c.what != "" && (len(list) != 1 || list[0].What != c.what || list[0].Next != c.next):
				t.Fatalf("want %q, %q, have %q", c.what, c.next, list)
			}
		})
	}
}

// Who was there before a router announced it stays, and members' own subnets are in
// nobody's way.
func TestLearnedRoutesConcernWhoComesNew(t *testing.T) {
	ownNet(t)
	sh(t, "ip route add 10.0.4.0/25 via 10.99.0.9 proto 71 metric 71; ip route add 10.0.11.0/24 via 10.99.0.2 proto 71 metric 71")
	k := open(t, "t", t.TempDir())
	if err := k.Look(); err != nil {
		t.Fatal(err)
	}
	kept := spec.Claim{Network: "vx1", Prefix: prefix("10.0.4.0/24")}
	want := &spec.Host{Cluster: "t", Claims: []spec.Claim{kept, {Network: "vx2", Prefix: prefix("10.0.11.0/24")}}}
	have, err := claim.Check(t.Context(), k.Host, want)
	if err != nil || len(have) != 2 {
		t.Fatalf("new: %v, %v", have, err)
	}
	if err := os.MkdirAll(k.Dir(), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := k.Store(&spec.Host{Cluster: "t", BGP: &spec.BGP{Network: "bnet"}, Claims: []spec.Claim{kept}}); err != nil {
		t.Fatal(err)
	}
	want.Claims[0].Except = []netip.Prefix{prefix("10.0.4.128/25")}
	want.Claims[1].Network = "bnet"
	want.BGP = &spec.BGP{Network: "bnet"}
	if have, err := claim.Check(t.Context(), k.Host, want); err != nil || len(have) != 0 {
		t.Fatalf("known, and a member's own: %v, %v", have, err)
	}
}

func TestPortInUse(t *testing.T) {
	ownNet(t)
	k := open(t, "t", t.TempDir())
	if list := problems(t, k, spec.Claim{UDPPort: 4789}); len(list) != 0 {
		t.Fatalf("a free port: %v", list)
	}
	for _, address := range []string{"10.99.0.1:4789", "[fd99::1]:4789"} {
		c, err := net.ListenPacket("udp", address)
		if err != nil {
			t.Fatal(err)
		}
		list := problems(t, k, spec.Claim{UDPPort: 4789})
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if len(list) != 1 || !strings.HasPrefix(list[0].What, "UDP port 4789 is in use by ") || !strings.Contains(list[0].What, "(process ") {
			t.Fatalf("%s: %v", address, list)
		}
	}
}

func TestPortOfVXLANIsSharedAmongVXLAN(t *testing.T) {
	ownNet(t)
	sh(t, "ip link add far type vxlan id 9 dstport 4789 local 10.99.0.1; ip link set far up")
	k := open(t, "t", t.TempDir())
	for kind, want := range map[string]string{spec.VXLAN: "", spec.UDP: "UDP port 4789 of 10.99.0.1 is in use by the VXLAN device far"} {
		l := spec.Link{Name: "n1", Network: "n1", Kind: kind, Tunnel: &spec.Tunnel{VNI: 7, Port: 4789, Local: addr("10.99.0.1")}}
		p, err := k.Plan(t.Context(), &spec.Host{Cluster: "t", Links: []spec.Link{l}, Claims: []spec.Claim{{UDPPort: 4789}}})
		if err != nil {
			t.Fatal(err)
		}
		if have := whatOf(p.Problems); have != want {
			t.Errorf("%s: want %q, have %q", kind, want, have)
		}
	}
}

// whatOf is what problems say, a line each.
func whatOf(list []spec.Problem) string {
	var out []string
	for _, p := range list {
		out = append(out, p.What)
	}
	return strings.Join(out, "\n")
}

// The kernel has one socket per port, family and way to receive.
func TestForeignVXLANOnThePort(t *testing.T) {
	four, six := addr("10.99.0.1"), addr("fd99::1")
	for _, c := range []struct {
		name, foreign string
		local         netip.Addr
		what          string
	}{
		{"external", "external", four, "link n1 of network n1: UDP port 4789 belongs to the link far, which takes in all networks (external)"},
		{"external, IPv6", "external", six, "link n1 of network n1: UDP port 4789 belongs to the link far, which takes in all networks (external)"},
		{"without checksums", "id 9 local fd99::1 udp6zerocsumrx", six, "link n1 of network n1: UDP port 4789 is shared with the link far, which takes packets without a checksum (udp6zerocsumrx)"},
		{"another VNI", "id 9 local 10.99.0.1", four, ""},
		{"another family", "id 9 local fd99::1 udp6zerocsumrx", four, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			ownNet(t)
			sh(t, "ip link add far type vxlan dstport 4789 "+c.foreign+"; ip link set far up")
			k := open(t, "t", t.TempDir())
			want := &spec.Host{Cluster: "t", Claims: []spec.Claim{{UDPPort: 4789}}, Links: []spec.Link{{
				Name: "n1", Network: "n1", Kind: spec.VXLAN, MAC: "6a:0a:00:00:00:01", MTU: 1400,
				Tunnel: &spec.Tunnel{VNI: 7, Port: 4789, Local: c.local},
			}}}
			p, err := k.Plan(t.Context(), want)
			if err != nil {
				t.Fatal(err)
			}
			if have := whatOf(p.Problems); have != c.what {
				t.Fatalf("want %q, have %q", c.what, have)
			}
			// What the plan says is what the kernel says.
			_, err = Reconcile(t.Context(), k, want, nil)
			if c.what == "" && err != nil {
				t.Fatalf("no problem, and then: %v", err)
			}
			if c.what != "" && err == nil {
				t.Error("a problem that is none")
			}
		})
	}
}

func TestProgramAndDeviceClaims(t *testing.T) {
	ownNet(t)
	k := open(t, "t", t.TempDir())
	t.Setenv("PATH", "/nowhere")
	if list := problems(t, k, spec.Claim{Program: "ip"}, spec.Claim{Device: "eth0"}); len(list) != 0 {
		t.Fatalf("what is there: %v", list)
	}
	list := problems(t, k, spec.Claim{Program: "no-such-dnsmasq", Package: "dnsmasq-base"}, spec.Claim{Device: "eth7"})
	want := []spec.Problem{
		{What: "there is no network device eth7", Next: "ip link show"},
		{What: "no-such-dnsmasq is not installed", Next: "apt-get install dnsmasq-base"},
	}
	if !reflect.DeepEqual(want, list) {
		t.Fatalf("want %v, have %v", want, list)
	}
}

func TestKindIsTriedElsewhere(t *testing.T) {
	ownNet(t)
	before := listings(t)
	if lacking, err := claim.TryKinds(t.Context(), []string{spec.VXLAN}); err != nil || len(lacking) > 0 {
		t.Fatalf("lacking %v, %v", lacking, err)
	}
	if lacking, err := claim.TryKinds(t.Context(), []string{"nonsense"}); err == nil {
		t.Errorf("a trial that fails is no answer: %v", lacking)
	}
	if after := listings(t); !bytes.Equal([]byte(after), []byte(before)) {
		t.Fatalf("want\n%s\nhave\n%s", before, after)
	}
}

func TestFacts(t *testing.T) {
	ownNet(t)
	sh(t, `ip route add default via 10.99.0.9 metric 20; ip -6 route add default via fd99::9
		ip link add eth1 type veth peer name veth1p; ip addr add 10.98.0.1/24 dev eth1; ip link set eth1 up; ip link set eth1 mtu 9000
		ip route add default via 10.98.0.9 metric 10 dev eth1 onlink
		ip link add docker0 type bridge; ip addr add 172.17.0.1/16 dev docker0; ip link set docker0 up
		ip link add odd type bridge; ip addr add 10.97.0.1/24 dev odd
		ip route add 10.7.0.0/16 via 10.99.0.9; ip route add 10.6.0.0/24 via 10.99.0.9 table 9; ip route add 10.5.0.0/24 via 10.99.0.9 proto bgp`)
	sh(t, "ip -6 route add default via fd99::7 proto 71 metric 71") // learned by our daemon: no network stands by it
	k := open(t, "t", t.TempDir())
	apply(t, k, segment())
	f, err := claim.Facts(t.Context(), k.Host, []string{"odd", "172.17.0.1", "not-there"})
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	for _, i := range f.Interfaces {
		have = append(have, i.Name)
	}
	if want := []string{"docker0", "eth0", "eth1", "odd"}; !reflect.DeepEqual(want, have) {
		t.Fatalf("interfaces: want %v, have %v", want, have)
	}
	if want := (spec.Interface{Name: "eth1", MTU: 9000, Addrs: []netip.Prefix{prefix("10.98.0.1/24")}}); !reflect.DeepEqual(want, f.Interfaces[2]) {
		t.Fatalf("want %v, have %v", want, f.Interfaces[2])
	}
	if f.Default4 != "eth1" || f.Metric4 != 10 || f.Default6 != "eth0" || f.Metric6 != 1024 || f.Hostname == "" || f.Kernel == "" || f.Arch == "" {
		t.Fatalf("facts: %+v", f)
	}
	prefixes := map[netip.Prefix]bool{}
	for _, p := range f.Prefixes {
		prefixes[p] = true
	}
	for p, want := range map[string]bool{"10.99.0.0/24": true, "172.17.0.0/16": true, "10.7.0.0/16": true, "10.6.0.0/24": true, "10.5.0.0/24": false, "fd99::/64": true, "10.0.4.0/24": false, "10.50.0.0/24": false, "0.0.0.0/0": false, "::/0": false} {
		if prefixes[prefix(p)] != want {
			t.Errorf("%s among the foreign prefixes: want %v, have %v", p, want, f.Prefixes)
		}
	}
}
