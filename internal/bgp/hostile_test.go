//go:build linux

package bgp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/spec"
)

// hostileVariable makes the test's program an attacker: LOCAL REMOTE, or CASE LOCAL REMOTE.
const hostileVariable = "FLOCK_TEST_BGP_HOSTILE"

// hostileMain is the attacker's process.
func hostileMain(words []string) {
	last := netip.MustParseAddr(words[len(words)-2])
	switch remote := words[len(words)-1]; words[0] {
	case "eager", "forgetful":
		eager(last, remote, words[0] == "eager")
	case "feeder":
		feed(last, remote)
	case "slow":
		slow(last, remote)
	default:
		attack(last, remote)
	}
}

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

// TestHostileNeighbors: whatever some of them do, the daemon and the others' sessions
// live, and it is said what they do.
func TestHostileNeighbors(t *testing.T) {
	g := newSegment(t, "s1", "s2", "evil")
	shares := map[string][]netip.Prefix{"s1": prefixes("10.0.10.0/24"), "s2": prefixes("10.0.11.0/24")}
	s1 := g.mesh("s1", shares)
	begin := addr("10.99.0.100")
	local := map[string]netip.Addr{}
	next := begin
	for _, b := range behaviours() {
		local[b.name] = next
		g.sh("evil", fmt.Sprintf("ip address add %s/24 dev eth0", next))
		s1 = external(s1, spec.BGPNeighbor{Addr: next, AS: 65001, MaxPrefixes: 1000})
		next = next.Next()
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
	g.start("evil", filepath.Join(g.publicDir(), "evil"), []string{fmt.Sprintf("%s=%s %s", hostileVariable, begin, g.v4("s1"))}, self)
	before := d1.neighbor(g.v4("s2"))
	if before.State != spec.BGPEstablished {
		t.Fatalf("the session with s2: %+v", before)
	}
	since := time.Now()
	d1.hears(local)
	if err := d1.cmd.Process.Signal(syscall.Signal(0)); err != nil {
		t.Fatalf("the daemon: %v", err)
	}
	whole := time.Since(since).Truncate(time.Second) // as uptimes are, which never say less
	if n := d1.neighbor(g.v4("s2")); n.State != spec.BGPEstablished || n.Uptime < whole {
		t.Errorf("the session with s2, %v ago: %+v, now: %+v", whole, before, n)
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
	t.Logf("%d behaviours; memory: %d MiB, at most %d MiB", len(local), now, most)
	if most > 256 {
		t.Errorf("the daemon had %d MiB", most)
	}
}

// hears waits until the daemon said of everybody what is to be said, and no less than
// ten seconds.
func (d *daemonProcess) hears(local map[string]netip.Addr) {
	d.g.t.Helper()
	least := time.NewTimer(10 * time.Second)
	defer least.Stop()
	want := map[netip.Addr]expected{}
	for _, b := range behaviours() {
		want[local[b.name]] = expected{b.name, b.says}
	}
	d.says(45*time.Second, want)
	<-least.C
}

// expected is what showbgp is to say of a neighbour, among what else; standing: nothing,
// the session is up.
type expected struct{ name, says string }

// says waits until the daemon said of everybody what is to be said.
func (d *daemonProcess) says(within time.Duration, want map[netip.Addr]expected) {
	d.g.t.Helper()
	left, said := maps.Clone(want), map[netip.Addr]map[string]bool{}
	d.g.eventually(within, func() error {
		for _, n := range d.status().Neighbors {
			w, waiting := left[n.Addr]
			if !waiting {
				continue
			}
			if said[n.Addr] == nil {
				said[n.Addr] = map[string]bool{}
			}
			said[n.Addr][n.State+" "+n.Why] = true
			if w.says == standing && n.State == spec.BGPEstablished && n.Why == "" || w.says != standing && strings.Contains(n.Why, w.says) {
				delete(left, n.Addr)
			}
		}
		var all []error
		for addr, w := range left {
			all = append(all, fmt.Errorf("%s: want %q, have %q", w.name, w.says, slices.Sorted(maps.Keys(said[addr]))))
		}
		return errors.Join(all...)
	})
}

// neverLost says that the daemon's session with the neighbour stands, and always did.
func (d *daemonProcess) neverLost(neighbor netip.Addr) {
	d.g.t.Helper()
	log, err := os.ReadFile(filepath.Join(d.dir, "log"))
	if err != nil {
		d.g.t.Fatal(err)
	}
	if n := d.neighbor(neighbor); n.State != spec.BGPEstablished || strings.Contains(string(log), fmt.Sprintf("neighbor %s: down", neighbor)) {
		d.g.t.Errorf("the session with %s: %+v\n%s", neighbor, n, log)
	}
}
