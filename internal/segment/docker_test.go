package segment

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/prefix"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// TestDockerRangesAreNobodyElses: whatever joins in whatever sequence, a range overlaps no other,
// no block and no range of DHCP, and holds no address of anybody; it stays where it is.
func TestDockerRangesAreNobodyElses(t *testing.T) {
	for _, mode := range []string{state.DHCPSingle, state.DHCPDistributed, state.DHCPOff} {
		for _, subnet := range []string{"10.0.4.0/24", "10.0.4.0/22", "10.0.0.0/16", "10.0.4.0/26"} {
			name := mode + " " + subnet
			c := &state.Cluster{Servers: map[string]*state.Server{"s0": {Attached: []state.Attachment{
				{Container: "netns/c1", Addrs: []netip.Addr{netip.MustParseAddr("10.0.4.40")}},
			}}}}
			n := &state.Network{DHCP: mode, Subnets: []netip.Prefix{netip.MustParsePrefix(subnet).Masked()}, Docker: []string{state.AllMembers}, Allocated: map[string]*state.Allocation{}}
			before := map[string]netip.Prefix{}
			members := 0
			for ; members < 6; members++ {
				server := fmt.Sprint("s", members)
				n.Members = append(n.Members, server)
				if Allocate(n, []string{server}) != nil || DealDocker(c, n, true) != nil {
					n.Members = n.Members[:members]
					delete(n.Allocated, server)
					break // the subnet is full
				}
				for server, was := range before {
					if n.Allocated[server].Docker != was {
						t.Errorf("%s: %s had %s, and has %s", name, server, was, n.Allocated[server].Docker)
					}
				}
				before[server] = n.Allocated[server].Docker
				checkDockerRanges(t, name, c, n)
			}
			if members < 3 && mode+subnet != "distributed10.0.4.0/26" || members == 0 { // where DHCP takes a quarter at once
				t.Errorf("%s: only %d members have a range", name, members)
			}
		}
	}
}

func checkDockerRanges(t *testing.T, name string, c *state.Cluster, n *state.Network) {
	t.Helper()
	for server, a := range n.Allocated {
		p := a.Docker
		if !p.IsValid() || p.Bits() > dockerLeast || p != p.Masked() || !n.Subnets[0].Contains(p.Addr()) {
			t.Errorf("%s: %s has %s", name, server, p)
		}
		d := &spec.DHCP{}
		switch n.DHCP {
		case state.DHCPSingle:
			singleDHCP(d, n, server)
		case state.DHCPDistributed:
			distributedDHCP(d, n, server)
		}
		if n.DHCP != state.DHCPOff && len(d.Ranges) == 0 {
			t.Errorf("%s: %s hands out nothing", name, server)
		}
		for _, q := range serversOf(n, 0) {
			if p.Overlaps(q) {
				t.Errorf("%s: %s has %s, and %s is guarded", name, server, p, q)
			}
		}
		for other, b := range n.Allocated {
			if server != other && p.Overlaps(b.Docker) {
				t.Errorf("%s: %s and %s have %s and %s", name, server, other, p, b.Docker)
			}
			for _, addr := range append(b.Addrs, GatewayOf(n.Subnets[0]), c.Servers["s0"].Attached[0].Addrs[0]) {
				if p.Contains(addr) {
					t.Errorf("%s: %s has %s, in which %s is", name, server, p, addr)
				}
			}
			for _, r := range d.Ranges {
				if b.Docker.Contains(r.First) || b.Docker.Contains(r.Last) || r.First.Compare(b.Docker.Addr()) <= 0 && b.Docker.Addr().Compare(r.Last) <= 0 {
					t.Errorf("%s: %s hands out %s, of which %s is Docker's", name, server, r, b.Docker)
				}
			}
		}
	}
}

