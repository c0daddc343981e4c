package view

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/screen"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
	"github.com/flocknet/flock/internal/verify"
)

// legOf is a leg between 10.0.4.1 and 10.0.4.2 and so on, from what was heard and passes.
func legOf(from, to string, heard, passes int, arrived bool) verify.Tried {
	at := func(net, s string) netip.Addr { return netip.MustParseAddr(net + s[1:]) }
	return verify.Tried{
		Leg:     verify.Leg{Network: "vx1", From: from, To: to, Echo: spec.Echo{From: at("10.0.4.", from), To: at("10.0.4.", to), MTU: 1450}},
		Echoed:  spec.Echoed{Sent: 5, Heard: heard, Passes: passes, Min: 100 * time.Microsecond, Median: 200 * time.Microsecond},
		Arrived: arrived, Below: [2]netip.Addr{at("10.99.0.", from), at("10.99.0.", to)},
	}
}

// TestVerifyOfSessions: a session among members is counted once, one with a member that is away not
// at all, and what its ends say of it when it is down comes first.
func TestVerifyOfSessions(t *testing.T) {
	c := &state.Cluster{Networks: map[string]*state.Network{"b": {Type: "bgp"}}}
	at := netip.MustParseAddr
	says := func(server string, list ...spec.BGPNeighborStatus) change.Speaker {
		return change.Speaker{Server: server, Status: &spec.BGPStatus{Network: "b", Neighbors: list}}
	}
	is := func(name, addr, state, why string) spec.BGPNeighborStatus {
		return spec.BGPNeighborStatus{Name: name, Addr: at(addr), State: state, Why: why}
	}
	leg := legOf("s1", "s2", 5, 1450, true)
	leg.Network = "b"
	v := &change.Verification{
		Cluster: c, Legs: []verify.Tried{leg}, Absent: []change.Server{{Name: "s3"}},
		Speakers: []change.Speaker{
			says("s1", is("s2", "10.99.0.2", spec.BGPEstablished, ""), is("s3", "10.99.0.3", spec.BGPActive, "no answer"), is("", "10.99.0.9", spec.BGPIdle, "Bad Peer AS"), is("s2", "fd99::2", spec.BGPEstablished, "")),
			says("s2", is("s1", "10.99.0.1", spec.BGPEstablished, ""), is("s3", "10.99.0.3", spec.BGPActive, "no answer"), is("s1", "fd99::1", spec.BGPActive, "no answer")),
		},
	}
	d := VerifiedOf(v)[0]
	lines, next := d.Says()
	want := "BGP of s1: session with 10.99.0.9 is Idle: Bad Peer AS; BGP of s2: session with s1 (fd99::1) is Active: no answer"
	if have := strings.Join(lines, "; "); have != want || next != "flock showbgp s1" || d.State() != verify.Down || !d.Bad() {
		t.Errorf("%s, next %s, %s", have, next, d.State())
	}
	if have := d.summary(); !strings.HasSuffix(have, ", 1 of 3 BGP sessions are up") {
		t.Error(have)
	}
	if doc := VerifyDocOf(v, []*Verified{d}).Networks[0].Sessions; doc == nil || doc.Sessions != 3 || doc.Up != 1 || len(doc.Down) != 2 {
		t.Errorf("%+v", doc)
	}
	v.Drifted = []change.Server{{Name: "s1", Plan: &spec.Plan{}}}
	if _, next := VerifiedOf(v)[0].Says(); next != "flock apply" {
		t.Errorf("of a server that is not as the file says: %s", next)
	}
}

