package edit

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/state"
)

// unreachableOf are the subnets that a server answers for when they are not there.
func unreachableOf(c *ground.Compiled, server string) string {
	var out []string
	for _, r := range c.Hosts[server].Routes {
		if r.Unreachable {
			out = append(out, r.Dst.String())
		}
	}
	return strings.Join(out, " ")
}

func notesOf(c *ground.Compiled) string {
	var out []string
	for _, n := range c.Notes {
		if n.Amiss {
			out = append(out, n.Network+": "+n.Text)
		}
	}
	return strings.Join(out, "\n")
}

// What is shared never leaves its server by the default route. Two servers, each with
// an interface in 10.99.0.0/24; s1 shares one subnet.
func TestSharesAreGuarded(t *testing.T) {
	for name, test := range map[string]struct {
		share        string
		facts        state.Facts
		subnet       string // setsubnet's, of s1
		guarded      bool
		absent, wait bool
	}{
		"nothing there":                     {share: "10.0.13.0/24", guarded: true, absent: true},
		"a bridge of Docker's":              {share: "172.18.0.0/16", facts: state.Facts{Prefixes: prefixes("172.18.0.0/16"), Local: prefixes("172.18.0.0/16")}, guarded: true},
		"seen by an older flock":            {share: "172.18.0.0/16", facts: state.Facts{Prefixes: prefixes("172.18.0.0/16")}, guarded: true},
		"a part of a bridge's network":      {share: "172.18.4.0/24", facts: state.Facts{Prefixes: prefixes("172.18.0.0/16"), Local: prefixes("172.18.0.0/16")}},
		"a part behind a gateway":           {share: "172.18.4.0/24", facts: state.Facts{Prefixes: prefixes("172.16.0.0/12"), Routed: prefixes("172.16.0.0/12")}, guarded: true, absent: true},
		"a route of its own":                {share: "172.18.4.0/24", facts: state.Facts{Prefixes: prefixes("172.18.4.0/24"), Routed: prefixes("172.18.4.0/24")}, guarded: true},
		"single containers":                 {share: "10.0.13.0/24", facts: state.Facts{Prefixes: prefixes("10.0.13.7/32")}, guarded: true},
		"an address on the loopback device": {share: "10.0.13.7/32", facts: state.Facts{Local: prefixes("10.0.13.7/32")}, guarded: true},
		"a bridge of ours":                  {share: "10.0.13.0/24", subnet: "10.0.13.1/24"},
		"a part of a bridge of ours":        {share: "10.0.13.128/25", subnet: "10.0.13.1/24"},
		"more than a bridge of ours":        {share: "10.0.12.0/22", facts: state.Facts{Prefixes: prefixes("10.0.14.0/24")}, guarded: true},
		"libvirt's, stopped":                {share: "192.168.122.0/24", facts: state.Facts{Awaited: prefixes("192.168.122.0/24")}, absent: true, wait: true},
		"libvirt's, running":                {share: "192.168.122.0/24", facts: state.Facts{Awaited: prefixes("192.168.122.0/24"), Local: prefixes("192.168.122.0/24")}},
		"more than libvirt's":               {share: "192.168.0.0/16", facts: state.Facts{Awaited: prefixes("192.168.122.0/24")}, guarded: true, absent: true},
	} {
		t.Run(name, func(t *testing.T) {
			c := bgpCluster(t, 2)
			c.Networks["bnet"].Shares = []string{"s1:" + test.share}
			f := c.Servers["s1"].Facts
			f.Prefixes, f.Routed, f.Local, f.Awaited = test.facts.Prefixes, test.facts.Routed, test.facts.Local, test.facts.Awaited
			if test.subnet != "" {
				c.Servers["s1"].Subnet = netip.MustParsePrefix(test.subnet)
			}
			out := compileOK(t, c)
			if have := unreachableOf(out, "s1"); (have == test.share) != test.guarded || have != "" && !test.guarded {
				t.Errorf("guarded: want %v, have %q", test.guarded, have)
			}
			if have := unreachableOf(out, "s2"); have != "" {
				t.Errorf("s2 guards %s", have)
			}
			want := ""
			if test.absent {
				want = "bnet: " + test.share + " is not on s1: traffic to it is dropped there"
			}
			if test.wait {
				want = "bnet: " + test.share + " is not on s1, where libvirt has a network of it that is not started: until then traffic to it leaves by the default route"
			}
			if have := notesOf(out); have != want {
				t.Errorf("note: want %q, have %q", want, have)
			}
		})
	}
}

// A subnet shared in two networks is one route, and many that are not there are one
// note.
func TestAbsentSharesAreSaidOnce(t *testing.T) {
	c := bgpCluster(t, 6)
	out := compileOK(t, c)
	if have, want := notesOf(out), "10.100.3.0/24 is not on s3, 10.100.4.0/24 is not on s4 and 2 more: traffic to them is dropped there"; !strings.HasSuffix(have, want) || strings.Count(have, "\n") > 0 {
		t.Errorf("want …%q, have %q", want, have)
	}
	n := c.Networks["bnet"]
	c.Networks["gw"] = &state.Network{
		Type: network.HostGW, Subnets: prefixes("10.100.0.0/16"), SubnetLens: []int{24}, Members: []string{"s1"},
		Allocated: map[string]*state.Allocation{"s1": {ID: 1, Subnets: prefixes("10.100.1.0/24")}},
	}
	n.Shares = slices.DeleteFunc(n.Shares, func(s string) bool { return !strings.HasPrefix(s, "s1:") })
	if have := unreachableOf(compileOK(t, c), "s1"); have != "10.100.1.0/24" {
		t.Errorf("want one route, have %q", have)
	}
}
