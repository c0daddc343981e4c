package verify

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// segment is what answers on a bridge.
type segment struct {
	t                          *testing.T
	dhcp, arp, dns, knows, adv bool
	holds                      netip.Addr // an address that somebody has
	offers                     netip.Addr // what DHCP offers; invalid: what was asked for
	heard                      []string
	waited                     int64
}

var there = mac{0x6a, 0x0f, 0, 0, 0, 1}

// answer is what comes back for a frame.
func (s *segment) answer(text string) (out []string) {
	f, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(f) < 14 {
		s.t.Fatalf("%q is no frame: %v", text, err)
	}
	own := mac(f[6:12])
	if f[12] == 8 && f[13] == 6 { // a question of ARP
		to := netip.AddrFrom4([4]byte(f[38:42]))
		s.heard = append(s.heard, "arp "+to.String())
		if from := netip.AddrFrom4([4]byte(f[28:32])); to == s.holds || s.arp && from.IsPrivate() {
			out = append(out, ethernet(own, there, typeARP, slices.Concat([]byte{0, 1, 8, 0, 6, 4, 0, 2}, there[:], to.AsSlice(), own[:], from.AsSlice())...))
		}
		return out
	}
	c, ok := received(f)
	if !ok {
		s.t.Fatalf("sent what nobody reads: %x", f)
	}
	if h := 54; c.from.Is6() && Checksum(c.from, netip.AddrFrom16([16]byte(f[38:54])), f[20], f[h:]) != 0 {
		s.t.Errorf("a packet of protocol %d has a wrong checksum", f[20])
	}
	addr := func(text string, port uint16) netip.AddrPort {
		return netip.AddrPortFrom(netip.MustParseAddr(text), port)
	}
	switch {
	case c.protocol == protoICMP6 && c.data[0] == 133:
		s.heard = append(s.heard, "routers")
		if s.adv {
			ra := make([]byte, 32)
			ra[0] = 134
			copy(ra[16:], []byte{3, 4, 64, 0xc0}) // a prefix of 64 bits for hosts to make addresses of
			ra = append(ra, netip.MustParseAddr("fd04::").AsSlice()...)
			out = append(out, packet(own, there, netip.MustParseAddr("fe80::1"), c.from, protoICMP6, ra))
		}
	case c.protocol == protoICMP6 && c.data[0] == 135:
		at := netip.AddrFrom16([16]byte(c.data[8:24]))
		if at != s.holds && (!s.arp || at != netip.MustParseAddr("fd04::c0")) {
			return nil
		}
		out = append(out, packet(own, there, at, c.from, protoICMP6, append([]byte{136, 0, 0, 0, 0, 0, 0, 0}, at.AsSlice()...)))
	case c.ports[1] == 67 && s.dhcp:
		m := slices.Clone(c.data[:240])
		m[0] = 2
		copy(m[16:], c.data[245:249]) // what was asked for
		if s.offers.IsValid() {
			copy(m[16:], s.offers.AsSlice())
		}
		out = append(out, datagram(own, there, addr("10.0.4.254", 67), addr("10.0.4.9", 68), append(m, 0, 54, 4, 10, 0, 4, 254, 53, 1, 2, 255)))
	case c.ports[1] == 547 && s.dhcp:
		m := slices.Clone(c.data)
		m[0] = 2
		out = append(out, datagram(own, there, netip.AddrPortFrom(netip.MustParseAddr("fe80::1"), 547), netip.AddrPortFrom(c.from, 546), m))
	case c.ports[1] == 53 && s.dns:
		var m dnsmessage.Message
		if err := m.Unpack(c.data); err != nil || len(m.Questions) != 1 {
			s.t.Fatalf("%x asks nothing: %v", c.data, err)
		}
		s.heard = append(s.heard, m.Questions[0].Name.String()+" from "+c.from.String())
		m.Response = true
		h := dnsmessage.ResourceHeader{Name: m.Questions[0].Name, Class: dnsmessage.ClassINET}
		if s.knows {
			var body dnsmessage.ResourceBody = &dnsmessage.AResource{A: [4]byte{10, 0, 4, 254}}
			if m.Questions[0].Type == dnsmessage.TypeAAAA {
				body = &dnsmessage.AAAAResource{AAAA: netip.MustParseAddr("fd04::ff").As16()}
			}
			m.Answers = []dnsmessage.Resource{{Header: h, Body: body}}
		}
		text, err := m.Pack()
		if err != nil {
			s.t.Fatal(err)
		}
		from := netip.MustParseAddr("10.0.4.192")
		if c.from.Is6() {
			from = netip.MustParseAddr("fd04::c0")
		}
		out = append(out, datagram(own, there, netip.AddrPortFrom(from, 53), netip.AddrPortFrom(c.from, c.ports[0]), text))
	}
	return out
}

