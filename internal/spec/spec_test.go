package spec

import (
	"encoding/json"
	"net/netip"
	"testing"
)

func TestIfNameFitsAndStaysApart(t *testing.T) {
	if got := IfName("vxl0", "vx"); got != "vxl0-vx" {
		t.Fatalf("IfName = %q", got)
	}
	a, b := IfName("longbridgename1", "vx"), IfName("longbridgename2", "vx")
	if len(a) != IfNameMax || a == b {
		t.Fatalf("IfName: %q (%d bytes), %q", a, len(a), b)
	}
}

func TestSumIgnoresOrderAndGeneration(t *testing.T) {
	set := NewAddrSet(netip.MustParseAddr("10.99.0.2"), netip.MustParseAddr("10.99.0.1"))
	h := &Host{
		Cluster: "c", Generation: 1,
		Links:  []Link{{Name: "a", Kind: Bridge}, {Name: "b", Kind: VXLAN, Tunnel: &Tunnel{VNI: 1, Local: netip.MustParseAddr("10.99.0.1")}}},
		Floods: []Flood{{Link: "b", To: set}},
	}
	data, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	var back Host
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	back.Generation = 2
	back.Links[0], back.Links[1] = back.Links[1], back.Links[0]
	if h.Sum() != back.Sum() || h.Text() != back.Text() {
		t.Fatalf("sum or text changed:\n%s\n%s", h.Text(), back.Text())
	}
	back.Links[0].MTU = 1
	if h.Sum() == back.Sum() {
		t.Fatal("a changed MTU left the sum alone")
	}
	want := FDB{Link: "b", MAC: ZeroMAC, Dst: netip.MustParseAddr("10.99.0.2")}
	if fdb := h.AllFDB(); len(fdb) != 1 || fdb[0] != want {
		t.Fatalf("AllFDB = %v", fdb)
	}
}

func TestEmptyHostHasNoSum(t *testing.T) {
	h := &Host{Cluster: "c", Store: "x", Server: "s1", Claims: []Claim{{UDPPort: 1}}}
	if !h.Empty() || h.Sum() != "" {
		t.Fatalf("empty host: Empty %v, Sum %q", h.Empty(), h.Sum())
	}
}

func TestPrefixRuleMatches(t *testing.T) {
	for _, test := range []struct {
		rule   PrefixRule
		prefix string
		want   bool
	}{
		{PrefixRule{Prefix: netip.MustParsePrefix("10.0.0.0/8")}, "10.0.0.0/8", true},
		{PrefixRule{Prefix: netip.MustParsePrefix("10.0.0.0/8")}, "10.1.0.0/16", false},
		{PrefixRule{Prefix: netip.MustParsePrefix("10.0.0.0/8"), GE: 16}, "10.1.0.0/15", false},
		{PrefixRule{Prefix: netip.MustParsePrefix("10.0.0.0/8"), GE: 16}, "10.1.2.3/32", true},
		{PrefixRule{Prefix: netip.MustParsePrefix("10.0.0.0/8"), LE: 24}, "10.0.0.0/8", true},
		{PrefixRule{Prefix: netip.MustParsePrefix("10.0.0.0/8"), LE: 24}, "10.1.2.0/25", false},
		{PrefixRule{Prefix: netip.MustParsePrefix("10.0.0.0/8"), GE: 16, LE: 24}, "11.0.0.0/16", false},
		{PrefixRule{Prefix: netip.MustParsePrefix("0.0.0.0/0"), LE: 32}, "fd00::/8", false},
		{PrefixRule{Prefix: netip.MustParsePrefix("fd00::/8"), LE: 64}, "fd00:1::/64", true},
	} {
		if have := test.rule.Matches(netip.MustParsePrefix(test.prefix)); have != test.want {
			t.Errorf("%s matches %s: want %v, have %v", test.rule, test.prefix, test.want, have)
		}
	}
}

func TestBGPIsPartOfTheSum(t *testing.T) {
	host := func(n ...BGPNeighbor) *Host {
		return &Host{Cluster: "c", BGP: &BGP{Network: "b", AS: 64512, RouterID: netip.MustParseAddr("10.99.0.1"), Hold: 90, Neighbors: n}}
	}
	a := BGPNeighbor{Addr: netip.MustParseAddr("10.99.0.2"), AS: 64512}
	b := BGPNeighbor{Addr: netip.MustParseAddr("10.99.0.3"), AS: 64512}
	if host().Empty() || host(a, b).Sum() != host(b, a).Sum() || host(a).Sum() == host(b).Sum() {
		t.Fatalf("sums: %q %q %q", host(a, b).Sum(), host(b, a).Sum(), host(a).Sum())
	}
}

// TestTunnelText holds that whatever a tunnel is made with shows in its text,
// which is what plans and checksums are made of.
func TestTunnelText(t *testing.T) {
	local, remote := netip.MustParseAddr("10.99.0.1"), netip.MustParseAddr("10.99.0.2")
	link := Link{Name: "gre-a", Network: "gre-s1-s2", Kind: GRE, MTU: 1472, Tunnel: &Tunnel{Local: local, Remote: remote, TTL: 64, Key: 1 << 31}}
	const want = "link gre-a gre mtu 1472 local 10.99.0.1 remote 10.99.0.2 key 2147483648 ttl 64 network gre-s1-s2"
	if got := link.String(); got != want {
		t.Fatalf("have %s\nwant %s", got, want)
	}
	h := &Host{Members: []Member{{Link: "n1", Addr: remote, Subnets: []netip.Prefix{netip.MustParsePrefix("10.244.1.0/24")}}}}
	if h.Empty() || h.Text() != "member 10.99.0.2 dev n1 subnets 10.244.1.0/24\n" {
		t.Fatalf("Empty %v, Text %q", h.Empty(), h.Text())
	}
}