// TestDockerIsRefused where it makes no sense, and taken back where nobody wants it any more.
func TestDockerIsRefused(t *testing.T) {
	four := []netip.Prefix{netip.MustParsePrefix("10.0.4.0/24")}
	for name, test := range map[string]struct {
		docker  []string
		subnets []netip.Prefix
		segment bool
		want    string
	}{
		"a pool":        {[]string{"s1"}, four, false, "no segment"},
		"IPv6 alone":    {[]string{"s1"}, []netip.Prefix{netip.MustParsePrefix("fd00:4::/64")}, true, "no IPv4"},
		"a stranger":    {[]string{"s2"}, four, true, "s2 is not a member"},
		"twice":         {[]string{"s1", "s1"}, four, true, "s1 is there twice"},
		"all, and more": {[]string{"*", "s1"}, four, true, "all members, and s1"},
		"more, and all": {[]string{"s1", "*"}, four, true, "all members, and s1"},
		"too narrow":    {[]string{"s1"}, []netip.Prefix{netip.MustParsePrefix("10.0.4.0/28")}, true, "no range"},
		"a member":      {[]string{"s1"}, four, true, ""},
	} {
		n := &state.Network{Type: "host-gw", DHCP: state.DHCPSingle, Members: []string{"s1"}, Subnets: test.subnets, Docker: test.docker, Allocated: map[string]*state.Allocation{"s1": {ID: 1, Addrs: []netip.Addr{prefix.Top(test.subnets[0])}}}}
		err := DealDocker(&state.Cluster{}, n, test.segment)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: want %q, have %v", name, test.want, err)
		}
		if n.Docker = nil; DealDocker(&state.Cluster{}, n, true) != nil || n.Allocated["s1"].Docker.IsValid() {
			t.Errorf("%s: it keeps its range", name)
		}
	}
}

// TestDockerRangesOfServersTogether: of a /24 three servers that are there have ranges as wide as
// there is room for one more, whichever comes first, members or Docker.
func TestDockerRangesOfServersTogether(t *testing.T) {
	for name, test := range map[string]struct {
		mode, subnet string
		later        bool // Docker comes when DHCP has its blocks
		want         string
	}{
		"one server of DHCP":      {state.DHCPSingle, "10.0.4.0/24", true, "10.0.4.160/27 10.0.4.128/27 10.0.4.96/27"},
		"no DHCP":                 {state.DHCPOff, "10.0.4.0/24", true, "10.0.4.160/27 10.0.4.128/27 10.0.4.96/27"},
		"every server":            {state.DHCPDistributed, "10.0.4.0/24", false, "10.0.4.224/28 10.0.4.160/27 10.0.4.128/27"},
		"every server, and later": {state.DHCPDistributed, "10.0.4.0/24", true, "10.0.4.232/29 10.0.4.224/29 10.0.4.216/29"},
		"a wider subnet":          {state.DHCPDistributed, "10.0.4.0/22", true, "10.0.6.128/25 10.0.6.0/25 10.0.5.128/25"},
	} {
		n := &state.Network{DHCP: test.mode, Subnets: []netip.Prefix{netip.MustParsePrefix(test.subnet)}, Members: []string{"s1", "s2", "s3"}, Allocated: map[string]*state.Allocation{}}
		if !test.later {
			n.Docker = []string{state.AllMembers}
		}
		if err := Allocate(n, n.Members); err != nil {
			t.Fatal(err)
		}
		n.Docker = []string{state.AllMembers}
		if err := DealDocker(&state.Cluster{}, n, true); err != nil {
			t.Fatal(err)
		}
		var have []string
		for _, server := range n.Members {
			have = append(have, n.Allocated[server].Docker.String())
		}
		if strings.Join(have, " ") != test.want {
			t.Errorf("%s: %s, want %s", name, have, test.want)
		}
		checkDockerRanges(t, name, &state.Cluster{Servers: map[string]*state.Server{"s0": {Attached: []state.Attachment{{Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1")}}}}}}, n)
	}
}