// talk has s say all that it has to say.
func (s *segment) talk(v *Service) {
	for n := 0; ; n++ {
		r := v.Ask()
		if r == nil {
			return
		}
		if (r.Bridge != "") != (n == 0) || n > 1000 {
			s.t.Fatalf("request %d: %+v", n, r)
		}
		s.waited += int64(r.Within)
		if err := v.Take(s.reply(r)); err != nil {
			s.t.Fatal(err)
		}
	}
}

// reply is what a server answers whose bridge is on the segment.
func (s *segment) reply(r *spec.CaptureRequest) *spec.CaptureReply {
	var data []byte
	for _, f := range r.Send {
		for _, back := range s.answer(f) {
			b, _ := base64.StdEncoding.DecodeString(back)
			data = append(data, make([]byte, 8)...)
			data = binary.BigEndian.AppendUint32(data, uint32(len(b)))
			data = binary.BigEndian.AppendUint32(data, uint32(len(b)))
			data = append(append(data, 0, 0, 0, 0), b...)
		}
	}
	return &spec.CaptureReply{Data: base64.StdEncoding.EncodeToString(data)}
}

// served has members of a network n whose DHCP runs on s1, of both families.
func served(members int, six string) (*state.Cluster, *ground.Compiled, map[string]*spec.Plan) {
	c, compiled := world(members)
	c.Networks["n"].DHCP = state.DHCPSingle
	plans := map[string]*spec.Plan{}
	for name, h := range compiled.Hosts {
		h.Links = []spec.Link{{Name: "vxl0", Kind: spec.Bridge, Network: "n"}}
		plans[name] = &spec.Plan{}
	}
	addr := netip.MustParseAddr
	d := spec.DHCP{
		Network: "n", Bridge: "vxl0", Domain: "vxapp", Floats: true, DNS: []netip.Addr{addr("10.0.4.192"), addr("fd04::c0")},
		Ranges: []spec.Range{{First: addr("10.0.4.2"), Last: addr("10.0.4.191"), Subnet: netip.MustParsePrefix("10.0.4.0/24")}, {Subnet: netip.MustParsePrefix(six)}},
		Hosts:  []spec.HostName{{Name: "s2", Addr: addr("10.0.4.253")}, {Name: "s1", Addr: addr("10.0.4.254")}, {Name: "s1", Addr: addr("fd04::ff")}},
	}
	if d.Ranges[1].Subnet.Bits() > 64 {
		d.Ranges[1].First, d.Ranges[1].Last = addr("fd04::2"), addr("fd04::7f")
	}
	compiled.Hosts["s1"].DHCPs = []spec.DHCP{d}
	return c, compiled, plans
}

