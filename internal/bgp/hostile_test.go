//go:build linux

package bgp

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/osrg/gobgp/v4/pkg/packet/bgp"

	"github.com/flocknet/flock/internal/spec"
)

// hostileVariable makes the test's program an attacker: CASE LOCAL REMOTE.
const hostileVariable = "FLOCK_TEST_BGP_HOSTILE"

// frame is a message of BGP with any content.
func frame(kind byte, body ...byte) []byte {
	b := slices.Repeat([]byte{0xff}, 16)
	b = binary.BigEndian.AppendUint16(b, uint16(19+len(body)))
	return append(append(b, kind), body...)
}

// attributes of an UPDATE: ORIGIN, AS_PATH of 65001, NEXT_HOP 10.99.0.9.
var attributes = []byte{0x40, 1, 1, 0, 0x40, 2, 6, 2, 1, 0, 0, 0xfd, 0xe9, 0x40, 3, 4, 10, 99, 0, 9}

// update announces raw prefixes with raw attributes.
func update(attributes, prefixes []byte) []byte {
	body := binary.BigEndian.AppendUint16([]byte{0, 0}, uint16(len(attributes)))
	return frame(2, slices.Concat(body, attributes, prefixes)...)
}

// cases are what the attacker sends once its session stands; those of before are
// sent in place of an OPEN.
var (
	before = map[string][]byte{
		"no-bgp":       []byte("GET / HTTP/1.1\r\n\r\n"),
		"short-length": append(slices.Repeat([]byte{0xff}, 16), 0, 3, 1),
		"long-length":  append(slices.Repeat([]byte{0xff}, 16), 0xff, 0xff, 1),
		"zero-marker":  slices.Concat(make([]byte, 16), []byte{0, 19, 4}),
		"bad-open":     frame(1, 4, 0xfd, 0xe9, 0, 9, 9, 9, 9, 9, 255, 2, 253, 65, 200),
		"early-update": update(attributes, []byte{24, 172, 20, 0}),
	}
	cases = map[string][]byte{
		"unknown-type":     frame(99, 1, 2, 3),
		"cut-attributes":   frame(2, 0, 0, 0, 200, 0x40, 1, 1, 0),
		"cut-withdrawals":  frame(2, 0, 200, 24, 10),
		"prefix-length":    update(attributes, []byte{77, 1, 2, 3}),
		"next-hop-length":  update([]byte{0x40, 1, 1, 0, 0x40, 2, 0, 0x40, 3, 3, 10, 99, 0}, []byte{24, 172, 20, 0}),
		"origin-nine":      update(slices.Concat([]byte{0x40, 1, 1, 9}, attributes[4:]), []byte{24, 172, 20, 0}),
		"no-attributes":    update(nil, []byte{24, 172, 20, 0}),
		"as-path-overrun":  update([]byte{0x40, 1, 1, 0, 0x40, 2, 6, 2, 200, 0, 0, 0xfd, 0xe9, 0x40, 3, 4, 10, 99, 0, 9}, []byte{24, 172, 20, 0}),
		"twice":            update(append(slices.Clone(attributes), attributes...), []byte{24, 172, 20, 0}),
		"mp-reach":         update([]byte{0x90, 14, 0, 9, 0, 2, 1, 200, 1, 2, 3, 4, 5}, nil),
		"mp-family":        update([]byte{0x90, 14, 0, 5, 0x77, 0x77, 9, 0, 0}, nil),
		"mp-unreach":       update([]byte{0x90, 15, 0, 4, 0, 2, 1, 250}, nil),
		"martians":         update(attributes, []byte{8, 127, 16, 169, 254, 4, 224, 0, 32, 10, 99, 0, 2, 32, 10, 99, 0, 1}),
		"own-next-hop":     update(slices.Concat(attributes[:len(attributes)-1], []byte{1}), []byte{24, 172, 20, 0}),
		"refresh":          frame(5, 0xff, 0xff, 0xff, 0xff),
		"notification-cut": frame(3, 6),
		"communities":      update(append(slices.Clone(attributes), 0xc0, 8, 3, 1, 2, 3), []byte{24, 172, 20, 0}),
		"tunnel-encap":     update(append(slices.Clone(attributes), 0xc0, 23, 5, 0, 8, 0, 200, 1), []byte{24, 172, 20, 0}),
		"link-state":       update(append(slices.Clone(attributes), 0x80, 29, 6, 4, 2, 0, 200, 1, 1), []byte{24, 172, 20, 0}),
		"next-hop-zero":    update(slices.Concat(joined(known(true)[:2]), []byte{0x80, 14, 9, 0, 2, 1, 0, 0, 24, 0xfd, 0, 0}), nil),
		"prefix-sid-cut":   update(slices.Concat(attributes, []byte{0xc0, 40, 4, 5, 0, 1, 0}), []byte{24, 172, 20, 0}),
		"two-octets-order": update(joined([]attribute{{0x40, 1, []byte{0}}, {0x40, 3, []byte{10, 99, 0, 9}}, {0xc0, 17, []byte{2, 1, 0, 1, 0, 1}}, {0x40, 2, nil}}), []byte{24, 172, 20, 0}),
		"two-octets-empty": update(joined([]attribute{{0x40, 1, []byte{0}}, {0x40, 2, nil}, {0x40, 3, []byte{10, 99, 0, 9}}, {0xc0, 17, nil}}), []byte{24, 172, 20, 0}),
		"prefix-sid":       update(append(slices.Clone(attributes), 0xc0, 40, 5, 5, 0, 200, 0, 1), []byte{24, 172, 20, 0}),
	}
)