// TestVerifySays: what is said of a pair names the direction and what to look at.
func TestVerifySays(t *testing.T) {
	v6 := legOf("s1", "s2", 0, 0, false)
	v6.Leg.Echo.From, v6.Leg.Echo.To = netip.MustParseAddr("fd04::1"), netip.MustParseAddr("fd04::2")
	for _, test := range []struct {
		name, kind string
		legs       []verify.Tried
		want, next string
	}{
		{"well", "vxlan", []verify.Tried{legOf("s1", "s2", 5, 1450, true), legOf("s2", "s1", 5, 1450, true)}, "", ""},
		{
			"one direction", "vxlan",
			[]verify.Tried{legOf("s1", "s2", 0, 0, false), legOf("s2", "s1", 0, 0, true)},
			"packets from s1 to s2 are lost, those from s2 arrive: does every firewall on the way let UDP 4789 pass from s1 (10.99.0.1) to s2 (10.99.0.2)?", "flock trace s1:10.0.4.1 s2:10.0.4.2",
		},
		{
			"the other direction", "vxlan",
			[]verify.Tried{legOf("s1", "s2", 0, 0, true), legOf("s2", "s1", 0, 0, false)},
			"packets from s2 to s1 are lost, those from s1 arrive: does every firewall on the way let UDP 4789 pass from s2 (10.99.0.2) to s1 (10.99.0.1)?", "flock trace s2:10.0.4.2 s1:10.0.4.1",
		},
		{
			"both directions", "vxlan",
			[]verify.Tried{legOf("s1", "s2", 0, 0, false), legOf("s2", "s1", 0, 0, false)},
			"no packet passes between s1 and s2: does every firewall on the way let UDP 4789 pass from s1 (10.99.0.1) to s2 (10.99.0.2)?", "flock trace s1:10.0.4.1 s2:10.0.4.2",
		},
		{
			"no encapsulation", "host-gw",
			[]verify.Tried{legOf("s1", "s2", 0, 0, false), legOf("s2", "s1", 0, 0, false)},
			"no packet passes between s1 and s2: is there a route, and does every firewall on the way let it pass?", "flock trace s1:10.0.4.1 s2:10.0.4.2",
		},
		{
			"a silent server", "vxlan",
			[]verify.Tried{legOf("s1", "s2", 0, 0, false), legOf("s2", "s1", 5, 1450, true)},
			"s2 does not answer s1, which answers s2: does a firewall on s2 drop ICMP?", "flock trace s1:10.0.4.1 s2:10.0.4.2",
		},
		{
			"no answers", "vxlan",
			[]verify.Tried{legOf("s1", "s2", 0, 0, true), legOf("s2", "s1", 0, 0, true)},
			"requests from s1 and from s2 arrive, no answer does: does a firewall on one of them drop ICMP?", "flock trace s1:10.0.4.1 s2:10.0.4.2",
		},
		{
			"narrow", "vxlan",
			[]verify.Tried{legOf("s1", "s2", 5, 1400, true), legOf("s2", "s1", 5, 1372, true)},
			"packets of more than 1372 bytes between s1 and s2 are lost, the network uses 1450", "flock setnetwork vx1 --mtu 1372",
		},
		{"narrow tunnel", "gre", []verify.Tried{legOf("s1", "s2", 5, 1400, true)}, "packets of more than 1400 bytes between s1 and s2 are lost, the network uses 1450", "flock setnetwork vx1 --mtu 1400"},
		{"narrow sessions", "bgp", []verify.Tried{legOf("s1", "s2", 5, 1400, true)}, "packets of more than 1400 bytes between s1 and s2 are lost, the network uses 1450", ""},
		{"too narrow to be set", "vxlan", []verify.Tried{legOf("s1", "s2", 5, 560, true)}, "packets of more than 560 bytes between s1 and s2 are lost, the network uses 1450", ""},
		{"losses", "vxlan", []verify.Tried{legOf("s1", "s2", 3, 1450, true)}, "2 of 5 packets between s1 and s2, or their answers, were lost", ""},
		{
			"IPv6 alone", "vxlan",
			[]verify.Tried{legOf("s1", "s2", 5, 1450, true), v6},
			"no packet passes between s1 and s2 by IPv6: does every firewall on the way let UDP 4789 pass from s1 (10.99.0.1) to s2 (10.99.0.2)?", "flock trace s1:fd04::1 s2:fd04::2",
		},
	} {
		c := &state.Cluster{Networks: map[string]*state.Network{"vx1": {Type: test.kind, Port: map[bool]uint16{true: 4789}[test.kind == "vxlan"]}}}
		d := VerifiedOf(&change.Verification{Cluster: c, Legs: test.legs})[0]
		says, next := d.Says()
		if have := strings.Join(says, "\n"); have != test.want || next != test.next || d.Bad() != (test.want != "") {
			t.Errorf("%s: want\n%s\nnext %q, have\n%s\nnext %q, bad %v", test.name, test.want, test.next, have, next, d.Bad())
		}
	}
}

// TestVerifySaysData: what is said of TCP between a pair that answers echoes names the end that
// sends what is wrong.
func TestVerifySaysData(t *testing.T) {
	c := &state.Cluster{Networks: map[string]*state.Network{"vx1": {Type: "vxlan", Port: 4789}}}
	for _, test := range []struct {
		flow spec.Flowed
		bad  [2]bool
		want string
	}{
		{spec.Flowed{Open: true, Out: 5}, [2]bool{}, "TCP between s1 and s2 stalls, echoes pass: 5 bytes went there, 0 came back"},
		{spec.Flowed{}, [2]bool{false, true}, "TCP from s1 to s2 comes with wrong checksums, echoes pass: a device of s1 does not sum up what it offers to; on s1: ethtool -K vxl0-vx tx off"},
		{spec.Flowed{}, [2]bool{true, false}, "TCP from s2 to s1 comes with wrong checksums, echoes pass: a device of s2 does not sum up what it offers to; on s2: ethtool -K vxl1-vx tx off"},
	} {
		there, back := legOf("s1", "s2", 5, 1450, true), legOf("s2", "s1", 5, 1450, true)
		there.Flow, there.BadSums, there.Device, back.Device = &test.flow, test.bad, "vxl0-vx", "vxl1-vx"
		d := VerifiedOf(&change.Verification{Cluster: c, Legs: []verify.Tried{there, back}})[0]
		if says, next := d.Says(); strings.Join(says, "\n") != test.want || next != "flock status vx1" || !d.Bad() {
			t.Errorf("want\n%s\nhave\n%s\nnext %q", test.want, strings.Join(says, "\n"), next)
		}
	}
	well, back := legOf("s1", "s2", 5, 1450, true), legOf("s2", "s1", 5, 1450, true)
	well.Flow = &spec.Flowed{Open: true, Whole: true, Out: 62_500_000, Back: 62_500_000, Took: time.Second}
	if have := VerifiedOf(&change.Verification{Cluster: c, Legs: []verify.Tried{well, back}})[0].summary(); !strings.Contains(have, ", TCP 1 Gbit/s to 1 Gbit/s") {
		t.Errorf("have %s", have)
	}
}