// TestServices: what does not answer on a bridge is named, with whose it is; what is well is
// found so at once, and each member asks for an address of its own.
func TestServices(t *testing.T) {
	t.Parallel()
	const look, apply = "on s1: nft list ruleset", "flock apply"
	for _, test := range []struct {
		what  string
		seg   segment
		six   string
		apart string
		full  bool
		says  string
		next  string
	}{
		{what: "well", seg: segment{dhcp: true, arp: true, dns: true, knows: true, adv: true}},
		{what: "well with DHCPv6", seg: segment{dhcp: true, arp: true, dns: true, knows: true}, six: "fd04::/120"},
		{"stopped", segment{adv: true, arp: true}, "", "s1", false, "DHCP of s1 gives no address on the bridge of s1, s2: s1 is not as the cluster file says; " +
			"the resolver 10.0.4.192 of s1 does not answer on the bridge of s1, s2: s1 is not as the cluster file says; the resolver fd04::c0 of s1 does not answer on the bridge of s1, s2: s1 is not as the cluster file says", apply},
		{"67", segment{adv: true, arp: true, dns: true, knows: true}, "", "", false, "DHCP of s1 gives no address on the bridge of s1, s2: does a firewall on s1 drop UDP port 67 that comes in by vxl0?", look},
		{"547", segment{arp: true, dns: true, knows: true}, "fd04::/120", "", false, "DHCP of s1 gives no address on the bridge of s1, s2: does a firewall on s1 drop UDP port 67 that comes in by vxl0?; " +
			"DHCPv6 of s1 gives no address on the bridge of s1, s2: does a firewall on s1 drop UDP port 547 that comes in by vxl0?", look},
		{"no advertisement", segment{dhcp: true, arp: true, dns: true, knows: true}, "", "", false, "s1 does not advertise fd04::/64 on the bridge of s1, s2: does a firewall on s1 drop ICMPv6 that comes in by vxl0?", look},
		{"full", segment{adv: true, arp: true, dns: true, knows: true}, "", "", true, "DHCP of s1 gives no address on the bridge of s1, s2: all are leased", "flock status n"},
		{"53", segment{dhcp: true, adv: true, arp: true}, "", "", false, "the resolver 10.0.4.192 of s1 does not answer on the bridge of s1, s2: does a firewall on s1 drop UDP port 53 that comes in by vxl0?; " +
			"the resolver fd04::c0 of s1 does not answer on the bridge of s1, s2: does a firewall on s1 drop UDP port 53 that comes in by vxl0?", look},
		{"unknown", segment{dhcp: true, adv: true, arp: true, dns: true}, "", "", false, "the resolver 10.0.4.192 of s1 does not know s1.vxapp on the bridge of s1, s2: does another program answer there?; " +
			"the resolver fd04::c0 of s1 does not know s1.vxapp on the bridge of s1, s2: does another program answer there?", "on s1: ss -ulpn sport = 53"},
		{"no resolver", segment{dhcp: true, adv: true, dns: true, knows: true}, "", "", false, "nobody has the resolver's address 10.0.4.192 on the bridge of s1, s2, as far as it hears; " +
			"nobody has the resolver's address fd04::c0 on the bridge of s1, s2, as far as it hears", "flock status n"},
		{"a member is another", segment{adv: true, arp: true, dns: true, knows: true}, "", "s2", false, "DHCP of s1 gives no address on the bridge of s1: does a firewall on s1 drop UDP port 67 that comes in by vxl0?; " +
			"DHCP of s1 gives no address on the bridge of s2: s2 is not as the cluster file says", look},
	} {
		if test.six == "" {
			test.six = "fd04::/64"
		}
		c, compiled, plans := served(2, test.six)
		plans["s1"].Pools = []spec.PoolUse{{Network: "n", Used: 190, Size: 190}}
		if !test.full {
			plans["s1"].Pools[0].Used--
		}
		list := Services(c, compiled, "n", plans, nil)
		if len(list) != 2 {
			t.Fatalf("%s: %d bridges", test.what, len(list))
		}
		test.seg.t = t
		for _, s := range list {
			test.seg.talk(s)
		}
		says, next := SaysServices(list, map[string]bool{test.apart: true})
		if have := strings.Join(says, "; "); have != test.says || next != test.next {
			t.Errorf("%s: have %s\nnext %s", test.what, have, next)
		}
		if well := list[0].Well() && list[1].Well(); well != (test.says == "") {
			t.Errorf("%s: well %v", test.what, well)
		}
		if test.says == "" {
			if test.seg.waited > 2*200*millisecond {
				t.Errorf("%s: waited for %d ns", test.what, test.seg.waited)
			}
			if have := strings.Join(test.seg.heard, " "); !strings.Contains(have, "s1.vxapp. from 10.0.4.191") || !strings.Contains(have, "s1.vxapp. from 10.0.4.190") {
				t.Errorf("%s: heard %s", test.what, have)
			}
		}
	}
}

