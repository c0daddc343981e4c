package trace

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/trace/kernel"
)

// TestOthersTunnels: a tunnel that somebody else made is followed to its other end, and stops where
// that is not.
func TestOthersTunnels(t *testing.T) {
	t.Parallel()
	at := netip.MustParseAddr
	net := netip.MustParsePrefix("10.50.0.0/24")
	for _, test := range []struct {
		name      string
		one, two  link
		want      string
		arrives   bool
		otherGone bool
	}{
		{"gre", link{Kind: spec.GRE}, link{Kind: spec.GRE}, "s1 device tun9; s1 route; s1 device eth0; s3 address 10.50.0.3; arrives", true, false},
		{"ipip", link{Kind: spec.IPIP}, link{Kind: spec.IPIP}, "s1 device tun9; s1 route; s1 device eth0; s3 address 10.50.0.3; arrives", true, false},
		{"vxlan", link{Kind: spec.VXLAN, VNI: 7, Port: 4799}, link{Kind: spec.VXLAN, VNI: 7, Port: 4799}, "s1 device tun9; s1 route; s1 device eth0; s3 address 10.50.0.3; arrives", true, false},
		{"another VNI", link{Kind: spec.VXLAN, VNI: 7, Port: 4799}, link{Kind: spec.VXLAN, VNI: 8, Port: 4799}, "s3 tunnel STOPS no device takes in", false, false},
		{"gone", link{Kind: spec.GRE}, link{}, "s3 tunnel STOPS no device takes in what the tunnel carries: its other end is not there, or leads elsewhere NEXT on s3: ip -d link show", false, true},
	} {
		w := newWorld(t, vx)
		w.spoil = func(server string, f *facts) {
			l := test.one
			l.Name, l.Local, l.Remote, l.Addrs = "tun9", at("10.99.0.1"), at("10.99.0.3"), []netip.Prefix{netip.PrefixFrom(at("10.50.0.1"), 24)}
			switch {
			case server == "s3" && test.otherGone:
				return
			case server == "s3":
				l = test.two
				l.Name, l.Local, l.Remote, l.Addrs = "tun9", at("10.99.0.3"), at("10.99.0.1"), []netip.Prefix{netip.PrefixFrom(at("10.50.0.3"), 24)}
			case server != "s1":
				return
			}
			if l.Kind == spec.VXLAN {
				l.Group, l.Remote = l.Remote, netip.Addr{}
			}
			f.plug(&l)
		}
		w.c.Servers["s3"].Subnet = net // so that it is somebody's
		for _, s := range []string{"s1", "s3"} {
			i := w.c.Servers[s].Facts
			i.Interfaces = append(i.Interfaces, i.Interfaces[0])
			i.Interfaces[1].Name, i.Interfaces[1].Addrs = "tun9", []netip.Prefix{netip.PrefixFrom(at("10.50.0."+s[1:]), 24)}
		}
		spoil := w.spoil
		w.spoil = func(server string, f *facts) { // the facts of the file have the device already, as hardware
			f.Links = f.Links[:0]
			f.add("eth0", "10.99.0."+server[1:]+"/24")
			spoil(server, f)
		}
		w.compiled.Hosts["s1"], w.compiled.Hosts["s3"] = &spec.Host{Server: "s1"}, &spec.Host{Server: "s3"}
		tr, err := New(w.c, w.compiled, network.Joining, "s1:10.50.0.1", "10.50.0.3", "", "")
		if err != nil {
			t.Fatal(err)
		}
		_ = tr
		_, way := w.walk(t, "s1:10.50.0.1", "10.50.0.3", "")
		if have := told(way); !strings.Contains(have, test.want) || way.Arrives != test.arrives {
			t.Errorf("%s: want %s, have %s", test.name, test.want, have)
		}
	}
}

