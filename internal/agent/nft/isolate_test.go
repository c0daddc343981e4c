//go:build linux

package nft

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/spec"
)

// isolated makes the guards of an overlay those of an isolated network.
func isolated(g *spec.Guard) {
	g.Isolated = &spec.Isolation{}
	for _, p := range []string{"10.99.0.1/32", "10.99.0.2/32", "fd99::1/128", "fd99::2/128"} {
		g.Isolated.From = append(g.Isolated.From, netip.MustParsePrefix(p))
	}
}

// listens echoes what comes on TCP ports until the test ends.
func (h *host) listens(ports ...int) {
	h.t.Helper()
	for _, port := range ports {
		h.Do(func() {
			l, err := net.ListenTCP("tcp", &net.TCPAddr{Port: port})
			if err != nil {
				h.t.Error(err)
				return
			}
			h.t.Cleanup(func() { _ = l.Close() }) // nothing is written
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					go func() {
						_, _ = io.Copy(c, c)
						_ = c.Close()
					}()
				}
			}()
		})
	}
}

// connects says whether a TCP connection to a port is answered within half a second.
func (h *host) connects(to string, port int) (ok bool) {
	h.t.Helper()
	h.Do(func() {
		c, err := net.DialTimeout("tcp", net.JoinHostPort(to, fmt.Sprint(port)), 500*time.Millisecond)
		if ok = err == nil; ok {
			ok = c.Close() == nil
		}
	})
	return ok
}

// zone is eth0's number: Go remembers names of devices whatever the namespace.
func (h *host) zone() string {
	h.t.Helper()
	return "%" + strings.TrimSpace(h.Sh("ip -o link show dev eth0 | cut -d: -f1"))
}

// linkLocal is dev's address there.
func (h *host) linkLocal(dev string) string {
	h.t.Helper()
	fields := strings.Fields(h.Sh("ip -6 -o addr show dev " + dev + " scope link"))
	addr, _, ok := strings.Cut(fields[3], "/")
	if !ok {
		h.t.Fatalf("%s has no link-local address: %v", dev, fields)
	}
	return addr
}

const sshPort = 22

// Of a server, here and elsewhere, containers of an isolated network reach DHCP, DNS at the
// network's own addresses, and ping; what is beyond, and each other, as without.
func TestIsolatedContainersReachNoServer(t *testing.T) {
	o := guarded(t)
	near, far, c := o.servers[0], o.servers[1], o.containers[0]
	for _, h := range []*host{near, far, o.fabric, o.containers[1]} {
		h.listens(sshPort, dnsPort)
	}
	on := []string{"10.0.4.1", "10.0.4.254", "10.0.4.253", "fd00:4::1", "fd00:4::254", "fd00:4::253"}
	below := []string{"10.99.0.1", "10.99.0.2", "fd99::1", "fd99::2"}
	onLink := []string{near.linkLocal("vxl0") + c.zone(), far.linkLocal("vxl0") + c.zone()}
	others := []string{"10.99.0.254", "fd99::254", "10.0.4.3", "fd00:4::a2"}
	all := append(append(append([]string{}, on...), below...), onLink...)
	for _, to := range append(all, others...) {
		c.Reaches(to)
		if !c.connects(to, sshPort) {
			t.Errorf("before, %s is closed", to)
		}
	}
	var begun net.Conn
	c.Do(func() { begun, _ = net.Dial("tcp", "10.0.4.1:22") })
	if begun == nil || !echoes(begun) {
		t.Fatal("the first connection carries nothing")
	}
	for i, s := range o.servers {
		want := overlayHost(i)
		guard(want, isolated)
		put(s, want)
	}
	if echoes(begun) {
		t.Error("what a container began before is still open")
	}
	for _, to := range all {
		c.Reaches(to)
		if c.connects(to, sshPort) {
			t.Errorf("%s is open", to)
		}
	}
	for _, to := range on {
		if !c.connects(to, dnsPort) {
			t.Errorf("names are not answered at %s", to)
		}
	}
	for _, to := range append(below, onLink...) {
		if c.connects(to, dnsPort) {
			t.Errorf("another server of names is reached at %s", to)
		}
	}
	for _, to := range others {
		c.Reaches(to)
		if !c.connects(to, sshPort) {
			t.Errorf("what is no server is closed: %s", to)
		}
	}
	isolatedDatagrams(t, o, on, below)
	isolatedServers(t, o)
	for i, s := range o.servers { // and open again
		want := overlayHost(i)
		guard(want)
		put(s, want)
		if rules := s.Sh("nft list ruleset"); strings.Contains(rules, "isolate") {
			t.Errorf("something is left:\n%s", rules)
		}
	}
	for _, to := range all {
		if !c.connects(to, sshPort) {
			t.Errorf("afterwards %s is closed", to)
		}
	}
}

