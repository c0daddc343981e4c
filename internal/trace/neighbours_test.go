package trace

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/spec"
)

// TestNeighbours: an entry with the MAC of nobody, or of somebody else, is guilty; one that is right
// is not, whoever made it.
func TestNeighbours(t *testing.T) {
	t.Parallel()
	at := func(server, dev, ip, mac string, state int) func(string, *facts) {
		return func(s string, f *facts) {
			f.link("eth0").MAC = "02:00:00:00:00:0" + s[1:]
			if s == server {
				f.Neighs = append(f.Neighs, neigh{Index: f.link(dev).Index, IP: netip.MustParseAddr(ip), MAC: mac, State: state})
			}
		}
	}
	const wrong, stale = "02:00:00:00:00:77", 4
	for _, test := range []struct {
		name, to, want string
		spoil          func(string, *facts)
	}{
		{"right", "s3", "", at("s1", "vxl0", "10.0.4.252", macOfS3, permanent)},
		{"failed", "s3", "", at("s1", "vxl0", "10.0.4.252", wrong, failed)},
		{"by hand", "s3", "s1 neighbour 10.0.4.252 STOPS vxl0 has it at " + wrong + ", s3 has it with " + macOfS3 + ": the entry is permanent, nobody asks again NEXT on s1: ip neigh del 10.0.4.252 dev vxl0", at("s1", "vxl0", "10.0.4.252", wrong, permanent)},
		{"of before", "s3", "the entry is of before NEXT on s1: ip neigh del 10.0.4.252 dev vxl0", at("s1", "vxl0", "10.0.4.252", wrong, stale)},
		{"below, by hand", "s3", "s1 neighbour 10.99.0.3 STOPS eth0 has it at " + wrong + " by hand, s3 has it with 02:00:00:00:00:03: nobody asks again NEXT on s1: ip neigh del 10.99.0.3 dev eth0", at("s1", "eth0", "10.99.0.3", wrong, permanent)},
		{"below, by hand and right", "s3", "", at("s1", "eth0", "10.99.0.3", "02:00:00:00:00:03", permanent)},
		{"below, a cloud's", "s3", "", at("s1", "eth0", "10.99.0.3", wrong, stale)},
	} {
		w := newWorld(t, vx)
		w.spoil = test.spoil
		_, way := w.walk(t, "s1", test.to, "")
		if have := told(way); test.want == "" && (!way.Arrives || way.Guilty() != nil) || !strings.Contains(have, test.want) || test.want != "" && way.Arrives {
			t.Errorf("%s: want %q, have %s", test.name, test.want, have)
		}
	}
}

// TestGatewayOfContainer: a container may have the gateway's MAC, its bridge's, or one that a router
// advertisement of another member said.
func TestGatewayOfContainer(t *testing.T) {
	t.Parallel()
	a := netip.MustParsePrefix("10.0.4.17/24")
	w := newWorld(t, vx)
	g := w.compiled.Hosts["s1"].Gateways[0]
	for mac, right := range map[string]bool{g.MAC: true, macOfS3: true, "02:00:00:00:00:77": false} {
		w.spoil = func(server string, f *facts) {
			f.plug(&link{Name: "veth9", Kind: "veth", Master: f.link("vxl0").Index})
			f.Containers = []spec.Container{{Name: "netns/c9", Interfaces: []spec.ContainerInterface{{Name: "eth0", Port: "veth9", MAC: "02:00:00:00:00:09", Addrs: []netip.Prefix{a}}}}}
		}
		tr, err := New(w.c, w.compiled, nil, "s1:c9", "10.99.0.3", "", "")
		if err != nil {
			t.Fatal(err)
		}
		tr.all[place{"s1", ""}] = w.facts("s1")
		inside := &facts{base: true, Rules: tr.all[place{"s1", ""}].Rules, Routes: map[routeQuestion]route{}}
		dev := &link{Index: 1, Name: "eth0", Up: true, Carrier: true, Addrs: []netip.Prefix{a}}
		inside.Links = []*link{dev}
		inside.Neighs = []neigh{{Index: 1, IP: g.Addrs[0], MAC: mac, State: permanent}}
		inside.Routes[routeQuestion{To: netip.MustParseAddr("10.99.0.3")}] = route{Type: 1, Out: 1, Via: g.Addrs[0], Src: a.Addr()}
		tr.all[place{"s1", "netns/c9"}] = inside
		have := told(tr.Walk())
		const says = "s1:c9 neighbour 10.0.4.1 STOPS eth0 has it at"
		if strings.Contains(have, says) == right || !right && !strings.Contains(have, "NEXT on s1: ip netns exec c9 ip neigh del 10.0.4.1 dev eth0") {
			t.Errorf("%s: have %s", mac, have)
		}
	}
}

// TestSameMAC: where a forwarding entry leads to another container with the same MAC, that is said,
// with a line that gives one of both another; which of them flock attached keeps it.
func TestSameMAC(t *testing.T) {
	t.Parallel()
	const mac = "02:00:00:00:00:77"
	for _, test := range []struct {
		name, owner, other string // other has the MAC, too
		want               string
	}{
		{"here", "", "s1", "s1 MAC " + mac + " STOPS s1:c9 has it, and so has s3:c3: frames to it go to whoever of both sent last NEXT on s1: ip netns exec c9 ip link set dev eth0 address 6a:"},
		{"on a third server", "", "s2", "s2 MAC " + mac + " STOPS s2:c9 has it, and so has s3:c3: frames to it go to whoever of both sent last NEXT on s2: ip netns exec c9 ip link set dev eth0 address 6a:"},
		{"flock's", "default", "s1", "NEXT on s3: ip netns exec c3 ip link set dev eth0 address 6a:"},
		{"nobody", "", "", "s1 fdb " + mac + " STOPS"},
	} {
		w := newWorld(t, vx)
		plug := func(f *facts, name, addr, owner string) {
			f.plug(&link{Name: "veth" + name, Kind: "veth", Master: f.link("vxl0").Index})
			f.Containers = append(f.Containers, spec.Container{Name: "netns/" + name, Interfaces: []spec.ContainerInterface{
				{Name: "eth0", Port: "veth" + name, MAC: mac, Owner: owner, Addrs: []netip.Prefix{netip.MustParsePrefix(addr)}},
			}})
		}
		w.spoil = func(server string, f *facts) {
			if server == test.other {
				plug(f, "c9", "10.0.4.209/24", test.owner)
			}
			if server == "s3" {
				plug(f, "c3", "10.0.4.203/24", "")
			}
			if server != "s1" {
				return
			}
			if test.other != "s1" {
				f.Neighs = append(f.Neighs, neigh{Index: f.link("vxl0-vx").Index, MAC: mac, Dst: netip.MustParseAddr("10.99.0.2")})
				return
			}
			f.Neighs = append(f.Neighs, neigh{Index: f.link("vethc9").Index, MAC: mac, Master: true})
		}
		_, way := w.walk(t, "s1", "10.0.4.203", "")
		if have := told(way); !strings.Contains(have, test.want) || way.Arrives || way.Guilty() == nil {
			t.Errorf("%s: want %s, have %s", test.name, test.want, have)
		}
	}
}
