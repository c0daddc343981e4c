//go:build linux

package bgp

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/spec"
)

// alone is the speaker of a server that has no network with others.
func (g *segment) alone(name string, share string, neighbors ...spec.BGPNeighbor) *spec.BGP {
	return &spec.BGP{
		Network: "bnet", AS: 64512, RouterID: g.v4(name), Hold: 9,
		Prefixes: prefixes(share), Own: prefixes(share), Neighbors: neighbors,
	}
}

func TestReflectorsOfOthers(t *testing.T) {
	for kind, start := range map[string]func(g *segment){
		"frr": func(g *segment) {
			neighbors := ""
			activate := " address-family ipv4 unicast\n"
			for _, name := range []string{"s1", "s2"} {
				neighbors += fmt.Sprintf(" neighbor %s remote-as 64512\n", g.v4(name))
				activate += fmt.Sprintf("  neighbor %[1]s activate\n  neighbor %[1]s route-reflector-client\n", g.v4(name))
			}
			g.frr("rr", frrConfig(64512, g.v4("rr"), neighbors, activate+"  network 172.16.1.0/24\n exit-address-family\n"))
		},
		"bird": func(g *segment) {
			config := "protocol static { ipv4; route 172.16.1.0/24 blackhole; }\n"
			for _, name := range []string{"s1", "s2"} {
				config += fmt.Sprintf("protocol bgp %s { local %s as 64512; neighbor %s as 64512; rr client; hold time 9; connect delay time 1; "+
					"ipv4 { import all; export all; next hop self ebgp; }; }\n", name, g.v4("rr"), g.v4(name))
			}
			g.birdRouter("rr", config)
		},
	} {
		t.Run(kind, func(t *testing.T) {
			g := newSegment(t, "s1", "s2", "rr")
			start(g)
			rr := spec.BGPNeighbor{Addr: g.v4("rr"), AS: 64512, External: true}
			g.daemon("s1", g.alone("s1", "10.0.10.0/24", rr))
			g.daemon("s2", g.alone("s2", "10.0.11.0/24", rr))
			g.awaitKernel("s1", 20*time.Second, "10.0.11.0/24 via 10.99.0.2 dev eth0", "172.16.1.0/24 via 10.99.0.3 dev eth0")
			g.awaitKernel("s2", 20*time.Second, "10.0.10.0/24 via 10.99.0.1 dev eth0", "172.16.1.0/24 via 10.99.0.3 dev eth0")
			g.awaitRoute("rr", "10.0.10.0/24", "10.99.0.1", 5*time.Second)
			g.awaitRoute("rr", "10.0.11.0/24", "10.99.0.2", 5*time.Second)
		})
	}
}

func TestReflectorsOfOurs(t *testing.T) {
	for kind, start := range map[string]func(g *segment){
		"frr": func(g *segment) {
			g.frr("r", frrConfig(64512, g.v4("r"), fmt.Sprintf("neighbor %s remote-as 64512", g.v4("s1")),
				fmt.Sprintf(frrFamilies, g.v4("s1"), "172.16.1.0/24")))
		},
		"bird": func(g *segment) {
			g.birdRouter("r", fmt.Sprintf("protocol static { ipv4; route 172.16.1.0/24 blackhole; }\n"+
				"protocol bgp up { local %s as 64512; neighbor %s as 64512; hold time 9; connect delay time 1; "+
				"ipv4 { import all; export where source = RTS_STATIC; }; }\n", g.v4("r"), g.v4("s1")))
		},
	} {
		t.Run(kind, func(t *testing.T) {
			g := newSegment(t, "s1", "s2", "r")
			start(g)
			s1 := g.alone("s1", "10.0.10.0/24",
				spec.BGPNeighbor{Addr: g.v4("s2"), Local: g.v4("s1"), Name: "s2", AS: 64512, Client: true, NextHopSelf: true},
				spec.BGPNeighbor{Addr: g.v4("r"), AS: 64512, External: true, Client: true})
			s1.ClusterID = addr("10.255.0.1")
			s1.Own = prefixes("10.0.10.0/24", "10.0.11.0/24")
			g.daemon("s1", s1)
			d2 := g.daemon("s2", g.alone("s2", "10.0.11.0/24", spec.BGPNeighbor{Addr: g.v4("s1"), Local: g.v4("s2"), Name: "s1", AS: 64512}))
			g.awaitKernel("s1", 20*time.Second, "10.0.11.0/24 via 10.99.0.2 dev eth0", "172.16.1.0/24 via 10.99.0.3 dev eth0")
			g.awaitKernel("s2", 20*time.Second, "10.0.10.0/24 via 10.99.0.1 dev eth0", "172.16.1.0/24 via 10.99.0.3 dev eth0")
			g.awaitRoute("r", "10.0.10.0/24", "10.99.0.1", 5*time.Second)
			g.awaitRoute("r", "10.0.11.0/24", "10.99.0.2", 5*time.Second)
			if n := d2.neighbor(g.v4("s1")); n.Received != 2 {
				t.Errorf("s2 hears %+v", n)
			}
		})
	}
}

