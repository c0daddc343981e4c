//go:build linux

package dhcp

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/agent/written"
	"github.com/flocknet/flock/internal/spec"
)

// routedServer is server i of those whose bridges routes lead to, by way of hub.
func routedServer(t *testing.T, i int, hub *host) *host {
	h := newHost(t)
	h.sh(fmt.Sprintf(`ip link add vxl0 type bridge; ip addr add 10.1.%d.1/24 dev vxl0; ip addr add fd00:%d::1/64 dev vxl0 nodad; ip link set vxl0 up
		echo 1 >/proc/sys/net/ipv4/ip_forward`, i, i))
	h.join("eth0", hub, fmt.Sprint("p", i), "hub")
	h.awaitCarrier("eth0")
	h.sh(fmt.Sprintf("ip addr add 10.9.9.%d/24 dev eth0; for n in 1 2 3; do [ $n = %d ] || ip route add 10.1.$n.0/24 via 10.9.9.$n; done", i, i))
	return h
}

// routedDHCP is what server i hands out, whose network, like the others', is called n1, too.
func routedDHCP(i int) spec.DHCP {
	at := fmt.Sprintf("10.1.%d.", i)
	d := spec.DHCP{
		Network: "vx1", Bridge: "vxl0", Domain: "app", MTU: 1500, Listen: addrs(at+"1", fmt.Sprintf("fd00:%d::1", i)), DNS: addrs(at + "1"), Router: addrs(at + "1")[0],
		Ranges: []spec.Range{
			{First: addrs(at + "2")[0], Last: addrs(at + "99")[0], Subnet: netip.MustParsePrefix(at + "0/24")},
			{First: addrs(fmt.Sprintf("fd00:%d::", i))[0], Last: addrs(fmt.Sprintf("fd00:%d::", i))[0], Subnet: netip.MustParsePrefix(fmt.Sprintf("fd00:%d::/64", i))},
		},
		Hosts: []spec.HostName{{Name: fmt.Sprint("s", i), Addr: addrs(at + "1")[0]}, {Name: fmt.Sprint("fixed", i), Addr: addrs(fmt.Sprintf("fd00:%d::f", i))[0]}},
	}
	d.Zone = &spec.Zone{Domain: "n1"}
	for n := 1; n <= 3; n++ {
		if n != i {
			d.Peers = append(d.Peers, addrs(fmt.Sprintf("10.1.%d.1", n))...)
			d.Zone.Subnets = append(d.Zone.Subnets, netip.MustParsePrefix(fmt.Sprintf("10.1.%d.0/24", n)))
		}
	}
	if i == 1 {
		d.Domain = "lan"
	}
	return d
}

// asked is what the server at at says to a question of c's within a second.
func (h *host) asked(qtype, name, at string) string {
	out, _ := h.try("busybox nslookup -retry=1 -timeout=1 -type=" + qtype + " " + name + " " + at + " 2>&1")
	return strings.Join(strings.Fields(out), " ")
}

