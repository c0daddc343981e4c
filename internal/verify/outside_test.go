package verify

import (
	"encoding/base64"
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/spec"
)

// TestStrays: a route into a network's own subnets that is not flock's is named, with what takes it
// away; routes elsewhere, what leads nowhere, what the kernel does not prefer to flock's, and what
// the member itself was dealt, are not.
func TestStrays(t *testing.T) {
	t.Parallel()
	c, compiled := world(3)
	n := c.Networks["n"]
	n.Subnets, n.Mesh = []netip.Prefix{netip.MustParsePrefix("10.244.0.0/16"), netip.MustParsePrefix("fd04::/64")}, netip.MustParsePrefix("10.0.9.0/24")
	n.Allocated["s1"].Subnets = []netip.Prefix{netip.MustParsePrefix("10.244.0.0/24")}
	compiled.Hosts["s1"].Routes = []spec.Route{{Dst: netip.MustParsePrefix("10.244.1.0/24")}, {Dst: netip.MustParsePrefix("fd04::8/125")}}
	compiled.Hosts["s2"].Links = []spec.Link{{Name: "vxl0-vx", Kind: spec.VXLAN, Network: "n"}}
	for _, test := range []struct{ server, to, says, next string }{
		{"s1", "10.244.9.0/24", "s1 has a route to 10.244.9.0/24 that is not flock's: what is for there leaves n by it", "flock each s1 -- ip route del 10.244.9.0/24"},
		{"s1", "fd04::7/128", "s1 has a route to fd04::7/128 that", "flock each s1 -- ip -6 route del fd04::7/128"},
		{"s2", "10.0.9.2/32", "s2 has a route to 10.0.9.2/32 that", "flock each s2 -- ip route del 10.0.9.2/32"},
		{"s1", "fd04::8/125", "s1 has a route to fd04::8/125 that", "on s1: ip -6 route show fd04::8/125"}, // flock's is to stay
		{"s1", "10.244.1.0/24", "", ""},   // it has a metric, flock's has none
		{"s1", "10.244.0.128/25", "", ""}, // behind its own bridge
		{"s1", "10.0.0.0/8", "", ""},      // flock's are more specific
		{"s1", "192.168.7.0/24", "", ""},
		{"s3", "10.244.9.0/24", "", ""}, // it did not answer: who knows
	} {
		to := []netip.Prefix{netip.MustParsePrefix(test.to)}
		facts := &spec.Facts{Routed: to}
		have := func() []Outside {
			of := map[string]*spec.Facts{test.server: facts}
			delete(of, "s3")
			return Strays(c, compiled, "n", of)
		}
		list := have()
		says, next := SaysOutside(list, nil)
		if have := strings.Join(says, "; "); next != test.next || (test.says == "") != (have == "") || !strings.HasPrefix(have, test.says) {
			t.Errorf("%s on %s: %s, next %s", test.to, test.server, have, next)
		}
		for _, o := range list {
			if o.State() != Astray {
				t.Errorf("%s is %s", test.to, o.State())
			}
		}
		// The same without a gateway.
		facts = &spec.Facts{Interfaces: []spec.Interface{{Name: "eth0", Direct: to}}}
		if again := have(); len(again) != len(list) {
			t.Errorf("%s without a gateway: %v", test.to, again)
		}
		facts = &spec.Facts{Routed: to, Refused: to}
		if again := have(); len(again) != 0 {
			t.Errorf("%s leads nowhere: %v", test.to, again)
		}
		// A bridge of others; a single address may be somebody's own.
		facts = &spec.Facts{Local: to}
		if again := have(); len(again) != len(list) && !to[0].IsSingleIP() || len(again) > 0 && to[0].IsSingleIP() {
			t.Errorf("%s on a device of others: %v", test.to, again)
		}
	}
	list := Strays(c, compiled, "n", map[string]*spec.Facts{"s2": {Interfaces: []spec.Interface{{Name: "tun0", Addrs: []netip.Prefix{netip.MustParsePrefix("10.244.7.1/24"), netip.MustParsePrefix("10.244.6.1/32")}}}, Routed: []netip.Prefix{netip.MustParsePrefix("10.244.8.0/24")}}})
	says, next := SaysOutside(list, nil)
	if have := strings.Join(says[1:], "; "); have != "s2 has 10.244.7.0/24 on a device that is not flock's: what is for there leaves n" || next != "flock each s2 -- ip route del 10.244.8.0/24" || SumOutside(list) != "2 routes astray" {
		t.Errorf("%s, next %s, %s", have, next, SumOutside(list))
	}
	// Of a network that only deals subnets others make the routes (alloc).
	compiled.Hosts["s2"].Links = []spec.Link{{Name: "br0", Kind: spec.Bridge, Network: "n"}}
	compiled.Hosts["s2"].Routes = []spec.Route{{Dst: netip.MustParsePrefix("10.244.0.0/16"), Unreachable: true}}
	if others := Strays(c, compiled, "n", map[string]*spec.Facts{"s2": {Routed: []netip.Prefix{netip.MustParsePrefix("10.244.8.0/24")}}}); len(others) != 0 {
		t.Errorf("of a network without routes of flock's: %v", others)
	}
	if _, next := SaysOutside(list[1:], nil); next != "on s2: ip route show 10.244.7.0/24" || SumOutside(list[1:]) != "1 route astray" {
		t.Errorf("next %s", next)
	}
}

