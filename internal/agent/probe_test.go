//go:build linux

package agent

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/agent/attach"
	"github.com/flocknet/flock/internal/agent/probe"
	"github.com/flocknet/flock/internal/spec"
)

// unheardOf are the addresses that server i has no answer of.
func (f *fleet) unheardOf(i int, probes ...spec.Probe) string {
	f.t.Helper()
	var out []string
	f.servers[i].do(func() {
		list, err := probe.Probe(context.Background(), f.kernels[i].Host, probes, time.Now())
		if err != nil {
			f.t.Error(err)
		}
		for _, p := range list {
			out = append(out, p.To.String())
		}
	})
	return fmt.Sprint(out)
}

// A segment that is cut below is told from one that carries frames, also where a
// server drops all IP that comes in through it.
func TestProbeOfASegment(t *testing.T) {
	f := newFleet(t)
	f.bring(3)
	arp := func(i int) spec.Probe {
		return spec.Probe{Link: "vxl0", From: addr("10.0.4.254"), To: addr(fmt.Sprintf("10.0.4.%d", 254-i)), MAC: fmt.Sprintf("6a:0b:00:00:00:%02x", i+1)}
	}
	f.servers[1].sh("nft add table inet wall; nft add chain inet wall in '{ type filter hook input priority 0; }'; nft add rule inet wall in iifname vxl0 drop")
	if have := f.unheardOf(0, arp(1), arp(2)); have != "[]" {
		t.Errorf("nothing heard of %s", have)
	}
	f.servers[2].sh("nft add table inet wall; nft add chain inet wall in '{ type filter hook input priority 0; }'; nft add rule inet wall in udp dport 4789 drop")
	if have := f.unheardOf(0, arp(1), arp(2)); have != "[10.0.4.252]" {
		t.Errorf("with UDP dropped at the third, nothing heard of %s", have)
	}
	before := f.servers[0].sh("ip -j neigh; bridge fdb")
	gone := spec.Probe{Link: "vxl9", From: addr("10.0.4.254"), To: addr("10.0.4.9"), MAC: "6a:0b:00:00:00:09"}
	if have := f.unheardOf(0, gone); have != "[10.0.4.9]" {
		t.Errorf("through a device that is not there, nothing heard of %s", have)
	}
	if after := f.servers[0].sh("ip -j neigh; bridge fdb"); after != before {
		t.Errorf("a probe changed\n%s\nto\n%s", before, after)
	}
}

// What has no MAC address is tried by an echo, in both families.
func TestProbeByEcho(t *testing.T) {
	f := newFleet(t)
	f.bring(2)
	for i := range 2 {
		f.servers[i].sh(fmt.Sprintf("ip -6 addr add fd06::%d/64 dev vxl0 nodad", i+1))
	}
	probes := []spec.Probe{{Link: "vxl0", From: addr("10.0.4.254"), To: addr("10.0.4.253")}, {Link: "vxl0", From: addr("fd06::1"), To: addr("fd06::2")}}
	if have := f.unheardOf(0, probes...); have != "[]" {
		t.Errorf("nothing heard of %s", have)
	}
	f.servers[1].sh("nft add table inet wall; nft add chain inet wall in '{ type filter hook input priority 0; }'; nft add rule inet wall in udp dport 4789 drop")
	if have := f.unheardOf(0, probes...); have != "[10.0.4.253 fd06::2]" {
		t.Errorf("with UDP dropped, nothing heard of %s", have)
	}
}