// TestWhoTakesIn: of several IP in IP devices the kernel asks the one first that has the most ends, be it a
// network's, which has none but its own, or somebody else's, and none that is down.
func TestWhoTakesIn(t *testing.T) {
	t.Parallel()
	at := netip.MustParseAddr
	here, there, nobody := at("10.99.0.3"), at("10.99.0.1"), netip.Addr{}
	for _, test := range []struct {
		name         string
		from         string // the device that s1 sends by: its own of the pool, or somebody else's
		local        netip.Addr
		other        *link // of s3, beside the pool's device
		want, guilty string
	}{
		{"the pool's takes in what somebody else's brings", "tun9", there, nil, "s3 coming in by n-ip", ""},
		{"from any address", "tun9", nobody, nil, "s3 coming in by n-ip", ""},
		{"somebody else's is for one alone", "tun9", there, &link{Name: "tun9", Local: here, Remote: there}, "s3 coming in by tun9", ""},
		{"with its own end not given", "tun9", there, &link{Name: "tun9", Remote: there}, "s3 coming in by tun9", ""},
		{"it is for another", "tun9", there, &link{Name: "tun9", Local: here, Remote: at("10.99.0.2")}, "s3 coming in by n-ip", ""},
		{"it has no end", "tun9", there, &link{Name: "tunl0"}, "s3 coming in by n-ip", ""},
		{"the pool's own", "n-ip", there, &link{Name: "tunl0"}, "s3 coming in by n-ip", ""},
		{"somebody else's takes in what the pool sends", "n-ip", there, &link{Name: "tun9", Local: here, Remote: there}, "s3 coming in by tun9", ""},
		{"no device", "tun9", there, &link{Name: "n-ip"}, "", "s3 tunnel: no device takes in what the tunnel carries"},
		{"a device that is down", "tun9", there, &link{Name: "n-ip", Kind: "down"}, "", "s3 device n-ip: it is down"},
	} {
		w := newWorld(t, pool("ipip"))
		w.spoil = func(server string, f *facts) {
			switch {
			case server == "s1" && test.from == "tun9":
				f.plug(&link{Name: "tun9", Kind: spec.IPIP, Local: test.local, Remote: here})
			case server != "s3" || test.other == nil:
			case test.other.Name != "n-ip":
				l := *test.other
				l.Kind = spec.IPIP
				f.plug(&l)
			case test.other.Kind == "down":
				f.link("n-ip").Up = false
			default:
				f.link("n-ip").Kind = "dummy"
			}
		}
		if test.from == "tun9" { // by a route that flock did not make
			w.compiled.Hosts["s1"].Routes = nil
			w.routes = map[string][]spec.Route{"s1": {{Dst: netip.MustParsePrefix("10.244.2.0/24"), Dev: "tun9"}}}
		}
		_, way := w.walk(t, "s1", "10.244.2.1", "")
		if g := way.Guilty(); test.guilty != "" {
			if g == nil || !strings.HasPrefix(g.Where+" "+g.Object+": "+g.Says, test.guilty) {
				t.Errorf("%s: want %s, have %s", test.name, test.guilty, told(way))
			}
			continue
		}
		last := way.passes[len(way.passes)-1]
		if have := last.server + " coming in by " + last.dev; have != test.want || !way.Arrives {
			t.Errorf("%s: want %s, have %s, %s", test.name, test.want, have, told(way))
		}
	}
}

// TestRulesOfDevices: chains of one device stop what passes that one, in their direction.
func TestRulesOfDevices(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		server, dev string
		hook        int
		want        string
	}{
		{"s3", "eth0", kernel.Ingress, "s3 chain netdev t c STOPS it drops UDP 4789 from 10.99.0.1 to 10.99.0.3 by its policy NEXT on s3: nft list chain netdev t c"},
		{"s1", "eth0", kernel.Egress, "s1 chain netdev t c STOPS it drops UDP 4789"},
		{"s3", "vxl0-vx", kernel.Ingress, "s3 chain netdev t c STOPS it drops ICMP"},
		{"s3", "eth0", kernel.Egress, ""},
		{"s3", "eth7", kernel.Ingress, ""},
	} {
		w := newWorld(t, vx)
		w.spoil = func(server string, f *facts) {
			if server == test.server {
				f.Rules.Chains = []*kernel.Chain{{Family: 5, Table: "t", Name: "c", Type: "filter", Hook: test.hook, Devices: []string{test.dev}, Drop: true}}
			}
		}
		_, way := w.walk(t, "s1", "s3", "")
		if have := told(way); way.Arrives != (test.want == "") || !strings.Contains(have, test.want) {
			t.Errorf("%s of %s: want %q, have %s", test.dev, test.server, test.want, have)
		}
	}
}

// TestByNetwork: where two servers share several networks the one that is named counts, and one that
// is not between them is refused.
func TestByNetwork(t *testing.T) {
	t.Parallel()
	w := newWorld(t, vx+strings.NewReplacer("network.n", "network.m", "lead = \"s2\"\n", "lead = \"s2\"\n").Replace(wg)+"[network.o]\ntype = \"vxlan\"\nmembers = [\"s1\"]\n")
	for _, test := range []struct{ to, by, network, refuses string }{
		{"s3", "", "m", ""},
		{"s3", "n", "n", ""},
		{"s3", "m", "m", ""},
		{"s3", "o", "", "o is not between s1 and s3"},
		{"s3", "x", "", "unknown network x"},
		{"10.0.4.252", "m", "", "the addresses decide: 10.0.4.252 is not of m"},
		{"10.0.4.252", "n", "n", ""},
	} {
		tr, err := New(w.c, w.compiled, network.Joining, "s1", test.to, "", test.by)
		switch {
		case test.refuses != "":
			if err == nil || !strings.Contains(err.Error(), test.refuses) || nextOf(err) == "" {
				t.Errorf("by %s: want %q, have %v", test.by, test.refuses, err)
			}
		case err != nil || tr.Network != test.network:
			t.Errorf("%s by %q: want %s, have %+v, %v", test.to, test.by, test.network, tr, err)
		}
	}
}