// TestLeaks: a packet between two addresses of an encrypted network, below it, is in clear; what
// has one of them, or none, is not.
func TestLeaks(t *testing.T) {
	t.Parallel()
	c, compiled := world(1)
	c.Networks["n"].Subnets = []netip.Prefix{netip.MustParsePrefix("10.0.8.0/24"), netip.MustParsePrefix("fd08::/64")}
	compiled.Places = map[ground.Membership]ground.Place{{Server: "s1", Network: "n"}: {Interface: "eth0"}}
	if r := Watch(c, compiled, "s1", []string{"n"}); r != nil {
		t.Errorf("of a network that is not encrypted: %+v", r)
	}
	compiled.Hosts["s1"].Links = []spec.Link{{Name: "wg-n", Kind: spec.WireGuard, Network: "n"}}
	r := Watch(c, compiled, "s1", []string{"n"})
	if r == nil || r.Device != "eth0" || len(r.Frames) == 0 || len(r.Packets) == 0 {
		t.Fatalf("have %+v", r)
	}
	at := func(s string) netip.Addr { return netip.MustParseAddr(s) }
	var data []byte
	for _, p := range [][2]string{{"10.0.8.1", "10.0.8.2"}, {"10.0.8.1", "10.0.8.2"}, {"10.0.8.1", "10.9.8.2"}, {"192.0.2.1", "192.0.2.2"}, {"fd08::1", "fd08::2"}} {
		protocol := byte(protoUDP)
		f, err := base64.StdEncoding.DecodeString(packet(everybody, there, at(p[0]), at(p[1]), protocol, make([]byte, 20)))
		if err != nil {
			t.Fatal(err)
		}
		data = append(data, make([]byte, 8)...)
		data = binary.BigEndian.AppendUint32(data, uint32(len(f)))
		f = f[:min(len(f), 64)]
		data = binary.BigEndian.AppendUint32(data, uint32(len(f)))
		data = append(append(data, 0, 0, 0, 0), f...)
	}
	reply := &spec.CaptureReply{Ethernet: true, Data: base64.StdEncoding.EncodeToString(data)}
	list, err := Leaks(c, []string{"n"}, "s1", "eth0", reply)
	if err != nil || len(list) != 2 || list[0].State() != Clear {
		t.Fatalf("%v, %v", list, err)
	}
	says, next := SaysOutside(list, nil)
	if have := strings.Join(says, "; "); have != "packets of n from 10.0.8.1 to 10.0.8.2 pass eth0 of s1 in clear; packets of n from fd08::1 to fd08::2 pass eth0 of s1 in clear" || next != "on s1: ip route get 10.0.8.2" {
		t.Errorf("%s, next %s", have, next)
	}
	if have := SumOutside(list); have != "packets in clear on s1" {
		t.Error(have)
	}
	reply.Data = ""
	for i := range 200 {
		b, _ := base64.StdEncoding.DecodeString(packet(everybody, there, netip.AddrFrom4([4]byte{10, 0, 8, byte(i)}), at("10.0.8.2"), protoUDP, make([]byte, 10)))
		b = append(binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(make([]byte, 8), uint32(len(b))), uint32(len(b))), append(make([]byte, 4), b...)...)
		data = append(data, b...)
	}
	reply.Data = base64.StdEncoding.EncodeToString(data)
	if many, err := Leaks(c, []string{"n"}, "s1", "eth0", reply); err != nil || len(many) != 100 {
		t.Errorf("%d of more, %v", len(many), err)
	}
	if !r.Mine {
		t.Error("frames of others on a bridge are taken")
	}
	if _, next := SaysOutside(list, map[string]bool{"s1": true}); next != "flock apply" {
		t.Errorf("of a server that is not as the file says: %s", next)
	}
	if _, next := SaysOutside(append(list, Outside{Network: "n", Server: "s1", To: netip.MustParsePrefix("10.0.8.2/32")}), nil); next != "flock each s1 -- ip route del 10.0.8.2/32" {
		t.Errorf("with the route that does it: %s", next)
	}
}
