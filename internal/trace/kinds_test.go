package trace

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
	"github.com/flocknet/flock/internal/trace/kernel"
)

// world is a cluster whose kernels hold what its specs say. It answers what a walk lacks.
type world struct {
	c        *state.Cluster
	compiled *ground.Compiled
	spoil    func(server string, f *facts) // changes what a server says
	routes   map[string][]spec.Route       // of others, and of BGP, by server
	table    int                           // that routes are in
	refuses  map[string]int                // errors of look-ups of packets that came by a device, by server
}

// newWorld are three servers on one segment, with networks as TOML has them.
func newWorld(t *testing.T, networks string) *world {
	t.Helper()
	text := "schema = 1\ncluster = \"default\"\n"
	for i := 1; i <= 3; i++ {
		text += fmt.Sprintf("[server.s%d]\naddress = \"10.99.0.%d\"\n[server.s%d.facts]\narch = \"amd64\"\ndefault4 = \"eth0\"\nwireguard = \"kernel\"\ninterface = [{name = \"eth0\", mtu = 1500, addresses = [\"10.99.0.%d/24\", \"fd99::%d/64\"]}]\n", i, i, i, i, i)
	}
	c, err := state.Parse([]byte(text+networks), "cluster.toml")
	if err == nil {
		err = network.Complete(c)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range c.Networks {
		for server, a := range n.Allocated {
			a.Key = strings.Repeat("A", 41) + server + "="
		}
	}
	compiled, err := network.Compile(c)
	if err != nil || len(compiled.Problems) > 0 {
		t.Fatal(err, compiled.Problems)
	}
	return &world{c: c, compiled: compiled}
}

// facts are what a server says of itself: of bridges and tunnels, and of eth0.
func (w *world) facts(server string) *facts {
	h := w.compiled.Hosts[server]
	f := &facts{
		base: true, peers: true, listed: true, Rules: &kernel.Rules{Endian: kernel.EndianOf("amd64")},
		Forwards: map[[2]int]bool{}, Filters: map[int]int{}, Routes: map[routeQuestion]route{}, Clock: 1000,
	}
	for _, i := range w.c.Servers[server].Facts.Interfaces {
		f.plug(&link{Name: i.Name, MAC: "02:00:00:00:00:0" + server[1:], Addrs: i.Addrs})
	}
	for _, l := range h.Links {
		d := f.plug(&link{Name: l.Name, Kind: l.Kind, MAC: l.MAC})
		if t := l.Tunnel; t != nil {
			d.VNI, d.Port, d.Local, d.Remote, d.Group = int(t.VNI), int(t.Port), t.Local, t.Remote, t.Group
		}
		for _, a := range h.Addrs {
			if a.Link == l.Name {
				d.Addrs = append(d.Addrs, a.Prefix)
			}
		}
		if l.Kind == spec.WireGuard {
			f.WG = append(f.WG, spec.Link{Name: l.Name, Key: strings.Repeat("A", 41) + server + "="})
		}
	}
	for _, l := range h.Links {
		if l.Master != "" {
			f.link(l.Name).Master = f.link(l.Master).Index
		}
	}
	for _, n := range h.Neighs {
		f.Neighs = append(f.Neighs, neigh{Index: f.link(n.Link).Index, IP: n.IP, MAC: n.MAC, State: permanent})
	}
	for _, n := range h.FDB {
		f.Neighs = append(f.Neighs, neigh{Index: f.link(n.Link).Index, MAC: n.MAC, Dst: n.Dst, State: permanent})
	}
	for _, n := range h.Floods {
		for _, a := range n.To.Addrs() {
			f.Neighs = append(f.Neighs, neigh{Index: f.link(n.Link).Index, MAC: spec.ZeroMAC, Dst: a, State: permanent})
		}
	}
	f.Peers = h.Peers
	if w.spoil != nil {
		w.spoil(server, f)
	}
	return f
}

// plug adds a device that is up, and forwards.
func (f *facts) plug(l *link) *link {
	l.Index, l.Up, l.Carrier = len(f.Links)+1, true, true
	f.Forwards[[2]int{kernel.INet, l.Index}], f.Forwards[[2]int{kernel.INet6, l.Index}] = true, true
	f.Links = append(f.Links, l)
	return l
}

// add adds hardware with an address.
func (f *facts) add(name, prefix string) *link {
	return f.plug(&link{Name: name, Addrs: []netip.Prefix{netip.MustParsePrefix(prefix)}})
}

// route is the look-up of a kernel with one table.
func (w *world) route(server string, f *facts, q routeQuestion) route {
	if errno := w.refuses[server]; errno != 0 && q.In != 0 {
		return route{Errno: errno}
	}
	for _, l := range f.Links {
		for _, p := range l.Addrs {
			if p.Addr() == q.To {
				return route{Type: routeLocal, Src: q.To}
			}
		}
	}
	out, bits := route{Errno: errUnreachable}, -1
	take := func(dst netip.Prefix, dev string, via, src netip.Addr) {
		l := f.link(dev)
		if !dst.Contains(q.To) || dst.Bits() <= bits || l == nil || !l.Up {
			return
		}
		bits = dst.Bits()
		if !src.IsValid() {
			for _, p := range l.Addrs {
				if p.Addr().Is4() == q.To.Is4() && !src.IsValid() {
					src = p.Addr()
				}
			}
		}
		out = route{Type: 1, Out: l.Index, Via: via, Src: src, Prefix: dst, Proto: spec.RouteProto, Table: w.table}
	}
	take(netip.MustParsePrefix("0.0.0.0/0"), "eth0", netip.MustParseAddr("10.99.0.254"), netip.Addr{})
	for _, l := range f.Links {
		for _, p := range l.Addrs {
			take(p.Masked(), l.Name, netip.Addr{}, p.Addr())
		}
	}
	for _, r := range slices.Concat(w.compiled.Hosts[server].Routes, w.routes[server]) {
		if !r.Unreachable {
			take(r.Dst, r.Dev, r.Via, r.Src)
		}
	}
	return out
}

// walk follows a packet, with what the servers say.
func (w *world) walk(t *testing.T, from, to, proto string) (*Trace, *Way) {
	t.Helper()
	tr, err := New(w.c, w.compiled, network.Joining, from, to, proto, "")
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		way := tr.Walk()
		if len(way.Needs) == 0 {
			return tr, way
		}
		for _, n := range way.Needs {
			if tr.Request(n).Want.Server != n.Server {
				t.Fatal("a request for somebody else")
			}
			at := place{n.Server, n.container}
			if f := tr.facts(at); !f.base {
				tr.all[at] = w.facts(n.Server)
			}
			for _, q := range n.routes {
				tr.facts(at).Routes[q] = w.route(n.Server, tr.facts(at), q)
			}
		}
	}
	t.Fatal("the walk never has enough")
	return nil, nil
}