func TestIPv6(t *testing.T) {
	for kind, start := range map[string]func(g *segment){
		"frr": func(g *segment) {
			g.frr("tor", frrConfig(65001, g.v4("tor"), "neighbor fd00:99::1 remote-as 64512", ""+
				" address-family ipv6 unicast\n  neighbor fd00:99::1 activate\n  network fd00:172::/64\n exit-address-family\n"))
		},
		"bird": func(g *segment) {
			g.birdRouter("tor", "protocol static { ipv6; route fd00:172::/64 blackhole; }\n"+
				"protocol bgp s1 { local fd00:99::3 as 65001; neighbor fd00:99::1 as 64512; hold time 9; connect delay time 1; "+
				"ipv6 { import all; export where source = RTS_STATIC; }; }\n")
		},
	} {
		t.Run(kind, func(t *testing.T) {
			g := newSegment(t, "s1", "s2", "tor")
			start(g)
			own := prefixes("10.0.10.0/24", "10.0.11.0/24", "fd00:10::/64", "fd00:11::/64")
			speaker := func(name, other string, share ...string) *spec.BGP {
				return &spec.BGP{
					Network: "bnet", AS: 64512, RouterID: g.v4(name), Hold: 9, Prefixes: prefixes(share...), Own: own,
					Neighbors: []spec.BGPNeighbor{{Addr: addr(other), Name: "other", AS: 64512, NextHopSelf: true}},
				}
			}
			s1 := external(speaker("s1", "fd00:99::2", "10.0.10.0/24", "fd00:10::/64"), spec.BGPNeighbor{Addr: addr("fd00:99::3"), AS: 65001})
			d1 := g.daemon("s1", s1)
			g.daemon("s2", speaker("s2", "fd00:99::1", "10.0.11.0/24", "fd00:11::/64"))
			g.awaitKernel("s1", 20*time.Second,
				"10.0.11.0/24 via inet6 fd00:99::2 dev eth0", "fd00:11::/64 via fd00:99::2 dev eth0", "fd00:172::/64 via fd00:99::3 dev eth0")
			g.awaitKernel("s2", 20*time.Second,
				"10.0.10.0/24 via inet6 fd00:99::1 dev eth0", "fd00:10::/64 via fd00:99::1 dev eth0", "fd00:172::/64 via fd00:99::1 dev eth0")
			g.eventually(5*time.Second, func() error {
				if text := g.sh("tor", "ip -6 route show fd00:11::/64"); !strings.Contains(text, "via fd00:99::1 ") && !strings.Contains(text, "via fe80:") {
					return fmt.Errorf("tor has %q", text)
				}
				return nil
			})
			g.sh("s1", "ip -6 route delete fd00:11::/64 proto 71")
			g.awaitKernel("s1", time.Second,
				"10.0.11.0/24 via inet6 fd00:99::2 dev eth0", "fd00:11::/64 via fd00:99::2 dev eth0", "fd00:172::/64 via fd00:99::3 dev eth0")
			if _, err := d1.ask(spec.BGPEnd, false); err != nil {
				t.Fatal(err)
			}
			g.awaitKernel("s1", 0)
		})
	}
}

