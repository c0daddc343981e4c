package trace

import (
	"encoding/base64"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
	"github.com/flocknet/flock/internal/trace/kernel"
)

// heardOn is what a server heard on a device.
func heardOn(index int, out bool, b []byte) []string {
	way := "<"
	if out {
		way = ">"
	}
	return []string{strconv.Itoa(index) + way + base64.StdEncoding.EncodeToString(b)}
}

// wrapped is what follows an IP header, with one.
func wrapped(src, dst netip.Addr, proto int, data []byte) []byte {
	var b []byte
	if src.Is4() {
		b = append([]byte{0x45, 0, 0, 0, 0, 0, 0, 0, 64, byte(proto), 0, 0}, src.AsSlice()...)
	} else {
		b = append([]byte{0x60, 0, 0, 0, 0, 0, byte(proto), 64}, src.AsSlice()...)
	}
	return slices.Concat(b, dst.AsSlice(), data)
}

func nextOf(err error) string {
	_, next := hint.Of(err)
	return next
}

var random = []byte("0123456789abcdef")

// TestQuestionIsNoPacket: that somebody asks who has the address does not mean that the packet
// came.
func TestQuestionIsNoPacket(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pool("host-gw"))
	for _, test := range []struct {
		asks    bool
		reaches bool
	}{{true, false}, {false, true}} {
		tr, way := w.walk(t, "s1", "s3", "udp/53")
		if !tr.Packet(way, random) {
			t.Fatal("no packet")
		}
		b := wrapped(tr.sent.src, tr.sent.dst, protoUDP, tr.sent.data)
		if test.asks {
			b = slices.Concat(make([]byte, 14), tr.sent.asks[len(tr.sent.asks)-1])
		}
		last := way.passes[len(way.passes)-1]
		r := tr.Judge(way, "", map[string][]string{last.server: heardOn(last.index, last.out, b)})
		if r.Reaches != test.reaches || r.Came != test.reaches {
			t.Errorf("a question %v: %s", test.asks, r.Verdict)
		}
	}
}

// TestKindsOfSightings: the packet, its answer and the question for a MAC are told from each
// other, and from other packets between both ends.
func TestKindsOfSightings(t *testing.T) {
	t.Parallel()
	six := strings.ReplaceAll(vx, "[network.n]", "[network.n]\nsubnet = [\"10.0.4.0/24\", \"fd00:4::/64\"]")
	for _, test := range []struct{ from, to, proto string }{
		{"s1", "s3", ""},
		{"s1", "s3", "tcp/443"},
		{"s1", "s3", "udp/53"},
		{"s1:fd99::1", "fd99::3", ""},
		{"s1:fd99::1", "fd99::3", "tcp/443"},
		{"s1", "10.0.4.254", ""},
		{"s1", "10.0.4.254", "tcp/443"}, // its own
	} {
		w := newWorld(t, six)
		tr, way := w.walk(t, test.from, test.to, test.proto)
		if !tr.Packet(way, random) {
			t.Fatal(test, told(way))
		}
		s := tr.sent
		back := slices.Clone(s.data)
		switch tr.Protocol {
		case protoTCP:
			back = make([]byte, 24)
			copy(back[8:], s.answer)
			back[13] = 0x12
			// Ports may be translated.
			s.data[0], s.data[1] = 9, 9
		case protoICMP:
			back[0] = 0
		default:
			back[0] = 129
		}
		elsewhere := netip.MustParseAddr("10.9.9.9") // by masquerade
		if s.dst.Is6() {
			elsewhere = netip.MustParseAddr("fd09::9")
		}
		solicits := append([]byte{135, 0, 0, 0, 0, 0, 0, 0}, s.dst.AsSlice()...)
		for _, one := range []struct {
			name string
			b    []byte
			want int
		}{
			{"packet", wrapped(s.src, s.dst, tr.Protocol, s.data), isPacket},
			{"packet inside", append(make([]byte, 36), wrapped(s.src, s.dst, tr.Protocol, s.data)...), isPacket},
			{"translated packet", wrapped(elsewhere, s.dst, tr.Protocol, s.data), isPacket},
			{"another packet", wrapped(s.src, s.dst, tr.Protocol, make([]byte, 60)), 0},
			{"answer", wrapped(s.dst, s.src, tr.Protocol, back), isAnswer},
			{"question", wrapped(s.src, s.dst, protoICMP6, solicits), isAsk},
		} {
			if one.want == isAsk && s.dst.Is4() || one.want == isAnswer && tr.Protocol == protoUDP {
				continue
			}
			if have, _, _ := tr.classify(one.b); have != one.want {
				t.Errorf("%v: %s: want %d, have %d", test, one.name, one.want, have)
			}
		}
	}
}