// told is a way in short: a line per object.
func told(w *Way) string {
	var out []string
	for _, h := range w.Hops {
		line := h.Where + " " + h.Object
		switch h.State {
		case Stops:
			line += " STOPS " + h.Says + " NEXT " + h.Next
		case Warns:
			line += " AMISS " + h.Says
		}
		out = append(out, line)
	}
	if w.Arrives {
		out = append(out, "arrives")
	}
	return strings.Join(out, "; ")
}

const (
	vx = "[network.n]\ntype = \"vxlan\"\nmembers = [\"s1\", \"s2\", \"s3\"]\n"
	wg = "[network.n]\ntype = \"wireguard\"\nlead = \"s2\"\nmembers = [\"s2\", \"s1\", \"s3\"]\n"
)

func pool(kind string) string {
	return "[network.n]\ntype = \"" + kind + "\"\nmembers = [\"s1\", \"s2\", \"s3\"]\nbridge = \"peer0\"\n"
}

// TestKinds: every kind of network is followed from end to end, and nothing is in the way.
func TestKinds(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, networks, to, want string }{
		{"vxlan", vx, "s3", "s1 route; s1 neighbour 10.0.4.252; s1 bridge vxl0; s1 fdb 00:00:00:00:00:00; s1 route; s1 device eth0; s3 bridge vxl0; s3 address 10.0.4.252; arrives"},
		{"vxlan over IPv6", strings.ReplaceAll(vx, `"s1", "s2", "s3"`, `"s1:[fd99::1]", "s2:[fd99::2]", "s3:[fd99::3]"`), "s3", "s1 route; s1 neighbour 10.0.4.252; s1 bridge vxl0; s1 fdb 00:00:00:00:00:00; s1 route; s1 device eth0; s3 bridge vxl0; s3 address 10.0.4.252; arrives"},
		{"vxlan multicast", vx + "group = \"239.1.1.1\"\ninterface = \"eth0\"\n", "s3", "s1 route; s1 neighbour 10.0.4.252; s1 bridge vxl0; s1 device vxl0-vx; s1 route; s1 device eth0; s3 bridge vxl0; s3 address 10.0.4.252; arrives"},
		{"l2", strings.Replace(vx, "vxlan", "l2", 1), "s3", "s1 route; s1 neighbour 10.0.4.252; s1 bridge vpl0; s1 fdb 00:00:00:00:00:00; s1 route; s1 peer s3; s1 route; s1 device eth0; s3 peer s1; s3 bridge vpl0; s3 address 10.0.4.252; arrives"},
		{"wireguard", wg, "s3", "s1 route; s1 peer s3; s1 route; s1 device eth0; s3 peer s1; s3 address 10.0.8.3; arrives"},
		{"wireguard hub", wg + "topology = \"hub\"\n", "s3", "s1 route; s1 peer s2; s1 route; s1 device eth0; s2 peer s1; s2 route; s2 peer s3; s2 route; s2 device eth0; s3 peer s2; s3 address 10.0.8.3; arrives"},
		{"host-gw", pool("host-gw"), "s3", "s1 route; s1 device eth0; s3 address 10.244.2.1; arrives"},
		{"vxlan-l3", pool("vxlan-l3"), "s3", "s1 route; s1 fdb 6a:0a:4c:aa:00:03; s1 route; s1 device eth0; s3 address 10.244.2.1; arrives"},
		{"udp", pool("udp"), "s3", "s1 route; s1 device n-udp; s1 route; s1 device eth0; s3 address 10.244.2.1; arrives"},
		{"ipip", pool("ipip"), "s3", "s1 route; s1 device n-ip; s1 route; s1 device eth0; s3 address 10.244.2.1; arrives"},
		{"alloc", pool("alloc"), "s3", "s1 route; s1 device eth0; s3 address 10.244.2.1; arrives"},
		{"bgp", "[network.n]\ntype = \"bgp\"\nas = 65000\nmembers = [\"s1\", \"s2\", \"s3\"]\nshares = [\"s3:10.0.12.0/24\"]\n", "10.0.12.1", "s1 route; s1 device eth0; s3 address 10.0.12.1; arrives"},
		{"gre tunnel", "[network.n]\ntype = \"gre\"\nmembers = [\"s1\", \"s3\"]\n", "s3", "s1 route; s1 device n; s1 route; s1 device eth0; s3 address 10.0.6.2; arrives"},
		{"ipip tunnel", "[network.n]\ntype = \"ipip\"\ntunnel = true\nmembers = [\"s1\", \"s3\"]\n", "s3", "s1 route; s1 device n; s1 route; s1 device eth0; s3 address 10.0.6.2; arrives"},
		{"below", vx, "10.99.0.3", "s1 route; s1 device eth0; s3 address 10.99.0.3; arrives"},
	} {
		w := newWorld(t, test.networks)
		if test.name == "bgp" { // what is behind s3, and what s1 has learned
			w.spoil = func(server string, f *facts) {
				if server == "s3" {
					f.add("lan0", "10.0.12.1/24")
				}
			}
			w.routes = map[string][]spec.Route{"s1": {{Dst: netip.MustParsePrefix("10.0.12.0/24"), Dev: "eth0", Via: netip.MustParseAddr("10.99.0.3")}}}
		}
		_, way := w.walk(t, "s1", test.to, "")
		if have := told(way); have != test.want {
			t.Errorf("%s: want\n%s\nhave\n%s", test.name, test.want, have)
		}
	}
}