func TestTTLSecurityAndMultihop(t *testing.T) {
	secure := map[string]string{
		"frr":  "neighbor %s ttl-security hops 1",
		"bird": "ttl security on; multihop 1;",
	}
	distant := map[string]string{"frr": "neighbor %s ebgp-multihop 2", "bird": "multihop 2;"}
	start := func(g *segment, kind, name string, local netip.Addr, option string) {
		if kind == "frr" {
			neighbor := fmt.Sprintf("neighbor %s remote-as 64512\n "+option, g.v4("s1"), g.v4("s1"))
			g.frr(name, frrConfig(65001, local, neighbor, fmt.Sprintf(frrFamilies, g.v4("s1"), "172.16.1.0/24")))
			return
		}
		g.birdRouter(name, fmt.Sprintf("protocol static { ipv4; route 172.16.1.0/24 blackhole; }\n"+
			"protocol bgp s1 { local %s as 65001; neighbor %s as 64512; %s hold time 9; connect delay time 1; error wait time 1,2; "+
			"ipv4 { import all; export where source = RTS_STATIC; }; }\n", local, g.v4("s1"), option))
	}
	for _, kind := range []string{"frr", "bird"} {
		t.Run("ttl-security/"+kind, func(t *testing.T) {
			g := newSegment(t, "s1", "tor")
			start(g, kind, "tor", g.v4("tor"), secure[kind])
			g.daemon("s1", g.alone("s1", "10.0.10.0/24", spec.BGPNeighbor{Addr: g.v4("tor"), AS: 65001, External: true, TTLSecurity: true}))
			g.awaitKernel("s1", 20*time.Second, "172.16.1.0/24 via 10.99.0.2 dev eth0")
			g.awaitRoute("tor", "10.0.10.0/24", "10.99.0.1", 5*time.Second)
		})
		t.Run("multihop/"+kind, func(t *testing.T) {
			g := newSegment(t, "s1", "gw")
			g.names["far"] = 9
			g.netns("far")
			g.sh("gw", "ip link add eth1 type veth peer name eth0 netns "+g.prefix+"far; ip link set eth1 up; ip address add 10.98.0.1/24 dev eth1")
			g.sh("far", "ip link set eth0 up; ip address add 10.98.0.9/24 dev eth0; ip route add default via 10.98.0.1")
			g.sh("s1", "ip route add default via 10.99.0.2")
			start(g, kind, "far", addr("10.98.0.9"), distant[kind])
			d := g.daemon("s1", g.alone("s1", "10.0.10.0/24", spec.BGPNeighbor{Addr: addr("10.98.0.9"), AS: 65001, External: true, Multihop: 2}))
			g.awaitKernel("s1", 20*time.Second, "172.16.1.0/24 via 10.99.0.2 dev eth0")
			g.sh("s1", "ip route delete default")
			g.awaitKernel("s1", time.Second)
			for _, r := range d.status().Routes {
				if r.Prefix == prefix("172.16.1.0/24") && (r.Kernel || !strings.Contains(r.Why, "next hop 10.98.0.9 is on no network")) {
					t.Errorf("%+v", r)
				}
			}
			g.sh("s1", "ip route add 10.98.0.0/24 via 10.99.0.2")
			g.awaitKernel("s1", time.Second, "172.16.1.0/24 via 10.99.0.2 dev eth0")
		})
	}
}

// TestNeighborExpectsAnotherAS: the mistake is on the other side, and said here.
func TestNeighborExpectsAnotherAS(t *testing.T) {
	for kind, start := range map[string]func(g *segment){
		"frr": func(g *segment) {
			g.frr("tor", frrConfig(65001, g.v4("tor"), fmt.Sprintf("neighbor %s remote-as 64599", g.v4("s1")),
				fmt.Sprintf(frrFamilies, g.v4("s1"), "172.16.1.0/24")))
		},
		"bird": func(g *segment) {
			g.birdRouter("tor", fmt.Sprintf("protocol bgp s1 { local %s as 65001; neighbor %s as 64599; connect delay time 1; "+
				"error wait time 1,2; ipv4 { import all; export none; }; }\n", g.v4("tor"), g.v4("s1")))
		},
	} {
		t.Run(kind, func(t *testing.T) {
			g := newSegment(t, "s1", "tor")
			start(g)
			d := g.daemon("s1", g.alone("s1", "10.0.10.0/24", spec.BGPNeighbor{Addr: g.v4("tor"), AS: 65001, External: true}))
			g.eventually(20*time.Second, func() error {
				if n := d.neighbor(g.v4("tor")); n.State == spec.BGPEstablished || !strings.Contains(n.Why, "expects another AS") {
					return fmt.Errorf("%+v", n)
				}
				return nil
			})
		})
	}
}