// TestOwnAddresses: a gateway, which all members have, may be either end.
func TestOwnAddresses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, vx)
	for _, test := range []struct{ from, to string }{{"s1:10.0.4.1", "10.0.4.252"}, {"s1", "10.0.4.1"}, {"s1:10.0.4.1", "10.0.4.1"}, {"s1", "s1:10.0.4.1"}} {
		tr, way := w.walk(t, test.from, test.to, "")
		if !way.Arrives || way.Guilty() != nil {
			t.Errorf("%v: %s", test, told(way))
		}
		// That nothing is heard is told with a command that names a server.
		tr.Packet(way, random)
		if r := tr.Judge(way, "", map[string][]string{}); strings.Contains(r.Next, "on :") {
			t.Errorf("%v: next: %s", test, r.Next)
		}
	}
	if _, way := w.walk(t, "s1", "s2:10.0.4.1", ""); way.Arrives {
		t.Errorf("what s1 has itself does not get to s2: %s", told(way))
	}
	_, err := New(w.c, w.compiled, network.Joining, "10.0.4.1", "s2", "", "")
	if err == nil || !strings.Contains(err.Error(), "several servers have 10.0.4.1") || !strings.Contains(nextOf(err), "s1:10.0.4.1, s2:10.0.4.1") {
		t.Errorf("have %v", err)
	}
}

// TestStaleNeighbour: an entry of long ago is asked for again by the packet, before it is guilty.
func TestStaleNeighbour(t *testing.T) {
	t.Parallel()
	w := newWorld(t, vx)
	w.spoil = func(server string, f *facts) {
		if server == "s1" {
			f.Neighs = append(f.Neighs, neigh{Index: 1, IP: netip.MustParseAddr("10.99.0.3"), State: failed})
		}
	}
	if _, way := w.walk(t, "s1", "10.99.0.3", ""); way.Guilty() == nil || !way.nobody {
		t.Errorf("it is final: %s", told(way))
	}
}

// TestSeenBehind: an object is not guilty when the packet was seen behind it.
func TestSeenBehind(t *testing.T) {
	t.Parallel()
	w := newWorld(t, wg+"topology = \"hub\"\n")
	drops := &kernel.Chain{Family: kernel.INet, Table: "t", Name: "c", Type: "filter", Hook: kernel.Forwarding, Drop: true}
	w.spoil = func(server string, f *facts) {
		if server == "s2" {
			f.Rules.Chains = []*kernel.Chain{drops}
		}
	}
	for _, at := range []string{"s2", "s3"} {
		tr, way := w.walk(t, "s1", "s3", "")
		if !tr.Packet(way, random) || way.Guilty() == nil {
			t.Fatal(told(way))
		}
		index := tr.facts(place{"s2", ""}).link("wg-n").Index
		r := tr.Judge(way, "", map[string][]string{at: heardOn(index, false, wrapped(tr.sent.src, tr.sent.dst, protoICMP, tr.sent.data))})
		if stops := strings.HasPrefix(r.Verdict, "stops at s2"); stops != (at == "s2") || stops != r.Agrees {
			t.Errorf("seen on %s: %s; %s", at, r.Verdict, r.Packet)
		}
	}
}