// A handshake that is not too old is enough; where there is none, one is begun, and
// the device stays as it is.
func TestProbeOfAMesh(t *testing.T) {
	m := newMesh(t, 3)
	m.up(0, 1, 2)
	probe := func(j int) spec.Probe {
		return spec.Probe{Link: "wg-wirex", To: addr(fmt.Sprintf("10.0.8.%d", j+1)), Key: m.keys[j]}
	}
	unheard := func() string {
		t.Helper()
		var out []string
		for _, p := range m.machines[0].call().must(spec.Request{Op: spec.OpProbe, Want: m.host(0, 0, 1, 2), Probes: []spec.Probe{probe(1), probe(2)}}).Unheard {
			out = append(out, p.To.String())
		}
		return fmt.Sprint(out)
	}
	m.machines[2].sh("nft add table inet wall; nft add chain inet wall in '{ type filter hook input priority 0; }'; nft add rule inet wall in udp dport 51820 drop")
	before := m.machines[0].sh("wg showconf wg-wirex | grep -v PrivateKey | sort")
	for range 2 {
		if have := unheard(); have != "[10.0.8.3]" {
			t.Errorf("with UDP dropped at the third, nothing heard of %s", have)
		}
	}
	if after := m.machines[0].sh("wg showconf wg-wirex | grep -v PrivateKey | sort"); after != before {
		t.Errorf("a probe changed\n%s\nto\n%s", before, after)
	}
	if m.handshake(0, 1) == "0" {
		t.Error("no handshake with the second")
	}
}

// measureAll has servers send to each other at one time, as their agents do: what each heard,
// and who called it.
func (f *fleet) measureAll(n, mtu int) (echoes [][]spec.Echoed, callers []string) {
	f.t.Helper()
	own := func(i int) netip.Addr { return addr(fmt.Sprintf("10.0.4.%d", 254-i)) }
	echoes, callers = make([][]spec.Echoed, n), make([]string, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			f.servers[i].do(func() {
				var ask []spec.Echo
				for j := range n {
					if j != i {
						ask = append(ask, spec.Echo{From: own(i), To: own(j), MTU: mtu})
					}
				}
				out, from, err := probe.Measure(context.Background(), ask, 0)
				if err != nil {
					f.t.Error(err)
				}
				echoes[i], callers[i] = out, fmt.Sprint(from)
			})
		})
	}
	all.Wait()
	return echoes, callers
}

// TestMeasure: round trips, what is lost and in which direction, and how much passes in one
// piece.
func TestMeasure(t *testing.T) {
	f := newFleet(t)
	f.bring(3)
	const wall = "nft add table inet wall; nft add chain inet wall in '{ type filter hook prerouting priority -300; }'; nft add rule inet wall in "
	mtu := 0
	f.servers[0].do(func() { mtu = f.kernels[0].Devices.ByName["vxl0"].Attrs().MTU })
	for _, list := range first(f.measureAll(3, mtu)) {
		for _, e := range list {
			if e.Heard != e.Sent || e.Sent != 5 || e.Passes != mtu || e.Min <= 0 || e.Median < e.Min {
				t.Errorf("nothing is in the way, have %+v", e)
			}
		}
	}
	f.servers[1].sh(wall + "udp length '>' 1258 drop")               // 1228 bytes of IP behind UDP, VXLAN and Ethernet
	f.servers[2].sh(wall + "ip saddr 10.99.0.1 udp dport 4789 drop") // its answers do not come either
	echoes, callers := f.measureAll(3, mtu)
	for i, want := range [][]string{{"5 1228", "0 0"}, {"5 1228", "5 1228"}, {"0 0", "5 1228"}} {
		for j, e := range echoes[i] {
			if have := fmt.Sprint(e.Heard, " ", e.Passes); have != want[j] {
				t.Errorf("from %s to %s: want %s heard and bytes that pass, have %s", e.Echo.From, e.Echo.To, want[j], have)
			}
		}
	}
	if have, want := strings.Join(callers, " "), "[10.0.4.252 10.0.4.253] [10.0.4.252 10.0.4.254] [10.0.4.253]"; have != want {
		t.Errorf("want callers %s, have %s", want, have)
	}
}

func first[T, U any](a T, _ U) T { return a }

