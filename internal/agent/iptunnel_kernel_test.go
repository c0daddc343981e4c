//go:build linux

package agent

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/lab"
	"github.com/flocknet/flock/internal/spec"
)

func TestEveryFieldOfIPTunnelsIsSeenAndSet(t *testing.T) {
	lab.NeedLink(t, spec.GRE, spec.IP6GRE, spec.IPIP)
	others := map[string][2]any{ // over IPv4, over IPv6
		"Local": {addr("10.99.0.5"), addr("fd99::5")}, "Remote": {addr("10.99.0.6"), addr("fd99::6")},
		"Dev": {"eth0", "eth0"}, "TTL": {uint8(9), uint8(9)}, "Key": {uint32(8), uint32(8)},
	}
	none := map[string]string{"VNI": "VXLAN's", "Port": "VXLAN's", "Group": "VXLAN's", "GBP": "VXLAN's", "Static": "VXLAN's", "Extra": "never wanted"}
	of := reflect.TypeFor[spec.Tunnel]()
	for i, l := range ipTunnels().Links {
		for j := range of.NumField() {
			field := of.Field(j).Name
			if none[field] != "" || field == "Key" && l.Kind == spec.IPIP {
				continue
			}
			values, ok := others[field]
			if !ok {
				t.Fatalf("field %s: no second value: is it seen at all?", field)
			}
			value := values[0]
			if l.Kind == spec.IP6GRE {
				value = values[1]
			}
			t.Run(l.Name+"."+field, func(t *testing.T) {
				ownNet(t)
				k := open(t, "t", t.TempDir())
				apply(t, k, ipTunnels())
				changed := ipTunnels()
				reflect.ValueOf(changed.Links[i].Tunnel).Elem().Field(j).Set(reflect.ValueOf(value))
				// The kernel changes what it can on the living device: all that stands on it stays.
				alive := field != "Dev" && (field != "Remote" || l.Tunnel.Remote.IsValid())
				have := plan(t, k, changed)
				if !strings.HasPrefix(have, "~ link "+l.Name+": ") || strings.Contains(have, "(made anew)") == alive || alive && strings.Count(have, "\n") > 1 {
					t.Fatalf("%s = %v: plan %q", field, value, have)
				}
				was := k.Devices.ByName[l.Name].Attrs().Index
				apply(t, k, changed)
				if now := k.Devices.ByName[l.Name].Attrs().Index; (now == was) != alive {
					t.Fatalf("%s = %v: index %d, then %d", field, value, was, now)
				}
				if plan(t, k, ipTunnels()) == "" {
					t.Fatalf("%s = %v was not set", field, value)
				}
				apply(t, k, ipTunnels())
			})
		}
	}
}

func TestIPTunnelDriftIsRepaired(t *testing.T) {
	lab.NeedLink(t, spec.GRE, spec.IP6GRE, spec.IPIP)
	for _, c := range []struct{ drift, step string }{
		{"ip link set gre-a type gre local 10.99.0.1 remote 10.99.0.2 key 7 ttl 9", "~ link gre-a: ttl 9 -> 64"},
		{"ip link set gre-a type gre local 10.99.0.1 remote 10.99.0.2 key 8 ttl 64", "~ link gre-a: key 8 -> 7"},
		{"ip link set gre-a type gre local 10.99.0.1 remote 10.99.0.3 key 7 ttl 64", "~ link gre-a: remote 10.99.0.3 -> 10.99.0.2"},
		{"ip link set gre-a type gre local 10.99.0.1 remote 10.99.0.2 ikey 7 okey 8 ttl 64", "~ link gre-a: key 0 -> 7, extra ikey 7 okey 8 -> none (made anew)"},
		{"ip link set gre-a type gre local 10.99.0.1 remote 10.99.0.2 key 7 ttl 64 csum", "~ link gre-a: mtu 1468 -> 1472, extra iflags 0xa000 oflags 0xa000 -> none (made anew)"},
		{"ip link set gre-a type gre local 10.99.0.1 remote 10.99.0.2 key 7 ttl 64 tos 0x10", "~ link gre-a: extra tos 0x10 -> none (made anew)"},
		{"ip link set ipip-a type ipip local 10.99.0.1 remote 10.99.0.2 nopmtudisc ttl inherit", "~ link ipip-a: ttl 0 -> 64, extra nopmtudisc -> none (made anew)"},
		{"ip link set gre-six type ip6gre local fd99::1 remote fd99::3 key 4294967295 ttl 64 encaplimit none", "~ link gre-six: remote fd99::3 -> fd99::2"},
		{"ip link set gre-six mtu 1300", "~ link gre-six: mtu 1300 -> 1452"},
		{"ip link del ipip-many", "+ link ipip-many: ipip mtu 1480 local 10.99.0.1 network n\n+ addr 10.0.6.13/30 dev ipip-many\n+ route 10.60.3.0/24: via 10.99.0.2 dev ipip-many src 10.0.6.13 onlink proto 70"},
		{"ip link set gre-a down", "~ link gre-a: state down -> up\n+ route 10.60.0.0/24: dev gre-a src 10.0.6.1 proto 70"},
		{"ip addr del 10.0.6.9/30 dev ipip-a", "+ addr 10.0.6.9/30 dev ipip-a\n+ route 10.60.2.0/24: dev ipip-a src 10.0.6.9 proto 70"},
	} {
		t.Run(c.drift, func(t *testing.T) {
			ownNet(t)
			k := open(t, "t", t.TempDir())
			apply(t, k, ipTunnels())
			before := ipView(t)
			sh(t, c.drift)
			have := plan(t, k, ipTunnels())
			if !strings.HasPrefix(have, c.step+"\n") {
				t.Fatalf("plan: want %s\nhave %s", c.step, have)
			}
			apply(t, k, ipTunnels())
			if after := ipView(t); after != before {
				t.Fatalf("want\n%s\nhave\n%s", before, after)
			}
		})
	}
}

