//go:build linux

package nft

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/lab"
	"github.com/flocknet/flock/internal/netspace"
	"github.com/flocknet/flock/internal/spec"
)

// guarded is an overlay whose bridges are guarded.
func guarded(t *testing.T, change ...func(*spec.Guard)) *overlay {
	return writtenOverlay(t, func(h *spec.Host) { guard(h, change...) })
}

// guard guards the bridge of an overlay's server.
func guard(h *spec.Host, change ...func(*spec.Guard)) {
	h.Guards = []spec.Guard{{
		Network: "vx1", Bridge: "vxl0", Uplink: "vxl0-vx", ServerMACs: "6a:0b:01:02:00:00", ServerMask: "ff:ff:ff:ff:00:00", DHCP: true,
		Servers: []netip.Prefix{
			netip.MustParsePrefix("10.0.4.1/32"), netip.MustParsePrefix("10.0.4.240/28"),
			netip.MustParsePrefix("fd00:4::1/128"), netip.MustParsePrefix("fd00:4::200/120"),
		},
		Subnets: h.Gateways[0].Subnets, Closed: []uint16{4789},
	}}
	for _, f := range change {
		f(&h.Guards[0])
	}
}

// A neighbour is what a container says that an address is at.
func (h *host) neighbour(ip string) string { return h.Sh("ip neigh show " + ip) }

func TestContainersCannotClaimServersAddresses(t *testing.T) {
	o := guarded(t)
	rogue := newHost(t)
	rogue.Join("eth0", o.servers[0].Space, "rogue", "vxl0")
	rogue.Sh("ip link set eth0 address 02:00:00:00:66:66; ip addr add 10.0.4.66/24 dev eth0; ip addr add fd00:4::66/64 dev eth0 nodad")
	rogue.AwaitLink("eth0")
	rogue.Reaches("10.0.4.3")
	victims := o.containers
	for _, ip := range []string{"10.0.4.1", "10.0.4.254", "10.0.4.253", "fd00:4::1", "fd00:4::254", "fd00:4::253"} {
		for _, v := range victims {
			v.Reaches(ip)
		}
		if strings.Contains(ip, ".") {
			rogue.Sh("ip addr add " + ip + "/24 dev eth0; busybox arping -q -U -c2 -w1 -I eth0 -s " + ip + " " + ip + " || true; busybox arping -q -A -c2 -w1 -I eth0 -s " + ip + " " + ip + " || true")
		} else {
			rogue.Sh("ip addr add " + ip + "/64 dev eth0 nodad; sysctl -qw net.ipv6.conf.eth0.ndisc_notify=1; ip link set eth0 down; ip link set eth0 up; ip addr add fd00:4::66/64 dev eth0 nodad 2>/dev/null || true")
		}
		for _, v := range victims {
			v.Sh("ip neigh flush dev eth0")
			v.Reaches(ip)
			if at := v.neighbour(ip); strings.Contains(at, "66:66") {
				t.Errorf("%s is taken over: %s", ip, at)
			}
		}
		rogue.Sh("ip addr del " + ip + " dev eth0 2>/dev/null || true; ip addr flush dev eth0 to " + ip)
	}
	// A frame with a server's MAC teaches no bridge a wrong way.
	rogue.Sh("ip addr replace 10.0.4.66/24 dev eth0; ip link set eth0 address " + bridgeMAC2 + "; busybox arping -q -U -c2 -w1 -I eth0 10.0.4.66 || true")
	victims[0].Reaches("10.0.4.253")
	if fdb := o.servers[0].Sh("bridge fdb show br vxl0"); strings.Contains(fdb, bridgeMAC2+" dev rogue") {
		t.Errorf("a server's MAC is at a container's port:\n%s", fdb)
	}
}

func TestSeveralMACsAtOnePort(t *testing.T) {
	o := guarded(t)
	// A machine with a bridge of its own: two MACs of its guests beside its own.
	machine := newHost(t)
	machine.Join("eth0", o.servers[0].Space, "machine", "vxl0")
	machine.Sh("ip link add br0 type bridge; ip link set eth0 master br0; ip link set br0 up; ip addr add 10.0.4.60/24 dev br0")
	machine.AwaitLink("br0")
	for i := range 2 {
		guest := newHost(t)
		guest.Join("eth0", machine.Space, fmt.Sprintf("g%d", i), "br0")
		guest.Sh(fmt.Sprintf("ip addr add 10.0.4.%d/24 dev eth0", 61+i))
		guest.AwaitLink("eth0")
		guest.Reaches("10.0.4.3")
		guest.Reaches("10.0.4.1")
	}
	machine.Reaches("10.0.4.3")
}