func isolatedDatagrams(t *testing.T, o *overlay, on, below []string) {
	near, far, c := o.servers[0], o.servers[1], o.containers[0]
	at := func(to string) *host {
		if strings.HasSuffix(to, "253") || strings.HasSuffix(to, ".2") || strings.HasSuffix(to, "::2") {
			return far
		}
		return near
	}
	for _, to := range append(on, below...) {
		four, six := strings.HasPrefix(to, "10.0.4."), strings.HasPrefix(to, "fd00:4:")
		for port, open := range map[int]bool{2000: false, 5353: false, dnsPort: four || six, dhcpServer: four, dhcp6Server: six} {
			if heard := at(to).hears(port, func() { c.send(net.JoinHostPort(to, fmt.Sprint(port))) }); heard != open {
				t.Errorf("UDP port %d at %s is heard: %v", port, to, heard)
			}
		}
	}
	near.Do(func() { // as a DHCPv6 server does
		dev, err := net.InterfaceByName("vxl0")
		if err == nil {
			var group *net.UDPConn
			if group, err = net.ListenMulticastUDP("udp6", dev, &net.UDPAddr{IP: net.ParseIP("ff02::1:2"), Port: 5470}); err == nil {
				t.Cleanup(func() { _ = group.Close() }) // nothing is read
			}
		}
		if err != nil {
			t.Error(err)
		}
	})
	for to, open := range map[string]bool{"255.255.255.255:67": true, "255.255.255.255:2000": false, "[ff02::1:2" + c.zone() + "]:547": true, "[ff02::1" + c.zone() + "]:2000": false} {
		port, _ := net.LookupPort("udp", to[strings.LastIndex(to, ":")+1:])
		if heard := near.hears(port, func() { c.send(to) }); heard != open {
			t.Errorf("%s is heard: %v", to, heard)
		}
	}
	// As a server nobody speaks who is none.
	for own, to := range map[string]string{"10.0.4.253/24": "10.0.4.254", "fd00:4::253/64": "fd00:4::254"} {
		from, _, _ := strings.Cut(own, "/")
		c.Sh("ip addr add " + own + " dev eth0 nodad 2>/dev/null || ip addr add " + own + " dev eth0")
		if near.hears(2000, func() {
			c.Do(func() {
				d := net.Dialer{LocalAddr: net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(from), 0))}
				if s, err := d.Dial("udp", net.JoinHostPort(to, "2000")); err != nil {
					t.Error(err)
				} else if _, err = s.Write([]byte("I am a server")); err != nil {
					t.Error(err)
				}
			})
		}) {
			t.Errorf("who passes for %s is heard", from)
		}
		c.Sh("ip addr del " + own + " dev eth0")
	}
}

// Servers hear each other, and what answers them.
func isolatedServers(t *testing.T, o *overlay) {
	for _, to := range []string{"10.0.4.253", "fd00:4::253", "10.0.4.3", "fd00:4::a2", "10.99.0.2"} {
		if !o.servers[0].connects(to, sshPort) {
			t.Errorf("a server does not reach %s", to)
		}
	}
	// One that comes in below is answered by the way that it came.
	o.servers[1].Sh("ip route add 10.0.4.2/32 via 10.99.0.1; ip route add fd00:4::a1/128 via fd99::1")
	o.containers[0].listens(sshPort)
	for _, to := range []string{"10.0.4.2", "fd00:4::a1"} {
		if !o.servers[1].connects(to, sshPort) {
			t.Errorf("another server does not reach %s from below", to)
		}
	}
	o.servers[1].Sh("ip route del 10.0.4.2/32 via 10.99.0.1; ip route del fd00:4::a1/128 via fd99::1")
}