// TestPortOfABridge: what is sent by the port comes in as a container's, answers come out of it, and
// nothing of it stays.
func TestPortOfABridge(t *testing.T) {
	f := newFleet(t)
	f.bring(1)
	all := []uint64{0x06<<48 | 1<<16}
	// Who has 10.0.4.1 (RFC 826), from 10.0.4.9.
	ask := append([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x6a, 0x0c, 0, 0, 0, 9, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1}, 0x6a, 0x0c, 0, 0, 0, 9, 10, 0, 4, 9, 0, 0, 0, 0, 0, 0, 10, 0, 4, 1)
	answer := []byte{0, 1, 8, 0, 6, 4, 0, 2}
	before := f.servers[0].sh("ip -br link")
	f.servers[0].do(func() {
		c, err := probe.OpenCapture(&spec.CaptureRequest{Bridge: "vxl0", Frames: all})
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		k := f.kernels[0]
		list, err := attach.List(k.Host, nil)
		for _, one := range list {
			if one.Name == "" {
				t.Errorf("it is listed: %+v", one)
			}
		}
		if err != nil {
			t.Error(err)
		}
		if p, err := k.Plan(t.Context(), &spec.Host{Cluster: "t"}); err != nil || strings.Contains(fmt.Sprint(p.Steps), spec.LosesBridge) {
			t.Errorf("it is in a plan: %+v, %v", p, err)
		}
		for heard := false; !heard && t.Context().Err() == nil; {
			c.Send([]string{base64.StdEncoding.EncodeToString(ask)})
			r, err := c.Read(t.Context(), 50*time.Millisecond)
			if err != nil {
				t.Error(err)
				return
			}
			data, err := base64.StdEncoding.DecodeString(r.Data)
			heard = err == nil && bytes.Contains(data, answer)
		}
		if _, err := probe.OpenCapture(&spec.CaptureRequest{Bridge: "vxl9", Frames: all}); err == nil || !strings.Contains(err.Error(), "vxl9") {
			t.Errorf("of a bridge that is not there: %v", err)
		}
	})
	if after := f.servers[0].sh("ip -br link"); after != before {
		t.Errorf("want as before\n%s\nhave\n%s", before, after)
	}
}

// A device that is no bridge is not promiscuous, and frames for others are not shown. One that
// goes down is an error: nothing more would come.
func TestCaptureOfADevice(t *testing.T) {
	f := newFleet(t)
	s := f.servers[0]
	s.sh("ip link add capbr type bridge; ip link set capbr up; ip link add cap0 type veth peer name cap1; ip link set cap1 master capbr; ip link set cap1 up; ip link set cap0 up")
	open := func(r spec.CaptureRequest) (c *probe.Capture) {
		r.Frames = []uint64{0x06<<48 | 1<<16}
		var err error
		if s.do(func() { c, err = probe.OpenCapture(&r) }); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return c
	}
	s.sh("ip link add capbr2 type bridge; ip link set capbr2 up")
	open(spec.CaptureRequest{Device: "capbr2", Mine: true})
	c, port := open(spec.CaptureRequest{Device: "cap0"}), open(spec.CaptureRequest{Bridge: "capbr"})
	open(spec.CaptureRequest{Device: "capbr"})
	for name, want := range map[string]string{"cap0": "promiscuity 0", "capbr": "promiscuity 1", "capbr2": "promiscuity 0"} {
		if have := s.sh("ip -d link show " + name); !strings.Contains(have, want) {
			t.Errorf("want %s of %s\n%s", want, name, have)
		}
	}
	frame := func(to byte) string {
		return base64.StdEncoding.EncodeToString(append([]byte{to, 0, 0, 0, 0, 7, 0x6a, 0x0c, 0, 0, 0, 9, 0x88, 0xb5, to}, make([]byte, 45)...))
	}
	for heard := false; !heard && t.Context().Err() == nil; {
		port.Send([]string{frame(0x6e), frame(0xff)})
		r, err := c.Read(t.Context(), 50*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		data, _ := base64.StdEncoding.DecodeString(r.Data)
		heard = bytes.Contains(data, []byte{0x88, 0xb5, 0xff})
		if bytes.Contains(data, []byte{0x88, 0xb5, 0x6e}) {
			t.Fatal("a frame for another is shown")
		}
	}
	// What came before comes first.
	if _, err := c.Read(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	port.Send([]string{frame(0xff)})
	s.sh("ip link del cap0")
	r, err := c.Read(t.Context(), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if data, _ := base64.StdEncoding.DecodeString(r.Data); !bytes.Contains(data, []byte{0x88, 0xb5, 0xff}) {
		t.Error("what was queued is lost with the device")
	}
	for range 2 {
		if _, err := c.Read(t.Context(), time.Second); err == nil {
			t.Error("that the device is gone is no error")
		}
	}
}
