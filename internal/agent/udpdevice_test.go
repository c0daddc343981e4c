//go:build linux

package agent

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/spec"
)

// udpHost is machine i's spec in a UDP network of the members named: machine j has
// 10.244.j.0/24 behind it, on app0 and as the device's own address.
func udpHost(i int, members ...int) *spec.Host {
	h := &spec.Host{
		Cluster: "test", Store: "store1", Server: fmt.Sprintf("s%d", i+1), Generation: 1,
		Links: []spec.Link{{Name: "u1", Network: "u1", Kind: spec.UDP, MTU: 1472, Tunnel: &spec.Tunnel{Local: udpAddr(i), Port: 8285}}},
		Addrs: []spec.Addr{{Link: "u1", Prefix: netip.PrefixFrom(prefix(udpSubnet(i)).Addr(), 32)}},
	}
	for _, j := range members {
		if j != i {
			h.Members = append(h.Members, spec.Member{Link: "u1", Addr: udpAddr(j), Subnets: []netip.Prefix{prefix(udpSubnet(j))}})
			h.Routes = append(h.Routes, spec.Route{Dst: prefix(udpSubnet(j)), Dev: "u1", Proto: spec.RouteProto})
		}
	}
	h.Claims = []spec.Claim{{Network: "u1", UDPPort: 8285}}
	return h
}

func udpAddr(i int) netip.Addr { return addr(fmt.Sprintf("10.99.0.%d", i+1)) }
func udpSubnet(i int) string   { return fmt.Sprintf("10.244.%d.0/24", i+1) }

// upUDP makes a UDP network of all machines.
func (m *mesh) upUDP() {
	m.t.Helper()
	var all []int
	for i := range m.machines {
		all = append(all, i)
	}
	for i, s := range m.machines {
		s.sh(fmt.Sprintf("ip addr add 10.244.%d.1/24 dev app0", i+1))
		s.call().make(udpHost(i, all...), "any")
	}
}

// udpPing sends by addresses of the containers' bridges, small and as large as fits.
func (m *mesh) udpPing(from, to int) {
	m.t.Helper()
	m.machines[from].sh(fmt.Sprintf("for s in 56 1444; do ping -qc1 -W3 -M do -s $s -I 10.244.%d.1 10.244.%d.1; done", from+1, to+1))
}

func TestUDPFromNothingToNothing(t *testing.T) {
	m := newMesh(t, 2)
	m.machines[0].call().make(udpHost(0, 0, 1), `
		+ link u1: udp mtu 1472 port 8285 local 10.99.0.1 network u1
		+ addr 10.244.1.0/32 dev u1
		+ member 10.99.0.2 dev u1: subnets 10.244.2.0/24
		+ route 10.244.2.0/24: dev u1 proto 70
	`)
	m.upUDP()
	m.udpPing(0, 1)
	m.udpPing(1, 0)
	if have := m.machines[0].sh("stat -c '%a %U' /run/flock/test.d/udp-u1.sock"); have != "600 root\n" {
		t.Errorf("control socket: %s", have)
	}
	for i, s := range m.machines {
		s.call().make(udpHost(i, 0, 1), "")
		s.sh(fmt.Sprintf("ip addr del 10.244.%d.1/24 dev app0", i+1))
		s.call().make(&spec.Host{Cluster: "test", Store: "store1", Server: fmt.Sprintf("s%d", i+1), Generation: 2}, "- link u1")
		if after := s.traces(); after != m.before[i] {
			t.Errorf("traces: want\n%s\nhave\n%s", m.before[i], after)
		}
	}
}

// TestUDPOnTheWire: a datagram is the packet, and nothing but datagrams leaves.
func TestUDPOnTheWire(t *testing.T) {
	m := newMesh(t, 2)
	m.upUDP()
	m.udpPing(0, 1) // neighbours are known now
	out := make(chan string, 1)
	capture := m.machines[1].command("timeout", "5", "tcpdump", "-lnni", "eth0", "-c", "1", "-x", "src 10.99.0.1 and (udp or icmp)")
	stderr, err := capture.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		text, _ := capture.Output() // its exit status is the timeout's
		out <- string(text)
	}()
	if n, err := stderr.Read(make([]byte, 1)); n == 0 {
		t.Fatal(err) // it says when it listens
	}
	m.udpPing(0, 1)
	text := <-out
	// IPv4 and UDP headers of the outer, then at once the inner: 0x45, ICMP from 10.244.1.1.
	if !strings.Contains(text, "IP 10.99.0.1.8285 > 10.99.0.2.8285: UDP, length 84") || !strings.Contains(text, "0x0010:  0a63 0002 205d 205d 005c") ||
		!strings.Contains(text, " 4500 0054") || !strings.Contains(text, "0af4 0101") {
		t.Fatalf("on the wire:\n%s", text)
	}
}

func TestUDPMembersComeAndGoAlone(t *testing.T) {
	m := newMesh(t, 3)
	m.upUDP()
	m.machines[0].call().make(udpHost(0, 0, 1), `
		- route 10.244.3.0/24
		- member 10.99.0.3 dev u1
	`)
	pid := m.machines[0].sh("cat /run/flock/test.d/udp-u1.pid")
	lossless := m.background(0, "-i 0.01 -c 300 -W 1 -I 10.244.1.1 10.244.2.1")
	for range 5 {
		m.machines[0].call().make(udpHost(0, 0, 1, 2), `
			+ member 10.99.0.3 dev u1: subnets 10.244.3.0/24
			+ route 10.244.3.0/24: dev u1 proto 70
		`)
		m.udpPing(0, 2)
		m.machines[0].call().make(udpHost(0, 0, 1), "any")
	}
	lossless()
	if have := m.machines[0].sh("cat /run/flock/test.d/udp-u1.pid"); have != pid {
		t.Errorf("the process was started anew: %s, %s", pid, have)
	}
	if out, err := m.machines[2].command("ping", "-qc1", "-W1", "-I", "10.244.3.1", "10.244.1.1").CombinedOutput(); err == nil {
		t.Errorf("who is no member gets through: %s", out)
	}
}