// echoes says whether what is written comes back within half a second.
func echoes(c net.Conn) bool {
	if c.SetDeadline(time.Now().Add(500*time.Millisecond)) != nil {
		return false
	}
	if _, err := c.Write([]byte("x")); err != nil {
		return false
	}
	_, err := c.Read(make([]byte, 1))
	return err == nil
}

// A bridge that no other server is on: nobody speaks there as one, DNS is the gateway's, and
// where a door stands it decides.
func TestIsolationOfOneServersBridge(t *testing.T) {
	s, c, outside := newHost(t), newHost(t), newHost(t)
	s.Sh("ip link add cbr0 address 6a:0b:05:06:00:01 type bridge forward_delay 0; ip link set cbr0 up; ip addr add 10.244.1.1/24 dev cbr0; ip addr add fd44:1::1/64 dev cbr0 nodad; sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1")
	c.Join("eth0", s.Space, "c", "cbr0")
	c.Sh("ip addr add 10.244.1.2/24 dev eth0; ip route add default via 10.244.1.1; ip addr add fd44:1::2/64 dev eth0 nodad; ip route add default via fd44:1::1")
	outside.Sh("ip link add br0 type bridge; ip link set br0 up; ip addr add 10.99.0.254/24 dev br0; ip route add 10.244.0.0/16 via 10.99.0.1")
	s.Join("eth0", outside.Space, "s", "br0")
	s.Sh("ip addr add 10.99.0.1/24 dev eth0")
	c.AwaitLink("eth0")
	s.listens(sshPort, dnsPort, spec.BGPPort)
	outside.listens(sshPort)
	put(s, &spec.Host{
		Cluster: "c1", Store: "x", Server: "s1",
		Links: []spec.Link{{Name: "cbr0", Network: "n1", Kind: spec.Bridge, MAC: "6a:0b:05:06:00:01"}},
		Guards: []spec.Guard{{
			Network: "n1", Bridge: "cbr0", ServerMACs: "6a:0b:05:06:00:01", ServerMask: "ff:ff:ff:ff:ff:ff",
			Servers: []netip.Prefix{netip.MustParsePrefix("10.244.1.1/32"), netip.MustParsePrefix("fd44:1::1/128")}, DHCP: true,
			Subnets:  []netip.Prefix{netip.MustParsePrefix("10.244.1.0/24"), netip.MustParsePrefix("fd44:1::/64")},
			Isolated: &spec.Isolation{Open: []uint16{spec.BGPPort}},
		}},
		Doors: []spec.Door{{Network: "bg1", Port: spec.BGPPort, From: []netip.Addr{netip.MustParseAddr("10.244.1.2")}}},
	})
	for to, open := range map[string]bool{"10.99.0.254": true, "10.244.1.1": false, "10.99.0.1": false, "fd44:1::1": false} {
		c.Reaches(to)
		if c.connects(to, sshPort) != open {
			t.Errorf("%s is open: %v", to, !open)
		}
		wants := strings.Contains(to, "44:1::1") || to == "10.244.1.1"
		if to != "10.99.0.254" && c.connects(to, dnsPort) != wants {
			t.Errorf("names are answered at %s: %v", to, !wants)
		}
	}
	if !c.connects("10.244.1.1", spec.BGPPort) {
		t.Error("a neighbour does not get in")
	}
	if c.connects("fd44:1::1", spec.BGPPort) {
		t.Error("somebody who is no neighbour gets in")
	}
}

func TestEveryRuleOfIsolationIsMissedAndHealed(t *testing.T) {
	h, want := newHost(t), overlayHost(0)
	want.NATs = nil
	guard(want, isolated, func(g *spec.Guard) { g.Isolated.Open = []uint16{spec.BGPPort} })
	put(h, want)
	missedAndHealed(t, h, want, map[string]int{"bridge": 12, "inet": 15})
}