// TestServicesDisturbNobody: an address that somebody has is never asked from, and without DHCP
// nobody is asked anything.
func TestServicesDisturbNobody(t *testing.T) {
	t.Parallel()
	c, compiled, plans := served(1, "fd04::/64")
	list := Services(c, compiled, "n", plans, nil)
	seg := &segment{t: t, arp: true, dns: true, knows: true, adv: true, holds: netip.MustParseAddr("10.0.4.191")}
	seg.talk(list[0])
	if have := strings.Join(seg.heard, " "); strings.Contains(have, "from 10.0.4.191") || !strings.Contains(have, "from fd04::") {
		t.Errorf("heard %s", have)
	}
	if list[0].Leases() || !list[0].Names() {
		t.Errorf("leases %v, names %v", list[0].Leases(), list[0].Names())
	}
	if have := SumServices(list); have != "DHCP answers on 0 of 1 bridges, names on 1" {
		t.Error(have)
	}
	c, compiled, plans = served(3, "fd04::/64")
	lost := []Tried{{Leg: Leg{Network: "n", From: "s1", To: "s3"}}, {Leg: Leg{Network: "other", From: "s1", To: "s2"}}, {Leg: Leg{Network: "n", From: "s2", To: "s3"}}}
	if list := Services(c, compiled, "n", plans, lost); len(list) != 2 || list[1].Server != "s2" {
		t.Errorf("with a lost path from the server: %+v", list)
	}
	delete(plans, "s1")
	if list := Services(c, compiled, "n", plans, nil); len(list) != 0 {
		t.Errorf("of a server that is away: %d", len(list))
	}
	plans["s1"], compiled.Hosts["s1"].DHCPs = &spec.Plan{}, nil
	if list := Services(c, compiled, "n", plans, nil); len(list) != 0 {
		t.Errorf("without DHCP: %d", len(list))
	}
}

// TestServicesOfAnAddressInUse: an address that DHCP offers and somebody has is not asked from, and
// whose it is is said; so is who offers addresses that are not the network's.
func TestServicesOfAnAddressInUse(t *testing.T) {
	t.Parallel()
	const look = "flock each -- 'bridge fdb show | grep 6a:0f:00:00:00:01'"
	for _, test := range []struct {
		offers, holds, says, sum string
		leases, names            bool
	}{
		{"10.0.4.77", "10.0.4.77", "DHCP of s1 offers 10.0.4.77, which 6a:0f:00:00:00:01 has, on the bridge of s1", "DHCP and names answer, another fault on 1", true, true},
		{"", "fd04::7f", "DHCP of s1 offers fd04::7f, which 6a:0f:00:00:00:01 has, on the bridge of s1", "DHCP and names answer, another fault on 1", true, true},
		{"192.168.1.5", "", "10.0.4.254 (6a:0f:00:00:00:01) offers addresses that are not of 10.0.4.0/24 on the bridge of s1", "DHCP answers on 0 of 1 bridges, names on 1, another fault on 1", false, true},
	} {
		six := "fd04::/64"
		if strings.HasPrefix(test.holds, "fd") {
			six = "fd04::/120"
		}
		c, compiled, plans := served(1, six)
		list := Services(c, compiled, "n", plans, nil)
		seg := &segment{t: t, dhcp: true, arp: true, dns: true, knows: true, adv: true}
		seg.offers, _ = netip.ParseAddr(test.offers)
		seg.holds, _ = netip.ParseAddr(test.holds)
		seg.talk(list[0])
		have := strings.Join(seg.heard, " ")
		for _, no := range []string{test.offers, test.holds} {
			if no != "" && strings.Contains(have, "from "+no) {
				t.Errorf("asked from %s: %s", no, have)
			}
		}
		if !strings.Contains(have, "from fd04::") && !strings.Contains(have, "from fe80::") {
			t.Errorf("%s: heard %s", test.offers, have)
		}
		says, next := SaysServices(list, nil)
		if !slices.Contains(says, test.says) || test.leases && next != look || list[0].Well() || list[0].Leases() != test.leases || list[0].Names() != test.names || SumServices(list) != test.sum {
			t.Errorf("%s: have %q, next %s, %s", test.offers, says, next, SumServices(list))
		}
	}
	// A name that nobody could ask for is none that answers.
	c, compiled, plans := served(1, "fd04::/64")
	compiled.Hosts["s1"].DHCPs[0].Ranges, compiled.Hosts["s1"].DHCPs[0].DNS = compiled.Hosts["s1"].DHCPs[0].Ranges[:1], compiled.Hosts["s1"].DHCPs[0].DNS[:1]
	list := Services(c, compiled, "n", plans, nil)
	(&segment{t: t, dhcp: true, arp: true, dns: true, knows: true, offers: netip.MustParseAddr("10.0.4.77"), holds: netip.MustParseAddr("10.0.4.77")}).talk(list[0])
	if have := SumServices(list); have != "DHCP answers on 1 of 1 bridges, names on 0 of 0 that could be asked, another fault on 1" || list[0].Asked() || list[0].Well() {
		t.Errorf("%s, asked %v", have, list[0].Asked())
	}
}