// Of two DHCP servers on the segment, and two routers, the containers hear ours alone.
func TestRogueServersAreNotHeard(t *testing.T) {
	lab.Need(t, "dnsmasq")
	o := guarded(t)
	rogue := newHost(t)
	rogue.Join("eth0", o.servers[0].Space, "rogue", "vxl0")
	rogue.Sh("ip addr add 10.0.4.66/24 dev eth0; ip addr add fd66::1/64 dev eth0 nodad; sysctl -qw net.ipv6.conf.all.forwarding=1")
	rogue.AwaitLink("eth0")
	rogueDNSMasq(t, rogue, "eth0", "--dhcp-range=10.0.4.100,10.0.4.110,1h", "--enable-ra", "--dhcp-range=fd66::,ra-only,64")
	listen := func(c *host) (string, string) {
		c.Sh("sysctl -qw net.ipv6.conf.eth0.accept_ra=2; ip link set eth0 down; ip link set eth0 up")
		out, _ := c.Try("busybox udhcpc -i eth0 -n -q -f -t 3 -T 1 -s /bin/true 2>&1")
		return out, c.Sh("ip -6 addr show dev eth0")
	}
	for i, c := range o.containers {
		out, addrs := listen(c)
		if strings.Contains(out, "obtained") || strings.Contains(addrs, "fd66:") {
			t.Errorf("container %d hears the rogue: %s\n%s", i+1, out, addrs)
		}
	}
	// Ours, on the other server, is heard across the tunnel.
	o.servers[1].Sh("sysctl -qw net.ipv6.conf.all.forwarding=1")
	rogueDNSMasq(t, o.servers[1], "vxl0", "--dhcp-range=10.0.4.120,10.0.4.130,1h", "--enable-ra", "--dhcp-range=fd00:4::,ra-only,64")
	out, _ := listen(o.containers[0])
	if !strings.Contains(out, "lease of 10.0.4.1") {
		t.Errorf("our own server is not heard: %s", out)
	}
	netspace.Poll(t, func() error {
		o.containers[0].Sh("ping -6 -n -c1 -W0.1 ff02::2%eth0 >/dev/null || true")
		if addrs := o.containers[0].Sh("ip -6 addr show dev eth0 dynamic"); !strings.Contains(addrs, "fd00:4:") {
			return fmt.Errorf("our own router is not heard: %s", addrs)
		}
		return nil
	})
}

// rogueDNSMasq runs a dnsmasq until the test ends.
func rogueDNSMasq(t *testing.T, h *host, dev string, args ...string) {
	t.Helper()
	pid := t.TempDir() + "/pid"
	h.Sh("dnsmasq --conf-file=/dev/null --port=0 --bind-dynamic --except-interface=lo --no-ping --user=root --dhcp-authoritative --dhcp-leasefile=" + t.TempDir() +
		"/leases --interface=" + dev + " --pid-file=" + pid + " " + strings.Join(args, " "))
	t.Cleanup(func() { h.Sh("kill $(cat " + pid + ")") })
}

// send sends a datagram.
func (h *host) send(to string) {
	h.t.Helper()
	h.Do(func() {
		c, err := net.Dial("udp", to)
		if err == nil {
			_, err = c.Write([]byte("anybody there?"))
			err = errors.Join(err, c.Close())
		}
		if err != nil {
			h.t.Error(err)
		}
	})
}

// hears waits half a second for a datagram to port while f runs.
func (h *host) hears(port int, f func()) bool {
	h.t.Helper()
	var c *net.UDPConn
	var err error
	h.Do(func() { c, err = net.ListenUDP("udp", &net.UDPAddr{Port: port}) })
	if err != nil {
		h.t.Fatal(err)
	}
	f()
	err = c.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
	if err == nil {
		_, _, err = c.ReadFromUDP(make([]byte, 100))
	}
	return errors.Join(err, c.Close()) == nil
}