func TestUDPDriftIsNamedAndRepaired(t *testing.T) {
	m := newMesh(t, 2)
	m.upUDP()
	s := m.machines[0]
	for _, c := range []struct{ drift, steps string }{
		{"kill -9 $(cat /run/flock/test.d/udp-u1.pid)", "~ link u1: port 0 -> 8285, local none -> 10.99.0.1\n+ member 10.99.0.2 dev u1: subnets 10.244.2.0/24"},
		{"ip link set u1 down", "~ link u1: state down -> up\n+ route 10.244.2.0/24: dev u1 proto 70"},
		{"ip link set u1 mtu 1300", "~ link u1: mtu 1300 -> 1472"},
		{"ip route del 10.244.2.0/24", "+ route 10.244.2.0/24: dev u1 proto 70"},
		{"ip link del u1", "+ link u1: udp mtu 1472 port 8285 local 10.99.0.1 network u1\n+ addr 10.244.1.0/32 dev u1\n+ member 10.99.0.2 dev u1: subnets 10.244.2.0/24\n+ route 10.244.2.0/24: dev u1 proto 70"},
	} {
		t.Run(c.drift, func(t *testing.T) {
			s.t, m.t = t, t
			s.sh(c.drift)
			s.call().make(udpHost(0, 0, 1), c.steps)
			s.call().make(udpHost(0, 0, 1), "")
			m.udpPing(0, 1)
			m.udpPing(1, 0)
		})
	}
	s.t, m.t = t, t
	s.sh("kill -9 $(cat /run/flock/test.d/udp-u1.pid); ip link del u1; rm -rf /run/flock") // power off
	s.boot()
	m.udpPing(0, 1)
	s.call().make(udpHost(0, 0, 1), "")
}

func TestEveryFieldOfUDPIsSeenAndSet(t *testing.T) {
	m := newMesh(t, 2)
	m.upUDP()
	s := m.machines[0]
	s.sh("ip addr add 10.99.0.77/24 dev eth0")
	for name, c := range map[string]struct {
		change func(*spec.Host)
		steps  string
	}{
		"Local":          {func(h *spec.Host) { h.Links[0].Tunnel.Local = addr("10.99.0.77") }, "~ link u1: local 10.99.0.1 -> 10.99.0.77"},
		"Port":           {func(h *spec.Host) { h.Links[0].Tunnel.Port = 8286 }, "~ link u1: port 8285 -> 8286"},
		"MTU":            {func(h *spec.Host) { h.Links[0].MTU = 1400 }, "~ link u1: mtu 1472 -> 1400"},
		"Network":        {func(h *spec.Host) { h.Links[0].Network = "u2" }, "~ link u1: network u1 -> u2"},
		"Member.Addr":    {func(h *spec.Host) { h.Members[0].Addr = addr("10.99.0.9") }, "- member 10.99.0.2 dev u1\n+ member 10.99.0.9 dev u1: subnets 10.244.2.0/24"},
		"Member.Subnets": {func(h *spec.Host) { h.Members[0].Subnets = []netip.Prefix{prefix("10.244.2.0/23")} }, "~ member 10.99.0.2 dev u1: subnets 10.244.2.0/24 -> 10.244.2.0/23"},
		"Kind": {func(h *spec.Host) {
			h.Links[0] = spec.Link{Name: "u1", Network: "u1", Kind: spec.Bridge, MAC: "6a:0b:00:00:00:01", MTU: 1472}
			h.Members = nil
		}, "any"},
	} {
		t.Run(name, func(t *testing.T) {
			s.t = t
			changed := udpHost(0, 0, 1)
			c.change(changed)
			s.call().make(changed, c.steps)
			s.call().make(changed, "")
			s.call().make(udpHost(0, 0, 1), "any")
		})
	}
	s.t = t
	m.udpPing(0, 1)
	if n := reflect.TypeFor[spec.Member]().NumField(); n != 3 {
		t.Errorf("a member has %d fields: is the new one tried?", n)
	}
}

// TestUDPPortInUse: what holds the port is named before anything is changed, unless
// it is ourselves.
func TestUDPPortInUse(t *testing.T) {
	m := newMesh(t, 1)
	s := m.machines[0]
	s.sh("perl -MIO::Socket::INET -e 'my $s = IO::Socket::INET->new(Proto => q(udp), LocalPort => 8285) or die; sleep 60' >/dev/null 2>&1 & echo $! >/run/nc.pid; for i in $(seq 100); do ss -Hlun | grep -q :8285 && break; sleep 0.02; done")
	c := s.call()
	if list := c.must(spec.Request{Op: spec.OpPlan, Want: udpHost(0)}).Plan.Problems; len(list) != 1 || !strings.Contains(list[0].What, "UDP port 8285 of 10.99.0.1 is in use by perl") {
		t.Errorf("problems: %+v", list)
	}
	c.hangUp()
	s.sh("kill $(cat /run/nc.pid)")
	s.call().make(udpHost(0), "any")
	s.call().make(udpHost(0), "")
}