// TestDead: a server that does not answer, and is not on the way, is in nobody's way; one that
// may have the address is not taken for one that does not.
func TestDead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, vx)
	a := netip.MustParsePrefix("10.0.4.77/24")
	w.spoil = func(server string, f *facts) {
		if server == "s3" {
			f.plug(&link{Name: "veth9", Kind: "veth", Master: f.link("vxl0").Index})
			f.Containers = []spec.Container{{Name: "netns/c9", Interfaces: []spec.ContainerInterface{{Name: "eth0", Port: "veth9", MAC: "02:00:00:00:00:77", Addrs: []netip.Prefix{a}}}}}
		}
	}
	walk := func(dead string) *Way {
		tr, err := New(w.c, w.compiled, network.Joining, "s1", a.Addr().String(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range []string{"s1", "s2", "s3"} {
			tr.all[place{s, ""}] = w.facts(s)
		}
		inside := w.facts("s2")
		inside.plug(&link{Name: "eth0", Addrs: []netip.Prefix{a}})
		tr.all[place{"s3", "netns/c9"}] = inside
		tr.all[place{dead, ""}] = &facts{silent: true}
		for range 100 {
			way := tr.Walk()
			if len(way.Needs) == 0 || way.Needs[0].Server == dead {
				return way
			}
			for _, n := range way.Needs {
				for _, q := range n.routes {
					at := tr.facts(place{n.Server, n.container})
					at.Routes[q] = w.route(n.Server, at, q)
				}
			}
		}
		return nil
	}
	if way := walk("s3"); way == nil || way.Guilty() != nil || len(way.Needs) == 0 {
		t.Errorf("s3 may have it: %s", told(way))
	}
	if way := walk("s2"); way == nil || !way.Arrives {
		t.Errorf("s2 is not on the way: %s", told(way))
	}
}

// TestNext: what is told to be run next can be.
func TestNext(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ networks, from, to, want string }{
		{strings.Replace(wg, `, "s3"`, "", 1), "s3", "10.0.8.1", "NEXT flock addnetwork n client s3"},
		{"[network.n]\ntype = \"bgp\"\nmembers = [\"s1\", \"s2\"]\nshares = [\"s2:10.0.12.0/24\"]\n", "s3", "10.0.12.9", "NEXT flock addbgp n peer s3"},
		{"[network.n]\ntype = \"bgp\"\nmembers = [\"s1\", \"s2\"]\nshares = [\"s2:10.0.12.0/24\"]\n", "s1", "10.0.12.9", "NEXT flock showbgp s1"},
		{strings.Replace(vx, `, "s3"`, "", 1), "s3", "10.0.4.9", "NEXT flock addnetwork n s3"},
	} {
		if _, way := newWorld(t, test.networks).walk(t, test.from, test.to, ""); !strings.Contains(told(way), test.want) {
			t.Errorf("want %s, have %s", test.want, told(way))
		}
	}
	// Filters by the way back: strict, loose, of a VLAN.
	for _, test := range []struct {
		filter     int
		next, says string
	}{
		{1, "on s1: sysctl -w net.ipv4.conf.eth0/100.rp_filter=2", "net.ipv4.conf.eth0/100.rp_filter = 1"},
		{2, "on s1: ip route get 10.0.12.9", "no way at all"},
	} {
		w := newWorld(t, vx)
		tr, err := New(w.c, w.compiled, network.Joining, "s1", "s2", "", "")
		if err != nil {
			t.Fatal(err)
		}
		f := w.facts("s1")
		by := f.add("eth0.100", "10.1.1.1/24")
		f.Filters[by.Index] = test.filter
		tr.all[place{"s1", ""}] = f
		walk := &walker{t: tr, Way: &Way{}}
		walk.refused("s1", by, packet{src: netip.MustParseAddr("10.0.12.9"), dst: netip.MustParseAddr("10.0.4.254")}, route{Errno: errCrossDevice})
		if g := walk.Guilty(); g == nil || g.Next != test.next || !strings.Contains(g.Says, test.says) {
			t.Errorf("filter %d: %+v", test.filter, g)
		}
	}
	// A rule of the server's own that no route shows.
	for errno, of := range map[int]string{errProhibit: "prohibit", errMartian: "blackhole"} {
		w := newWorld(t, vx)
		tr, err := New(w.c, w.compiled, network.Joining, "s1", "s2", "", "")
		if err != nil {
			t.Fatal(err)
		}
		tr.all[place{"s1", ""}] = w.facts("s1")
		walk := &walker{t: tr, Way: &Way{}}
		walk.refused("s1", nil, packet{dst: netip.MustParseAddr("10.99.0.2")}, route{Errno: errno})
		next := "on s1: sh -c 'ip rule; ip route show table all type " + of + "'"
		if g := walk.Guilty(); g == nil || g.Next != next || !strings.Contains(g.Says, "type "+of) {
			t.Errorf("%s: %+v", of, g)
		}
	}
	// Another's route, in a table of its own; names with blanks.
	w := newWorld(t, pool("host-gw"))
	w.routes = map[string][]spec.Route{"s1": {{Dst: netip.MustParsePrefix("10.244.2.0/25"), Dev: "eth0", Via: netip.MustParseAddr("10.99.0.77")}}}
	w.table = 100
	if _, way := w.walk(t, "s1", "s3", ""); !strings.Contains(told(way), "NEXT on s1: ip route del 10.244.2.0/25 via 10.99.0.77 dev eth0 table 100") {
		t.Errorf("have %s", told(way))
	}
	if have := runOn("s1", (&kernel.Chain{Family: kernel.INet, Table: "t", Name: "a b;c"}).List()...); have != "on s1: nft list chain ip t 'a b;c'" {
		t.Errorf("have %s", have)
	}
	if have := inside("s1", "docker/c 1", "ip", "route"); have != "on s1: docker exec 'c 1' ip route" {
		t.Errorf("have %s", have)
	}
	// The way back from an address that several servers have.
	w = newWorld(t, vx)
	tr, way := w.walk(t, "s1", "10.0.4.1", "")
	tr.Packet(way, random)
	r := &Result{Way: way, Sent: true, Came: true}
	if tr.arrived(r); r.Next != "flock trace s1:10.0.4.1 s1" {
		t.Errorf("have %s", r.Next)
	}
}