// Servers whose bridges routes lead to know each other's names, as those on one segment do.
func TestDHCPRouted(t *testing.T) {
	hub := newHost(t)
	hub.sh("ip link add hub type bridge forward_delay 0; ip link set hub up")
	var servers [4]*host
	var on [4]*Server
	var cs [4]*host
	ip := map[int]string{}
	for i := 1; i <= 3; i++ {
		s := routedServer(t, i, hub)
		servers[i], on[i] = s, testServer(t, s)
		s.Set(on[i], routedDHCP(i))
		cs[i] = container(t, s, "cp")
		ip[i] = cs[i].lease(fmt.Sprint("c", i))["ip"]
		cs[i].sh(fmt.Sprintf("ip route add default via 10.1.%d.1", i))
	}
	for _, ask := range []struct {
		from              int
		qtype, name, want string
	}{
		{1, "a", "c2.n1", ip[2]},
		{1, "a", "c3.n1", ip[3]},
		{2, "a", "c1.n1", ip[1]},
		{3, "a", "C1.N1", ip[1]},
		{1, "a", "c1.n1", ip[1]},
		{1, "a", "c2.lan", ip[2]},
		{2, "a", "c1.app", ip[1]},
		{2, "a", "c1", ip[1]},
		{2, "a", "s1.n1", "10.1.1.1"},
		{1, "aaaa", "fixed2.n1", "fd00:2::f"},
		{1, "aaaa", "fixed2.lan", "fd00:2::f"},
		{1, "aaaa", "c2.n1", "answer:"},
		{1, "a", "fixed2.n1", "answer:"},
		{1, "a", "nobody.n1", "NXDOMAIN"},
		{1, "a", "x.c2.n1", "NXDOMAIN"},
		{1, "a", "n1", "NXDOMAIN"},
		{1, "ptr", ip[2][len("10.1.2."):] + ".2.1.10.in-addr.arpa", "c2.app"},
	} {
		poll(t, func() error { // servers may have to find each other first
			if have := cs[ask.from].asked(ask.qtype, ask.name, fmt.Sprintf("10.1.%d.1", ask.from)); !strings.Contains(have, ask.want) {
				return fmt.Errorf("%s %s on server %d: want %s, have %q", ask.qtype, ask.name, ask.from, ask.want, have)
			}
			return nil
		})
	}

	// A name belongs to the container that had it first.
	first := container(t, servers[1], "first").lease("web")["ip"]
	poll(t, func() error {
		if have := servers[1].lookup("web", fmt.Sprint("10.1.1.1:", written.LeafPort)); !strings.HasSuffix(have, first) {
			return fmt.Errorf("web is %q", have)
		}
		return nil
	})
	late := container(t, servers[2], "late")
	late.lease("web")
	poll(t, func() error {
		for i := 1; i <= 3; i++ {
			if have := cs[i].lookup("web.n1", fmt.Sprintf("10.1.%d.1", i)); !strings.HasSuffix(have, first) || strings.Count(have, "Address:") > 1 {
				return fmt.Errorf("web is %q on server %d, want %s", have, i, first)
			}
		}
		return nil
	})

	// One that is cut off delays nobody.
	servers[3].sh("ip link set eth0 down")
	for name, want := range map[string]string{"c2.n1": ip[2], "c1.n1": ip[1], "c3.n1": "NXDOMAIN", "nobody.n1": "NXDOMAIN", "web.n1": first} {
		if have := cs[1].asked("a", name, "10.1.1.1"); !strings.Contains(have, want) || strings.Contains(have, "timed out") {
			t.Errorf("%s, with a server away: want %s, have %q", name, want, have)
		}
	}

	// A peer that no route of its own leads to is not asked by the default route.
	servers[1].sh("ip route del 10.1.2.0/24; ip route add default via 10.9.9.2; ip route add 192.0.2.0/24 via 10.9.9.2; ip route add unreachable 198.51.100.0/24")
	servers[1].do(func() {
		for to, want := range map[string]bool{"10.1.2.1": false, "192.0.2.1": true, "198.51.100.1": false, "10.1.3.1": true, "fd00:2::1": false, "fd00:1::7": true} {
			if routed(netip.MustParseAddr(to)) != want {
				t.Errorf("%s is routed: %v", to, !want)
			}
		}
	})
	if have := cs[1].asked("a", "c2.n1", "10.1.1.1"); strings.Contains(have, ip[2]) {
		t.Errorf("asked by the default route: %q", have)
	}

	// Who is no member is not answered, nor are containers.
	at := fmt.Sprint("10.1.1.1:", spec.NamesPort)
	hub.sh("ip addr add 10.9.9.9/24 dev hub; ip route add 10.1.1.0/24 via 10.9.9.1")
	if hub.reaches("10.1.1.1"); strings.Contains(hub.asked("a", "c1", at), ip[1]) {
		t.Error("a stranger is answered")
	}
	if have := servers[2].asked("a", "c1", at); strings.Contains(have, ip[1]) { // by its address below
		t.Errorf("a stranger's address is answered: %q", have)
	}
	if cs[2].reaches("10.1.1.1"); strings.Contains(cs[2].asked("a", "c1", at), ip[1]) {
		t.Error("a container is answered")
	}

	// Another address of its own is listened at at once.
	moved := routedDHCP(2)
	servers[2].sh("ip addr add 10.1.22.1/24 dev vxl0; ip addr del 10.1.2.1/24 dev vxl0")
	servers[1].sh("ip route add 10.1.22.0/24 via 10.9.9.2")
	for i, r := range moved.Ranges[:1] {
		r.First, r.Last, r.Subnet = addrs("10.1.22.2")[0], addrs("10.1.22.99")[0], netip.MustParsePrefix("10.1.22.0/24")
		moved.Ranges[i] = r
	}
	moved.Listen[0], moved.DNS, moved.Router = addrs("10.1.22.1")[0], addrs("10.1.22.1"), addrs("10.1.22.1")[0]
	servers[2].Set(on[2], moved)
	one := routedDHCP(1)
	one.Peers = addrs("10.1.22.1")
	servers[1].Set(on[1], one)
	again := cs[2].lease("c2")["ip"]
	poll(t, func() error {
		if have := cs[1].lookup("c2.n1", "10.1.1.1"); !strings.HasSuffix(have, again) {
			return fmt.Errorf("c2 is %q, want %s", have, again)
		}
		return nil
	})
}