// ipView is the tunnels as ip-link(8) has them, without their indices.
func ipView(t *testing.T) string {
	t.Helper()
	return sh(t, `ip -d link | grep -E '^ +(gre|ip6gre|ipip) ' | sort; ip route show proto 70 | sort; ip -br -4 addr | sort`)
}

// TestOverheadsOfIPTunnels holds the numbers that MTUs are computed with: the
// kernel's own, where it is left to choose.
func TestOverheadsOfIPTunnels(t *testing.T) {
	lab.NeedLink(t, spec.GRE, spec.IP6GRE, spec.IPIP)
	four := spec.Tunnel{Local: addr("10.99.0.1"), Remote: addr("10.99.0.2"), TTL: 64}
	six := spec.Tunnel{Local: addr("fd99::1"), Remote: addr("fd99::2"), TTL: 64}
	for _, c := range []struct {
		kind   string
		key    uint32
		tunnel spec.Tunnel
		over   int
	}{{spec.GRE, 0, four, 24}, {spec.GRE, 1, four, 28}, {spec.IPIP, 0, four, 20}, {spec.IP6GRE, 0, six, 44}, {spec.IP6GRE, 1, six, 48}} {
		t.Run(fmt.Sprint(c.kind, " key ", c.key), func(t *testing.T) {
			ownNet(t)
			c.tunnel.Key = c.key
			k := open(t, "t", t.TempDir())
			apply(t, k, &spec.Host{Cluster: "t", Links: []spec.Link{{Name: "x", Network: "n", Kind: c.kind, Tunnel: &c.tunnel}}})
			if have := k.Devices.ByName["x"].Attrs().MTU; have != 1500-c.over {
				t.Fatalf("MTU %d, want %d", have, 1500-c.over)
			}
		})
	}
}

func TestForeignIPTunnelIsAConflict(t *testing.T) {
	lab.NeedLink(t, spec.GRE, spec.IPIP)
	for _, c := range []struct{ name, make, what, next string }{
		{"same name", "ip link add gre-a type bridge", "link gre-a of network n: there is one already (bridge), flock did not make it", "flock setnetwork n --rename NAME, or remove it: ip link delete gre-a"},
		{"same key", "ip link add far type gre local 10.99.0.1 remote 10.99.0.2 key 7", "link gre-a of network n: the link far has the same ends, local 10.99.0.1 remote 10.99.0.2 key 7", "flock setnetwork n --key N, or remove it: ip link delete far"},
		{"same ends", "ip link add far type ipip local 10.99.0.1 remote 10.99.0.2", "link ipip-a of network n: the link far has the same ends, local 10.99.0.1 remote 10.99.0.2", "flock setnetwork n -l LOCALIP -r REMOTEIP, or remove it: ip link delete far"},
		{"another key", "ip link add far type gre local 10.99.0.1 remote 10.99.0.2 key 8", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			ownNet(t)
			sh(t, c.make)
			k := open(t, "t", t.TempDir())
			p, err := k.Plan(t.Context(), ipTunnels())
			if err != nil {
				t.Fatal(err)
			}
			if c.what == "" {
				if len(p.Problems) > 0 {
					t.Fatal(p.Problems)
				}
				apply(t, k, ipTunnels())
				return
			}
			if want := (spec.Problem{What: c.what, Next: c.next}); len(p.Problems) != 1 || p.Problems[0] != want {
				t.Fatalf("want %q, have %q", want, p.Problems)
			}
		})
	}
}

// TestFallbackDevicesOfIPTunnelsStay: the modules' own devices are there before and after, and
// nothing is left beside them.
func TestFallbackDevicesOfIPTunnelsStay(t *testing.T) {
	lab.NeedLink(t, spec.GRE, spec.IP6GRE, spec.IPIP)
	ownNet(t)
	sh(t, "ip link set tunl0 up; ip addr add 10.77.0.1/32 dev tunl0") // somebody uses one
	steady(t)
	before := listings(t)
	k := open(t, "t", t.TempDir())
	apply(t, k, ipTunnels())
	if report := apply(t, k, &spec.Host{Cluster: "t"}); report.Left != 0 {
		t.Fatalf("left: %d", report.Left)
	}
	if after := listings(t); after != before {
		t.Fatalf("want\n%s\nhave\n%s", before, after)
	}
}