// macOfS3 is what s3 has on the bridge of the network n.
const macOfS3 = "6a:0b:4c:aa:00:03"

// TestFaults: what a server says that is not as it should be is named, with what mends it.
func TestFaults(t *testing.T) {
	t.Parallel()
	at := func(where string, spoil func(*facts)) func(string, *facts) {
		return func(server string, f *facts) {
			if server == where {
				spoil(f)
			}
		}
	}
	down := func(dev string) func(*facts) { return func(f *facts) { f.link(dev).Up = false } }
	gone := func(dev string) func(*facts) {
		return func(f *facts) {
			f.Links = slices.DeleteFunc(f.Links, func(l *link) bool { return l.Name == dev })
		}
	}
	entries := func(out func(neigh) bool) func(*facts) {
		return func(f *facts) { f.Neighs = slices.DeleteFunc(f.Neighs, out) }
	}
	for _, test := range []struct {
		name, networks string
		spoil          func(string, *facts)
		refuses        map[string]int
		want           string
	}{
		{"flood list", vx, at("s1", entries(func(n neigh) bool { return n.Dst == netip.MustParseAddr("10.99.0.3") })), nil, "s1 fdb 00:00:00:00:00:00 STOPS the flood list of vxl0-vx lacks s3 (10.99.0.3): ARP and frames to whoever is not known yet do not get there NEXT flock apply n"},
		{"stale entry", vx, at("s1", func(f *facts) {
			f.Neighs = append(f.Neighs, neigh{Index: f.link("vxl0-vx").Index, MAC: macOfS3, Dst: netip.MustParseAddr("10.99.0.2")})
		}), nil, "on s1: bridge fdb del"},
		{"bridge down", vx, at("s3", down("vxl0")), nil, "s3 device vxl0 STOPS it is down NEXT flock apply n"},
		{"tunnel gone", vx, at("s3", gone("vxl0-vx")), nil, "s3 device vxl0-vx STOPS it is not there: nobody takes in what the tunnel carries NEXT flock apply n"},
		{"port", vx, at("s3", func(f *facts) { f.link("vxl0-vx").Master = 0 }), nil, "s3 port vxl0-vx STOPS it is no port of vxl0: frames from other servers end there NEXT flock apply n"},
		{"VNI", vx, at("s3", func(f *facts) { f.link("vxl0-vx").VNI++ }), nil, "s3 device vxl0-vx STOPS it has VNI 43 and port 4789, s1 has VNI 42 and port 4789 NEXT flock apply n"},
		{"neighbour", vx, at("s1", func(f *facts) {
			f.Neighs = append(f.Neighs, neigh{Index: 1, IP: netip.MustParseAddr("10.99.0.3"), State: failed})
		}), nil, "s1 neighbour 10.99.0.3 STOPS s3 (10.99.0.3) does not answer ARP on eth0 NEXT on s3: ip addr show"},
		{"endpoint where nobody is", wg, at("s1", func(f *facts) {
			f.Sessions = []spec.Session{{Link: "wg-n", Key: strings.Repeat("A", 41) + "s3=", Endpoint: "10.99.0.77:51820"}}
			f.Peers = slices.Clone(f.Peers)
			for i := range f.Peers {
				f.Peers[i].Endpoint = "10.99.0.77:51820" // as agents say it: where it is looked for
			}
			f.Neighs = append(f.Neighs, neigh{Index: 1, IP: netip.MustParseAddr("10.99.0.77"), State: failed})
		}), nil, "s1 neighbour 10.99.0.77 STOPS 10.99.0.77 does not answer ARP on eth0 NEXT flock rotatekeys n s3"},
		{"peer here", wg, at("s1", func(f *facts) { f.Peers = nil }), nil, "s1 peer of wg-n STOPS no peer has 10.0.8.3 among its allowed IPs: that of s3 is missing, or lacks it NEXT flock apply n"},
		{"peer there", wg, at("s3", func(f *facts) { f.Peers = nil }), nil, "s3 peer s1 STOPS wg-n has no peer with the key of s1: it takes in nothing from there NEXT flock apply n"},
		{"source not allowed", wg, at("s3", func(f *facts) {
			for i := range f.Peers {
				f.Peers[i].Allowed = []netip.Prefix{netip.MustParsePrefix("10.9.9.0/24")}
			}
		}), nil, "s3 peer s1 STOPS wg-n does not allow 10.0.8.2 from it: the packet is dropped NEXT flock apply n"},
		{"no key", wg, at("s1", func(f *facts) { f.WG[0].Key = "" }), nil, "s1 device wg-n STOPS it has no key, or the process behind it does not answer NEXT flock apply n"},
		{"process", pool("udp"), at("s1", func(f *facts) { f.link("n-udp").Carrier = false }), nil, "s1 device n-udp STOPS the process behind it does not run NEXT flock apply n"},
		{"no entry", pool("vxlan-l3"), at("s1", entries(func(n neigh) bool { return n.Dst == netip.MustParseAddr("10.99.0.3") })), nil, "has no entry for it: frames to s3 go nowhere NEXT flock apply n"},
		{"no neighbour", pool("vxlan-l3"), at("s1", entries(func(n neigh) bool { return n.IP.IsValid() })), nil, "has no entry for it: the frame cannot be addressed NEXT flock apply n"},
		{"device down", pool("ipip"), at("s1", down("n-ip")), nil, "s1 device n-ip STOPS it is down NEXT flock apply n"},
		{"reverse path", wg + "topology = \"hub\"\n", at("s2", func(f *facts) { f.Filters[f.link("wg-n").Index] = 1 }), map[string]int{"s2": errMartian}, "s2 rp_filter of eth0"},
	} {
		w := newWorld(t, test.networks)
		w.spoil, w.refuses = test.spoil, test.refuses
		if test.refuses != nil {
			w.spoil = func(_ string, f *facts) { f.Filters[allDevices] = 1 }
		}
		_, way := w.walk(t, "s1", "s3", "")
		if have := told(way); !strings.Contains(have, test.want) || way.Arrives || way.Guilty() == nil {
			t.Errorf("%s: want\n%s\nhave\n%s", test.name, test.want, have)
		}
	}
}