// TestBehind: a packet from a host behind a server begins there, and none is sent in its name.
func TestBehind(t *testing.T) {
	t.Parallel()
	w := newWorld(t, wg+"shares = [\"s1:10.0.12.0/24\"]\n")
	w.spoil = func(server string, f *facts) {
		if server == "s1" {
			f.add("lan0", "10.0.12.1/24")
		}
	}
	tr, way := w.walk(t, "10.0.12.7", "s3", "")
	if have := told(way); !strings.HasPrefix(have, "s1 device lan0; s1 route; s1 peer s3") || !way.Arrives {
		t.Errorf("have %s", have)
	}
	if tr.Packet(way, random) {
		t.Error("a packet is sent from an address that is elsewhere")
	}
	if r := tr.Judge(way, "", nil); !r.Reaches {
		t.Errorf("have %s", r.Verdict)
	}
}

// TestSeveral: a name that several containers have is refused, with their names; before anybody
// is asked where the file has them.
func TestSeveral(t *testing.T) {
	t.Parallel()
	w := newWorld(t, vx)
	w.spoil = func(_ string, f *facts) { f.Containers = []spec.Container{{Name: "lxc/c1"}, {Name: "docker/c1"}} }
	_, way := w.walk(t, "s1", "s2:c1", "")
	if way.Refusal == nil || nextOf(way.Refusal) != "one of: s2:lxc/c1, s2:docker/c1" || way.Guilty() != nil {
		t.Errorf("have %v, %s", way.Refusal, told(way))
	}
	w.c.Servers["s2"].Attached = []state.Attachment{{Container: "lxc/c1", Interface: "eth1"}, {Container: "docker/c1", Interface: "eth1"}, {Container: "docker/c1", Interface: "eth2"}}
	if _, err := New(w.c, w.compiled, network.Joining, "s1", "s2:c1", "", ""); err == nil || nextOf(err) != "one of: s2:docker/c1, s2:lxc/c1" {
		t.Errorf("have %v", err)
	}
	if _, err := New(w.c, w.compiled, network.Joining, "s1", "s2:lxc/c1", "", ""); err != nil {
		t.Error(err)
	}
}

// TestGuest: nobody looks into a guest. A packet for it ends at its port, and one from it begins
// behind its server.
func TestGuest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, vx)
	w.spoil = func(server string, f *facts) {
		if server == "s2" {
			port := f.plug(&link{Name: "vnet0", Kind: "tun", Master: f.link("vxl0").Index})
			f.Neighs = append(f.Neighs, neigh{Index: f.link("vxl0").Index, IP: netip.MustParseAddr("10.0.4.9"), MAC: "52:54:00:00:00:01", State: permanent},
				neigh{Index: port.Index, Master: true, MAC: "52:54:00:00:00:01"})
			f.Containers = []spec.Container{{Name: "libvirt/web", Interfaces: []spec.ContainerInterface{{
				Name: "eth0", Port: "vnet0", Bridge: "vxl0", MAC: "52:54:00:00:00:01", Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.4.9/24")},
			}}}}
		}
	}
	_, way := w.walk(t, "s2", "s2:web", "")
	if have := told(way); !way.Arrives || !strings.Contains(have, "s2 port vnet0") || strings.Contains(have, "s2:web") {
		t.Errorf("to a guest: %v, %s", way.Refusal, have)
	}
	for _, from := range []string{"s2:web", "10.0.4.9"} {
		tr, way := w.walk(t, from, "s2", "")
		if have := told(way); !way.Arrives || !strings.HasPrefix(have, "s2 device vxl0") {
			t.Errorf("from %s: %v, %s", from, way.Refusal, have)
		}
		if tr.Packet(way, random) {
			t.Errorf("a packet is sent from %s", from)
		}
	}
}