// From a container nobody speaks to a tunnel's end, on any server; to another container,
// and to what is nobody's of ours, the way is open.
func TestTunnelsAreClosedToContainers(t *testing.T) {
	const port = 4788 // 4789 is the kernel's own
	o := guarded(t, func(g *spec.Guard) { g.Closed = []uint16{port} })
	for _, ip := range []string{"10.99.0.1", "10.99.0.2", "10.0.4.1", "10.0.4.254", "10.0.4.253", "10.99.0.254", "10.0.4.3"} {
		to := o.servers[0]
		switch ip {
		case "10.99.0.2", "10.0.4.253":
			to = o.servers[1]
		case "10.99.0.254":
			to = o.fabric
		case "10.0.4.3":
			to = o.containers[1]
		}
		o.containers[0].Reaches(ip)
		if !to.hears(port+1000, func() { o.containers[0].send(fmt.Sprintf("%s:%d", ip, port+1000)) }) {
			t.Errorf("another port at %s is closed", ip)
		}
		if heard := to.hears(port, func() { o.containers[0].send(fmt.Sprintf("%s:%d", ip, port)) }); heard != (to == o.containers[1]) {
			t.Errorf("at %s it is heard: %v", ip, heard)
		}
	}
	// A bridge takes in what is for the MAC of the port that it comes in by: a container's
	// on its own server, the uplink on another one.
	mac := func(h *host, dev string) string {
		return strings.TrimSpace(h.Sh("ip -br link show dev " + dev + " | tr -s ' ' | cut -d' ' -f3"))
	}
	port1, uplink2 := mac(o.servers[0], "c1"), mac(o.servers[1], "vxl0-vx")
	for _, at := range []struct {
		mac, ip string
		to      *host
	}{
		{port1, "10.0.4.1", o.servers[0]},
		{port1, "10.0.4.254", o.servers[0]},
		{port1, "10.99.0.1", o.servers[0]},
		{port1, "10.99.0.2", o.servers[1]},
		{port1, "10.0.4.253", o.servers[1]},
		{uplink2, "10.0.4.253", o.servers[1]},
		{uplink2, "10.99.0.2", o.servers[1]},
	} {
		o.containers[0].Sh("ip route replace " + at.ip + " dev eth0; ip neigh replace " + at.ip + " lladdr " + at.mac + " nud permanent dev eth0")
		if at.to.hears(port, func() { o.containers[0].send(fmt.Sprintf("%s:%d", at.ip, port)) }) {
			t.Errorf("at %s, %s, it is heard", at.mac, at.ip)
		}
	}
}

// A door is open for those that it is for, closed for others, and nobody behind this server
// goes through to the same door of theirs in its name.
func TestDoorsAreForNeighbours(t *testing.T) {
	o := writtenOverlay(t, func(h *spec.Host) {
		h.Doors = []spec.Door{{
			Network: "bg1", Port: spec.BGPPort, Behind: []netip.Prefix{netip.MustParsePrefix("10.0.4.0/24"), netip.MustParsePrefix("fd00:4::/64")},
			From: []netip.Addr{netip.MustParseAddr("10.99.0.1"), netip.MustParseAddr("10.99.0.2"), netip.MustParseAddr("fd99::1"), netip.MustParseAddr("fd99::2")},
		}}
	})
	for _, s := range o.servers {
		for _, port := range []int{179, 22} {
			s.Do(func() {
				l, err := net.ListenTCP("tcp", &net.TCPAddr{Port: port})
				if err != nil {
					t.Error(err)
					return
				}
				t.Cleanup(func() { _ = l.Close() }) // nothing is written
			})
		}
	}
	connects := func(h *host, to, port string) (ok bool) {
		h.Do(func() {
			c, err := net.DialTimeout("tcp", net.JoinHostPort(to, port), time.Second)
			if ok = err == nil; ok {
				ok = c.Close() == nil
			}
		})
		return ok
	}
	if !connects(o.servers[0], "10.99.0.2", "179") || !connects(o.servers[1], "fd99::1", "179") {
		t.Error("a neighbour does not get in")
	}
	for _, to := range []string{"10.99.0.1", "10.99.0.2", "10.0.4.1", "10.0.4.254", "10.0.4.253", "fd99::1", "fd99::2", "fd00:4::254"} {
		if connects(o.containers[0], to, "179") {
			t.Errorf("a container gets in at %s", to)
		}
		if !connects(o.containers[0], to, "22") {
			t.Errorf("a container does not reach what is nobody's of ours at %s", to)
		}
	}
	if connects(o.fabric, "10.99.0.1", "179") {
		t.Error("somebody who is no neighbour gets in")
	}
}
