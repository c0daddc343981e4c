//go:build linux

package bgp

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/spec"
)

// What a neighbour may say and is told changes within its session, which carries
// traffic all the while.
func TestPolicyChangesResetNothing(t *testing.T) {
	for kind, top := range tops() {
		t.Run(kind, func(t *testing.T) {
			g := newSegment(t, "s1", "s2", "tor")
			g.sh("tor", "ip address add 172.16.1.1/32 dev lo")
			g.sh("s1", "ip address add 10.0.10.1/32 dev lo")
			shares := map[string][]netip.Prefix{"s1": prefixes("10.0.10.0/24", "10.0.20.0/24"), "s2": prefixes("10.0.11.0/24")}
			tor := spec.BGPNeighbor{Addr: g.v4("tor"), AS: 65001}
			top(g, "tor", "")
			d1, d2 := g.daemon("s1", external(g.mesh("s1", shares), tor)), g.daemon("s2", g.mesh("s2", shares))
			d1.awaitUp()
			d2.awaitUp()
			told := func(list ...string) {
				t.Helper()
				for _, p := range []string{"10.0.10.0/24", "10.0.11.0/24", "10.0.20.0/24"} {
					via := ""
					for _, have := range list {
						if have == p {
							via = "10.99.0.1"
						}
					}
					g.awaitRoute("tor", p, via, 10*time.Second)
				}
			}
			accepted := func(list ...string) {
				t.Helper()
				g.awaitKernel("s1", 10*time.Second, append(list, "10.0.11.0/24 via 10.99.0.2 dev eth0")...)
			}
			out, def := "172.16.1.0/24 via 10.99.0.3 dev eth0", "default via 10.99.0.3 dev eth0"
			told("10.0.10.0/24", "10.0.11.0/24", "10.0.20.0/24")
			accepted(out)
			p := g.ping("s1", "10.0.10.1", "172.16.1.1")
			change := func(imports, exports []spec.PrefixRule, limit int) {
				t.Helper()
				n := tor
				n.Import, n.Export, n.MaxPrefixes = imports, exports, limit
				d1.reload(external(g.mesh("s1", shares), n))
			}
			rule := func(s string) []spec.PrefixRule { return []spec.PrefixRule{{Prefix: prefix(s), LE: 24}} }
			for range 10 {
				change(nil, rule("10.0.10.0/24"), 0)
				told("10.0.10.0/24") // the rest is withdrawn, one of it another server's
				change(nil, []spec.PrefixRule{{Prefix: prefix("10.0.11.0/24")}, {Prefix: prefix("10.0.10.0/24")}}, 0)
				told("10.0.10.0/24", "10.0.11.0/24")
				change(append(rule("172.16.0.0/16"), spec.PrefixRule{Prefix: prefix("0.0.0.0/0")}), nil, 0)
				told("10.0.10.0/24", "10.0.11.0/24", "10.0.20.0/24")
				accepted(out, def)
				change(rule("172.16.0.0/16"), rule("10.0.0.0/8"), 100)
				accepted(out)
				change(nil, nil, 0)
				told("10.0.10.0/24", "10.0.11.0/24", "10.0.20.0/24")
			}
			p.await(20)
			if lost, sent := p.lost(); lost > 0 || sent < 20 {
				t.Errorf("lost %d of %d", lost, sent)
			}
			for _, d := range []*daemonProcess{d1, d2} {
				text, err := os.ReadFile(filepath.Join(d.dir, "log"))
				if err != nil {
					t.Fatal(err)
				}
				if ups := strings.Count(string(text), ": up\n"); ups != len(d.status().Neighbors) || strings.Contains(string(text), ": down") {
					t.Errorf("%s: sessions came up %d times:\n%s", d.name, ups, text)
				}
			}
		})
	}
}
