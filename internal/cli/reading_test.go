package cli

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/view"
)

// TestABrokenFileIsStillRead: listings show what a hand left whole, say what it broke
// and where, and history tells the way back. What changes refuses.
func TestABrokenFileIsStillRead(t *testing.T) {
	for name, test := range map[string]struct{ hand, what, where string }{
		"an unknown member":    {"[network.bad]\ntype = \"vxlan\"\nmembers = [\"s1\", \"s9\"]\n", "unknown server s9", "network bad, members"},
		"an unknown server":    {"[network.bad]\ntype = \"l2\"\ndhcp-server = \"s9\"\n", "unknown server s9", "network bad, dhcp-server"},
		"no lead":              {"[network.bad]\ntype = \"wireguard\"\nlead = \"s3\"\nmembers = [\"s1\"]\n", "the lead s3 is not a member", "network bad, lead"},
		"no reflector":         {"[network.bad]\ntype = \"bgp\"\nreflectors = [\"s3\"]\nmembers = [\"s1\"]\n", "the reflector s3 is not a member", "network bad, reflectors"},
		"a tunnel to nowhere":  {"[network.bad]\ntype = \"gre\"\nmembers = [\"s1\"]\n", "a tunnel has two ends", "network bad"},
		"a stranger's share":   {"[network.bad]\ntype = \"wireguard\"\nmembers = [\"s1\"]\nshares = [\"s3:10.0.9.0/24\"]\n", "s3 is not a member", "network bad, shares"},
		"an unknown type":      {"[network.bad]\ntype = \"vlan\"\nmembers = [\"s9\"]\n", "unknown type", "network bad"},
		"a subnet in use":      {"[network.bad]\ntype = \"vxlan\"\nsubnet = [\"10.0.4.0/24\"]\nmembers = [\"s2\"]\n", "overlaps", "network vx1"},
		"a server with a word": {"[server.client]\naddress = \"10.99.0.9\"\n[network.bad]\ntype = \"vxlan\"\nmembers = [\"client\"]\n", "the name is reserved", "server client"},
		"a server's subnet":    {"[server.s8]\naddress = \"10.99.0.8\"\nsubnet = \"224.0.0.0/24\"\n[network.bad]\ntype = \"vlan\"\n", "cannot be given to hosts", "server s8, subnet"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, three+test.hand)
			for _, args := range [][]string{{"listnetworks"}, {"listservers"}, {"listnetworks", "bad"}, {"listnetworks", "vx1"}} {
				if code := b.run(args...); code != command.ExitUsage {
					t.Errorf("%v: exit %d", args, code)
				}
				if args[0] == "listservers" && !strings.Contains(b.out.String(), "s3") || !strings.Contains(b.out.String(), args[len(args)-1][:2]) && len(args) > 1 {
					t.Errorf("%v shows\n%s", args, b.out.String())
				}
				if said := b.err.String(); !strings.Contains(said, test.what) || !strings.Contains(said, "where: "+test.where) {
					t.Errorf("%v says\n%s", args, said)
				}
			}
			b.run("listnetworks", "-o", "json")
			var doc view.NetworkList
			if err := json.Unmarshal(b.out.Bytes(), &doc); err != nil {
				t.Fatal(err)
			}
			views := doc.Networks
			bad := slices.IndexFunc(views, func(v *view.Network) bool { return v.Name == "bad" })
			vx1 := slices.IndexFunc(views, func(v *view.Network) bool { return v.Name == "vx1" })
			if bad < 0 || vx1 < 0 || name != "a subnet in use" && (views[bad].State != view.StateBroken || len(views[bad].Notes) == 0 || views[vx1].State == view.StateBroken) {
				t.Errorf("networks: %s", b.out.String())
			}
			if code := b.run("history"); code != command.ExitDone || !strings.Contains(b.err.String(), "note: the cluster file is broken") {
				t.Errorf("history: exit %d, %s", code, b.err.String())
			}
			if code := b.run("addnetwork", "vx1", "s3"); code != command.ExitUsage || b.engine.contacts != 0 {
				t.Errorf("a change: exit %d, %d contacts", code, b.engine.contacts)
			}
		})
	}
}

// One server on one screen: what it is in each of its networks, and what its containers get.
func TestListOneServer(t *testing.T) {
	b := newBench(t, standingThere)
	for _, args := range []string{"addnetwork vx1 s2:eth0", "setsubnet s2 10.0.12.0/24", "addnetwork wg1 client s2", "addnetwork wg1 subnet s2:10.0.12.0/24", "addnet s2:netns/c1 eth1:vxl0 --ip 10.0.4.200"} {
		if code := b.run(strings.Fields(args)...); code != command.ExitDone {
			t.Fatalf("%s: exit status %d\n%s", args, code, b.err.String())
		}
	}
	if code := b.run("listservers", "s2"); code != command.ExitDone {
		t.Fatalf("exit status %d\n%s", code, b.err.String())
	}
	for _, want := range []string{`s2: pending`, `10\.99\.0\.2, underlay eth0 10\.99\.0\.2, mtu 1500, own subnet 10\.0\.12\.1/24`, `eth0 +1500 +10\.99\.0\.2/24`, `vx1 +vxlan +eth0 +10\.99\.0\.2 +10\.0\.4\.253`, `wg1 +wireguard .* 10\.0\.8\.3 .*10\.0\.12\.0/24`, `netns/c1 +eth1 +vxl0 +10\.0\.4\.200`} {
		if !regexp.MustCompile(want).Match(b.out.Bytes()) {
			t.Errorf("no %s in\n%s", want, b.out.String())
		}
	}
	b.run("listnetworks", "vx1")
	if want := regexp.MustCompile(`s2 +netns/c1 +eth1 +10\.0\.4\.200`); !want.Match(b.out.Bytes()) {
		t.Errorf("the network's listing has not its container:\n%s", b.out.String())
	}
	b.run("listservers", "s2", "-o", "json")
	var v view.ServerDetail
	if err := json.Unmarshal(b.out.Bytes(), &v); err != nil || v.Name != "s2" || len(v.Memberships) != 3 || v.Memberships[1].Network != "vx1" || len(v.Containers) != 1 || len(v.Interfaces) != 1 {
		t.Errorf("%v: %+v", err, v)
	}
	if code := b.run("listservers", "s9"); code != command.ExitUsage || !strings.Contains(b.err.String(), "unknown server s9") {
		t.Errorf("exit status %d\n%s", code, b.err.String())
	}
}