// attack is the attacker's process: it does its case over and over.
func attack(words string) {
	f := strings.Fields(words)
	if f[0] == "eager" {
		eager(netip.MustParseAddr(f[1]), f[2])
	}
	for {
		if err := attackOnce(f[0], netip.MustParseAddr(f[1]), f[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		<-time.After(50 * time.Millisecond)
	}
}

func attackOnce(what string, local netip.Addr, remote string) error {
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(local, 0)), Timeout: time.Second}
	c, err := d.Dial("tcp", net.JoinHostPort(remote, "179"))
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(8 * time.Second))
	if b := before[what]; b != nil {
		_, _ = c.Write(b)
		return read(c)
	}
	open, err := openOf(local, 65001, !strings.HasPrefix(what, "two-octets"))
	if err != nil {
		return err
	}
	for _, step := range []error{write(c, open), read(c), write(c, bgp.NewBGPKeepAliveMessage()), read(c)} {
		if step != nil {
			return step
		}
	}
	fmt.Fprintln(os.Stderr, "attacks with", what)
	switch what {
	case "flap":
		return nil
	case "flood":
		return flood(c)
	}
	if _, err := c.Write(cases[what]); err != nil {
		return err
	}
	for err == nil { // until it is thrown out, or the deadline
		err = read(c)
	}
	return nil
}

// flood announces 100,000 prefixes as fast as it goes.
func flood(c net.Conn) error {
	for i := 0; i < 100_000; {
		var list []byte
		for range 500 {
			list = append(list, 32, 172, byte(16+i>>16), byte(i>>8), byte(i))
			i++
		}
		if _, err := c.Write(update(attributes, list)); err != nil {
			return err
		}
	}
	for {
		if err := read(c); err != nil {
			return err
		}
	}
}

// memory is what the daemon has and had at most, in MiB.
func (d *daemonProcess) memory() (now, most int) { return memoryOf(d.g.t, d.cmd.Process.Pid) }

func memoryOf(t testing.TB, pid int) (now, most int) {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		kib, _ := strconv.Atoi(f[1])
		switch f[0] {
		case "VmRSS:":
			now = kib >> 10
		case "VmHWM:":
			most = kib >> 10
		}
	}
	return now, most
}

// TestHostileNeighbors: whatever some of them do, the daemon and the others'
// sessions live.
func TestHostileNeighbors(t *testing.T) {
	g := newSegment(t, "s1", "s2", "evil")
	all := []string{"flood", "flap"}
	for name := range before {
		all = append(all, name)
	}
	for name := range cases {
		all = append(all, name)
	}
	slices.Sort(all)
	shares := map[string][]netip.Prefix{"s1": prefixes("10.0.10.0/24"), "s2": prefixes("10.0.11.0/24")}
	s1 := g.mesh("s1", shares)
	local := map[string]netip.Addr{}
	for i, name := range all {
		local[name] = addr(fmt.Sprintf("10.99.0.%d", 100+i))
		g.sh("evil", fmt.Sprintf("ip address add %s/24 dev eth0", local[name]))
		s1 = external(s1, spec.BGPNeighbor{Addr: local[name], AS: 65001, MaxPrefixes: 1000})
	}
	g.sh("evil", "ip address add 10.99.0.9/24 dev eth0")
	d1 := g.daemon("s1", s1)
	d2 := g.daemon("s2", g.mesh("s2", shares))
	d2.awaitUp()
	g.awaitKernel("s2", 5*time.Second, "10.0.10.0/24 via 10.99.0.1 dev eth0")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	logs := map[string]string{}
	dir := g.publicDir()
	for _, name := range all {
		logs[name] = filepath.Join(dir, name)
		g.start("evil", logs[name], []string{fmt.Sprintf("%s=%s %s %s", hostileVariable, name, local[name], g.v4("s1"))}, self)
	}
	g.eventually(30*time.Second, func() error {
		for _, name := range all {
			text, _ := os.ReadFile(logs[name])
			if _, early := before[name]; !early && !strings.Contains(string(text), "attacks with") {
				return fmt.Errorf("%s had no session yet: %s", name, tail(string(text)))
			}
		}
		for name, why := range map[string]string{"next-hop-zero": "nexthop length is zero", "unknown-type": "unknown message type", "cut-attributes": "exceeds message length"} {
			if n := d1.neighbor(local[name]); !strings.Contains(n.Why, why) {
				return fmt.Errorf("%s: %+v", name, n)
			}
		}
		if n := d1.neighbor(local["flood"]); !strings.Contains(n.Why, "more than 1000 prefixes") || n.Received != 0 {
			return fmt.Errorf("flood: %+v", n)
		}
		return nil
	})
	// Some go on attacking for a while.
	after := time.NewTimer(10 * time.Second)
	defer after.Stop()
	<-after.C
	if err := d1.cmd.Process.Signal(syscall.Signal(0)); err != nil {
		t.Fatalf("the daemon: %v", err)
	}
	n := d1.neighbor(g.v4("s2"))
	if n.State != spec.BGPEstablished || n.Uptime < 10*time.Second {
		t.Errorf("the session with s2: %+v", n)
	}
	for _, line := range g.kernel("s1") {
		for _, bad := range []string{"127.", "169.254", "224.", "10.99.0."} {
			if strings.HasPrefix(line, bad) {
				t.Errorf("the kernel has %s", line)
			}
		}
	}
	g.awaitKernel("s2", time.Second, g.kernel("s2")...)
	now, most := d1.memory()
	t.Logf("memory: %d MiB, at most %d MiB", now, most)
	if most > 256 {
		t.Errorf("the daemon had %d MiB", most)
	}
}
