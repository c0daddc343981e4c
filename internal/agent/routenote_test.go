//go:build linux

package agent

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/agent/claim"
	"github.com/flocknet/flock/internal/spec"
)

func plain(dst ...string) *spec.Host {
	h := &spec.Host{Cluster: "t"}
	for _, d := range dst {
		h.Routes = append(h.Routes, spec.Route{Dst: prefix(d), Via: addr("10.99.0.2"), Dev: "eth0", Proto: spec.RouteProto})
	}
	return h
}

// Routes on a device that is nobody's of flock are found again by what was noted, also
// by a process that knows nothing of the one that made them.
func TestPlainRoutesGoWhenNobodyWantsThem(t *testing.T) {
	ownNet(t)
	dir := t.TempDir()
	sh(t, "ip route add 10.7.0.0/24 via 10.99.0.2 proto 70") // somebody else's, by our number
	before := listings(t)
	apply(t, open(t, "t", dir), plain("10.50.1.0/24", "10.50.2.0/24"))
	other := plain("10.51.1.0/24")
	other.Cluster = "u"
	apply(t, open(t, "u", dir), other)

	converge(t, open(t, "t", dir), plain("10.50.2.0/24", "10.50.3.0/24"), `
		- route 10.50.1.0/24
		+ route 10.50.3.0/24: via 10.99.0.2 dev eth0 proto 70`)
	k := open(t, "t", dir)
	report := apply(t, k, &spec.Host{Cluster: "t"})
	if report.Left != 0 {
		t.Errorf("%d objects left", report.Left)
	}
	if have := sh(t, "ip route show proto 70"); !strings.Contains(have, "10.51.1.0/24") || strings.Contains(have, "10.50") {
		t.Fatalf("have %s", have)
	}
	apply(t, open(t, "u", dir), &spec.Host{Cluster: "u"})
	if after := listings(t); after != before {
		t.Fatalf("want\n%s\nhave\n%s", before, after)
	}
}

// Noted routes are ours: no conflict with our own claim, a foreign one's is.
func TestPlainRoutesAndClaims(t *testing.T) {
	ownNet(t)
	k := open(t, "t", t.TempDir())
	h := plain("10.50.1.0/24")
	h.Claims = []spec.Claim{{Network: "n1", Prefix: prefix("10.50.0.0/16"), Except: []netip.Prefix{prefix("10.50.9.0/24")}}}
	problems := func() string {
		t.Helper()
		p, err := k.Plan(t.Context(), h)
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, p := range p.Problems {
			out = append(out, p.What)
		}
		return strings.Join(out, "; ")
	}
	apply(t, k, h)
	sh(t, "ip link add cni0 type bridge; ip addr add 10.50.9.1/24 dev cni0; ip link set cni0 up")
	if have := problems(); have != "" {
		t.Fatal(have)
	}
	sh(t, "ip addr add 10.50.8.1/24 dev cni0")
	if have, want := problems(), "10.50.0.0/16 overlaps the address 10.50.8.1/24 dev cni0"; have != want {
		t.Fatalf("want %q, have %q", want, have)
	}
	sh(t, "ip addr del 10.50.8.1/24 dev cni0; ip route add 10.50.4.0/24 via 10.99.0.3")
	if have, want := problems(), "10.50.0.0/16 overlaps the route 10.50.4.0/24 dev eth0"; have != want {
		t.Fatalf("want %q, have %q", want, have)
	}
}

func TestFactsTellWhatNeedsAGateway(t *testing.T) {
	ownNet(t)
	sh(t, `ip route add 10.99.0.7/32 via 10.99.0.2; ip route add 10.97.0.0/24 via 10.99.0.2 proto bgp; ip route add 10.99.0.64/26 via 10.99.0.2 proto bgp
		ip route add 10.96.0.5/32 dev eth0; ip route add 10.95.0.0/24 via 10.99.0.2 metric 50; ip route add 10.95.0.0/24 dev eth0 metric 10
		ip route add unreachable 10.94.0.0/24; ip route add default via 10.99.0.254`)
	k := open(t, "t", t.TempDir())
	apply(t, k, plain("10.50.1.0/24"))
	f, err := claim.Facts(t.Context(), k.Host, nil)
	if err != nil {
		t.Fatal(err)
	}
	var routed, direct []string
	for _, p := range f.Routed {
		routed = append(routed, p.String())
	}
	at := slices.IndexFunc(f.Interfaces, func(i spec.Interface) bool { return i.Name == "eth0" })
	for _, p := range f.Interfaces[at].Direct {
		direct = append(direct, p.String())
	}
	if have, want := strings.Join(routed, " "), "10.94.0.0/24 10.99.0.7/32 10.99.0.64/26"; have != want {
		t.Errorf("by a gateway: want %s, have %s", want, have)
	}
	if have, want := strings.Join(direct, " "), "10.95.0.0/24 10.96.0.5/32"; have != want {
		t.Errorf("without: want %s, have %s", want, have)
	}
}
