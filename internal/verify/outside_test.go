package verify

import (
	"encoding/base64"
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// TestStrays: a route into a network's own subnets that is not flock's is named, with what takes it
// away; routes elsewhere, and into what the member itself was dealt, are its own affair.
func TestStrays(t *testing.T) {
	t.Parallel()
	c, compiled := world(3)
	n := c.Networks["n"]
	n.Subnets, n.Mesh = []netip.Prefix{netip.MustParsePrefix("10.244.0.0/16"), netip.MustParsePrefix("fd04::/64")}, netip.MustParsePrefix("10.0.9.0/24")
	n.Allocated["s1"].Subnets = []netip.Prefix{netip.MustParsePrefix("10.244.0.0/24")}
	compiled.Hosts["s1"].Routes = []spec.Route{{Dst: netip.MustParsePrefix("10.244.1.0/24")}}
	plans := map[string]*spec.Plan{"s1": {}, "s2": {}}
	for _, test := range []struct{ server, to, says, next string }{
		{"s1", "10.244.9.0/24", "s1 has a route to 10.244.9.0/24 that is not flock's: what is for there leaves n by it", "flock each s1 -- ip route del 10.244.9.0/24"},
		{"s1", "fd04::7/128", "s1 has a route to fd04::7/128 that", "flock each s1 -- ip -6 route del fd04::7/128"},
		{"s2", "10.0.9.2/32", "s2 has a route to 10.0.9.2/32 that", "flock each s2 -- ip route del 10.0.9.2/32"},
		{"s1", "10.244.1.0/24", "s1 has a route to 10.244.1.0/24 that", "on s1: ip route show 10.244.1.0/24"}, // flock's is to stay
		{"s1", "10.244.0.128/25", "", ""}, // behind its own bridge
		{"s1", "10.0.0.0/8", "", ""},      // flock's are more specific
		{"s1", "192.168.7.0/24", "", ""},
		{"s3", "10.244.9.0/24", "", ""}, // it did not answer: who knows
	} {
		c.Servers[test.server].Facts = &state.Facts{Routed: []netip.Prefix{netip.MustParsePrefix(test.to)}}
		list := Strays(c, compiled, "n", plans)
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
		c.Servers[test.server].Facts = &state.Facts{Interfaces: []state.Interface{{Name: "eth0", Direct: []netip.Prefix{netip.MustParsePrefix(test.to)}}}}
		if again := Strays(c, compiled, "n", plans); len(again) != len(list) {
			t.Errorf("%s without a gateway: %v", test.to, again)
		}
		c.Servers[test.server].Facts = &state.Facts{}
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
	if _, next := SaysOutside(list, map[string]bool{"s1": true}); next != "flock apply" {
		t.Errorf("of a server that is not as the file says: %s", next)
	}
	if _, next := SaysOutside(append(list, Outside{Network: "n", Server: "s1", To: netip.MustParsePrefix("10.0.8.2/32")}), nil); next != "flock each s1 -- ip route del 10.0.8.2/32" {
		t.Errorf("with the route that does it: %s", next)
	}
}