// TestBadInput: what is wrong is said before anybody is asked.
func TestBadInput(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "[network.n]\ntype = \"vxlan\"\nmembers = [\"s1\", \"s2\"]\n")
	for _, test := range []struct{ from, to, proto, want string }{
		{"s1", "s9", "", "unknown server s9"},
		{"s1", "s3", "", "no network is between s1 and s3"},
		{"s1", "s2:", "", "names no container"},
		{"s1", "s1", "", "s1 and s1 are one server"},
		{"10.0.4.1", "fd99::1", "", "different families"},
		{"192.0.2.1", "s1", "", "is of no network"},
		{"s1", "s2", "sctp/1", "is no protocol with a port"},
		{"s1", "s2", "tcp/70000", "is no protocol with a port"},
	} {
		if _, err := New(w.c, w.compiled, network.Joining, test.from, test.to, test.proto, ""); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s %s %s: want %s, have %v", test.from, test.to, test.proto, test.want, err)
		}
	}
}

// TestHome: a container reaches the server that it is on at the server's address in the network.
func TestHome(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "[network.n]\ntype = \"vxlan\"\nsubnet = [\"10.0.4.0/24\", \"fd04::/64\"]\nmembers = [\"s1\", \"s2\"]\n")
	for from, want := range map[string]string{"s1:c1": "10.0.4.254", "s1:10.0.4.9": "10.0.4.254", "s1:fd04::9": "fd04::"} {
		tr, err := New(w.c, w.compiled, network.Joining, from, "s1", "", "")
		if err != nil || !strings.HasPrefix(tr.To.Addr.String(), want) || tr.Network != "n" {
			t.Errorf("%s: want %s, have %+v, %v", from, want, tr, err)
		}
	}
}