// TestServicesUntried: what could not be tried is no fault.
func TestServicesUntried(t *testing.T) {
	t.Parallel()
	s := &Service{Server: "s1", By: "s1", Err: errors.New("make a port of vxl0: no such file")}
	says, next := SaysServices([]*Service{s}, nil)
	if len(says) != 1 || !strings.Contains(says[0], "were not tried on the bridge of s1: make a port") || next != "" || !s.Well() || SumServices([]*Service{s}) != "" {
		t.Errorf("%q, %q", says, next)
	}
}

// TestTalk: of the bridges of a server two are asked at a time, each by a port of its own, and the
// waits of one count for the other: what is well on one is found beside what is silent on another.
func TestTalk(t *testing.T) {
	t.Parallel()
	c, compiled, plans := served(3, "fd04::/64")
	well := segment{t: t, dhcp: true, arp: true, dns: true, knows: true, adv: true}
	list := Services(c, compiled, "n", plans, nil)
	if len(list) != 3 {
		t.Fatal(len(list))
	}
	var begun []string
	var at [2]*segment
	var spent time.Duration
	err := Talk(list, func(q *spec.CaptureRequest) (*spec.CaptureReply, error) {
		if q.Bridge != "" { // a new port in this place
			at[q.Slot] = &segment{t: t}
			if n := len(begun); n != 2 {
				seg := well
				at[q.Slot] = &seg
			}
		}
		spent += q.Within
		return at[q.Slot].reply(q), nil
	}, func(s *Service) { begun = append(begun, s.Server) }, func(error) bool { return false })
	if err != nil || len(begun) != 3 {
		t.Fatal(err, begun)
	}
	for i, s := range list {
		if s.Well() != (i != 1) {
			t.Errorf("%s: %+v", s.Server, s.faults(nil, false))
		}
	}
	if most := 2*patience*millisecond + 500*time.Millisecond; spent > most {
		t.Errorf("three bridges, one of them silent, take %v: want %v at most", spent, most)
	}
}

// TestTalkEnds: an error is that bridge's, unless it ends all.
func TestTalkEnds(t *testing.T) {
	t.Parallel()
	for _, all := range []bool{false, true} {
		c, compiled, plans := served(3, "fd04::/64")
		list := Services(c, compiled, "n", plans, nil)
		fails := errors.New("no port")
		err := Talk(list, func(*spec.CaptureRequest) (*spec.CaptureReply, error) { return nil, fails }, func(*Service) {}, func(error) bool { return all })
		if all != (err != nil) || list[0].Err == nil || (list[2].Err == nil) != all {
			t.Errorf("ends %v: %v, %v, %v", all, err, list[0].Err, list[2].Err)
		}
	}
}
