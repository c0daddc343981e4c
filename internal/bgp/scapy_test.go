//go:build linux

package bgp

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/bgp/journal"
	"github.com/flocknet/flock/internal/lab"
	"github.com/flocknet/flock/internal/spec"
)

// python is Debian's, which has its python3-scapy.
const python = "/usr/bin/python3"

// scapyCases is how many neighbours talk nonsense: five of each of eight sorts.
const scapyCases = 40

// TestScapy: whatever messages scapy makes up, the daemon, the others' sessions and their
// routes stay, and it says what each neighbour was told, or told it.
func TestScapy(t *testing.T) {
	lab.Need(t, python)
	g := newSegment(t, "s1", "s2", "evil")
	shares := map[string][]netip.Prefix{"s1": prefixes("10.0.10.0/24"), "s2": prefixes("10.0.11.0/24")}
	s1 := g.mesh("s1", shares)
	first := addr("10.99.0.100")
	for at, i := first, 0; i <= scapyCases; at, i = at.Next(), i+1 {
		g.sh("evil", fmt.Sprintf("ip address add %s/24 dev eth0", at))
		s1 = external(s1, spec.BGPNeighbor{Addr: at, AS: 65001, MaxPrefixes: 1000})
	}
	d1, d2 := g.daemon("s1", s1), g.daemon("s2", g.mesh("s2", shares))
	d2.awaitUp()
	seed := time.Now().UnixNano() % 1e9
	t.Logf("seed %d", seed)
	log := filepath.Join(g.publicDir(), "log")
	g.start("evil", log, nil, python, "testdata/scapy_sender.py", g.v4("s1").String(), first.String(), fmt.Sprint(scapyCases), fmt.Sprint(seed))
	g.explains(d1, log)
	// The sound one, whose route is everywhere.
	d1.neverLost(first)
	g.awaitRoute("s2", "172.31.0.0/24", "10.99.0.1", time.Second)
	d1.neverLost(g.v4("s2"))
	d2.reload(g.mesh("s2", map[string][]netip.Prefix{"s1": shares["s1"], "s2": prefixes("10.0.21.0/24")}))
	g.awaitRoute("s1", "10.0.21.0/24", "10.99.0.2", 5*time.Second)
	g.awaitRoute("s1", "10.0.11.0/24", "", 5*time.Second)
}

// explains waits until every neighbour's case was tried, and the daemon said of all that
// ended by a NOTIFICATION that, and what.
func (g *segment) explains(d *daemonProcess, log string) {
	g.t.Helper()
	said, done := map[netip.Addr]string{}, map[netip.Addr]string{}
	g.eventually(40*time.Second, func() error {
		for _, n := range d.status().Neighbors {
			if n.Why != "" && !strings.Contains(said[n.Addr], n.Why) {
				said[n.Addr] += n.Why + "\n"
			}
		}
		text, err := os.ReadFile(log)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(text)) {
			at, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
			from, err := netip.ParseAddr(at)
			if err != nil || !strings.HasSuffix(line, "\n") { // a warning of Python's, or not all of a line yet
				continue
			}
			if !strings.HasPrefix(rest, "sound ") {
				done[from] = rest
			}
			if want := explanation(rest); !slices.ContainsFunc(want, func(w string) bool { return strings.Contains(said[from], w) }) {
				return fmt.Errorf("%s %s: want one of %q, have %q", at, rest, want, said[from])
			}
		}
		if len(done) < scapyCases {
			return fmt.Errorf("%d of %d cases are over\n%s", len(done), scapyCases, tail(string(text)))
		}
		return nil
	})
	count := map[string]int{}
	for _, end := range done {
		count[end]++
	}
	g.t.Logf("how they ended last: %v", count)
}

// explanation is what is to be said, in one of several ways, of an end as the sender
// wrote it.
func explanation(end string) []string {
	var code, sub uint8
	if _, rest, ok := strings.Cut(end, " heard "); ok {
		_, _ = fmt.Sscan(rest, &code, &sub)
		if text := journal.Explain(code, sub, "", true); text != journal.BadPeerAS {
			return []string{"we ended the session: " + text}
		}
		return []string{"it says AS", "it says another AS"}
	}
	if _, rest, ok := strings.Cut(end, " said "); ok {
		_, _ = fmt.Sscan(rest, &code, &sub)
		return []string{"it ended the session: " + journal.Explain(code, sub, "", false)}
	}
	return []string{""}
}