// TestVerifySaysDrift: a pair is lost since one of its servers is not as it should be, and the next
// step mends that.
func TestVerifySaysDrift(t *testing.T) {
	c := &state.Cluster{Networks: map[string]*state.Network{"vx1": {Type: "vxlan", Port: 4789}}}
	lacks := change.Server{Name: "s2", Plan: &spec.Plan{Steps: []spec.Step{{Action: spec.Add, Object: "fdb 00:00:00:00:00:00 dev vxl0-vx"}}}}
	v := &change.Verification{Cluster: c, Legs: []verify.Tried{legOf("s1", "s2", 0, 0, false), legOf("s2", "s1", 0, 0, false)}, Drifted: []change.Server{lacks}}
	var out bytes.Buffer
	p := &Page{Streams: screen.Streams{Out: &out}, Getenv: func(string) string { return "" }}
	if err := p.PrintVerification(VerifiedOf(v), v.Drifted); err != nil {
		t.Fatal(err)
	}
	want := `vx1 (vxlan): 0 of 2 paths pass, 2 without an answer
  ms from \ to s1   s2
  s1           -    lost
  s2           lost -
  no packet passes between s1 and s2: s2 is not as the cluster file says
  next: flock apply

s2 is not as the cluster file says: + fdb 00:00:00:00:00:00 dev vxl0-vx
next: flock apply
`
	if out.String() != want {
		t.Errorf("want\n%s\nhave\n%s", want, out.String())
	}
	if doc := VerifyDocOf(v, VerifiedOf(v)); len(doc.Drifted) != 1 || len(doc.Drifted[0].Steps) != 1 {
		t.Errorf("have %+v", doc.Drifted)
	}
}

// TestVerifyMatrix: a cell for each pair, the worst of its legs; then what is wrong.
func TestVerifyMatrix(t *testing.T) {
	c := &state.Cluster{Networks: map[string]*state.Network{"vx1": {Type: "vxlan", Port: 4789}, "vx2": {Type: "vxlan"}, "vx3": {Type: "udp"}}}
	legs := []verify.Tried{
		legOf("s1", "s2", 5, 1450, true), legOf("s2", "s1", 3, 1450, true), legOf("s1", "s10", 5, 1400, true),
		legOf("s10", "s1", 5, 1450, true), legOf("s2", "s10", 0, 0, false), legOf("s10", "s2", 0, 0, false),
	}
	var out bytes.Buffer
	p := &Page{Streams: screen.Streams{Out: &out}, Getenv: func(string) string { return "" }}
	if err := p.PrintVerification(VerifiedOf(&change.Verification{Cluster: c, Legs: legs, Without: []string{"vx2"}, Untried: map[string]int{"vx1": 4, "vx3": 2}}), nil); err != nil {
		t.Fatal(err)
	}
	want := `vx1 (vxlan): 2 of 6 paths pass, 1 too narrow, 1 with losses, 2 without an answer, 0.10 to 0.20 ms, packets of 1450 bytes, 4 not tried, a server is absent
  ms from \ to s1   s2   s10
  s1           -    0.20 1400B
  s2           3/5  -    lost
  s10          0.20 lost -
  packets of more than 1400 bytes between s1 and s10 are lost, the network uses 1450
  2 of 10 packets between s1 and s2, or their answers, were lost
  no packet passes between s2 and s10: does every firewall on the way let UDP 4789 pass from s2 (10.99.0.2) to s10 (10.99.0.10)?
  next: flock trace s2:10.0.4.2 s10:10.0.4.10

vx2 (vxlan): nothing to try, no two members have an address in it

vx3 (udp): 2 paths not tried, a server is absent
`
	if out.String() != want {
		t.Errorf("want\n%s\nhave\n%s", want, out.String())
	}
}
