//go:build linux

package agent

import (
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/lab"
	"github.com/flocknet/flock/internal/spec"
)

// Links that take what others had to be told apart by, in one change: the kernel has nobody
// twice, so one of them goes first. What stands on it comes back with it.

// swapped is a spec whose links two and three have each other's tunnel; the first stays.
func swapped(was *spec.Host) *spec.Host {
	now := *was
	now.Links = append([]spec.Link{}, was.Links...)
	a, b := &now.Links[1], &now.Links[2]
	a.Tunnel, b.Tunnel = b.Tunnel, a.Tunnel
	a.Port, b.Port = b.Port, a.Port
	return &now
}

// linksOf is three links of a kind, each with an address.
func linksOf(kind string, tunnels ...spec.Tunnel) *spec.Host {
	h := &spec.Host{Cluster: "test", Store: "store1", Server: "s1", Generation: 1}
	for i, tunnel := range tunnels {
		name := "x" + string(rune('1'+i))
		l := spec.Link{Name: name, Network: name, Kind: kind, MTU: 1400, Tunnel: &tunnel}
		if kind == spec.VXLAN {
			l.MAC = "6a:0a:00:00:00:01"
		}
		h.Links = append(h.Links, l)
		h.Addrs = append(h.Addrs, spec.Addr{Link: name, Prefix: prefix("10.7." + string(rune('1'+i)) + ".1/30")})
	}
	return h
}

// swap makes was, then now, then was again: each as planned, and nothing is left to do.
func swap(t *testing.T, m *machine, was *spec.Host, steps string) {
	t.Helper()
	m.call().make(was, "any")
	m.call().make(swapped(was), steps)
	m.call().make(swapped(was), "")
	m.call().make(was, "any")
	m.call().make(was, "")
	m.call().make(emptyHost(), "any")
}

func TestIPTunnelsSwapWays(t *testing.T) {
	lab.NeedLink(t, spec.GRE, spec.IP6GRE, spec.IPIP)
	one, two, three := addr("10.99.0.1"), addr("10.99.0.2"), addr("10.99.0.3")
	for _, c := range []struct {
		name, kind string
		tunnels    []spec.Tunnel
		steps      string
	}{
		{"keys", spec.GRE, []spec.Tunnel{{Local: one, Remote: two}, {Local: one, Remote: two, Key: 7}, {Local: one, Remote: two, Key: 8}}, `
			- link x3
			~ link x2: key 7 -> 8
			~ link x3: key 8 -> 7 (made anew)
			+ addr 10.7.3.1/30 dev x3`},
		{"ends", spec.IPIP, []spec.Tunnel{{Local: two, Remote: one}, {Local: one, Remote: two}, {Local: one, Remote: three}}, `
			- link x3
			~ link x2: remote 10.99.0.2 -> 10.99.0.3
			~ link x3: remote 10.99.0.3 -> 10.99.0.2 (made anew)
			+ addr 10.7.3.1/30 dev x3`},
		{"ends over IPv6", spec.IP6GRE, []spec.Tunnel{{Local: addr("fd99::3"), Remote: addr("fd99::4")}, {Local: addr("fd99::1"), Remote: addr("fd99::2")}, {Local: addr("fd99::1"), Remote: addr("fd99::3")}}, "any"},
	} {
		t.Run(c.name, func(t *testing.T) { swap(t, newMachine(t), linksOf(c.kind, c.tunnels...), c.steps) })
	}
}

func TestVXLANsSwapWays(t *testing.T) {
	m := newMachine(t)
	local := addr("10.99.0.1")
	swap(t, m, linksOf(spec.VXLAN, spec.Tunnel{VNI: 1, Port: 4789, Local: local}, spec.Tunnel{VNI: 2, Port: 4789, Local: local}, spec.Tunnel{VNI: 3, Port: 4789, Local: local}), `
		- link x3
		~ link x2: vni 2 -> 3 (made anew)
		~ link x3: vni 3 -> 2 (made anew)
		+ addr 10.7.2.1/30 dev x2
		+ addr 10.7.3.1/30 dev x3`)
}

func TestUDPDevicesSwapPorts(t *testing.T) {
	m := newMachine(t)
	local := addr("10.99.0.1")
	swap(t, m, linksOf(spec.UDP, spec.Tunnel{Port: 8284, Local: local}, spec.Tunnel{Port: 8285, Local: local}, spec.Tunnel{Port: 8286, Local: local}), `
		- link x3
		~ link x2: port 8285 -> 8286
		~ link x3: port 8286 -> 8285 (made anew)
		+ addr 10.7.3.1/30 dev x3`)
}

func TestWireGuardDevicesSwapPorts(t *testing.T) {
	m := newMachine(t)
	was := linksOf(spec.WireGuard, spec.Tunnel{}, spec.Tunnel{}, spec.Tunnel{})
	c := m.call()
	keys := c.must(spec.Request{Op: spec.OpKeys, Want: was, Keys: []string{"x1", "x2", "x3"}}).Keys
	for i := range was.Links {
		l := &was.Links[i]
		l.Tunnel, l.Key, l.Port = nil, keys[l.Name], uint16(51820+i)
	}
	c.make(was, "any")
	m.call().make(swapped(was), `
		- link x3
		~ link x2: port 51821 -> 51822
		~ link x3: port 51822 -> 51821 (made anew)
		+ addr 10.7.3.1/30 dev x3`)
	m.call().make(was, "any")
	if dump := strings.Fields(m.sh("wg show x3 public-key")); len(dump) != 1 || dump[0] != keys["x3"] {
		t.Errorf("want the key %s, have %s", keys["x3"], dump)
	}
	m.call().make(emptyHost(), "any")
}

// What moves on to where nobody is makes room in place, if it comes first; and one that goes
// for good, always.
func TestVXLANTakesTheWayOfWhatGoes(t *testing.T) {
	m := newMachine(t)
	local := addr("10.99.0.1")
	was := linksOf(spec.VXLAN, spec.Tunnel{VNI: 1, Port: 4789, Local: local}, spec.Tunnel{VNI: 2, Port: 4789, Local: local})
	now := linksOf(spec.VXLAN, spec.Tunnel{VNI: 2, Port: 4789, Local: local})
	m.call().make(was, "any")
	m.call().make(now, "any")
	moved := linksOf(spec.VXLAN, spec.Tunnel{VNI: 3, Port: 4789, Local: local}, spec.Tunnel{VNI: 2, Port: 4789, Local: local})
	m.call().make(moved, `
		~ link x1: vni 2 -> 3 (made anew)
		+ link x2: vxlan mac 6a:0a:00:00:00:01 mtu 1400 vni 2 port 4789 local 10.99.0.1 network x2
		+ addr 10.7.1.1/30 dev x1
		+ addr 10.7.2.1/30 dev x2`)
	m.call().make(emptyHost(), "any")
}
