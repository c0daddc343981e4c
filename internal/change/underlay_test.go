package change

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/underlay"
)

// between is what lies between the servers of a fleet: it lets all pass but packets to a group, and
// gives those of some servers another source.
type between struct {
	ahead map[string]time.Duration // by which the clocks of servers are ahead
	seen  map[string]netip.Addr    // as which address others see a server
	came  map[string][]spec.UnderlayArrival
}

// underlay opens, sends, or hands over, as agents do.
func (f *fleet) underlay(name string, r *spec.UnderlayRequest) *spec.Reply {
	b := f.between
	out := &spec.UnderlayReply{Clock: time.Now().Add(b.ahead[name]).UnixNano()}
	switch {
	case r.Own.IsValid():
	case len(r.Send) == 0:
		out.Came = b.came[name]
	}
	source := netip.MustParseAddr("192.0.2." + name[1:])
	if a, other := b.seen[name]; other {
		source = a
	}
	for _, p := range r.Send {
		for to := range f.servers {
			if p.To == netip.MustParseAddr("192.0.2."+to[1:]) {
				b.came[to] = append(b.came[to], spec.UnderlayArrival{Number: p.Number, Source: source, TTL: spec.UnderlayTTL, Delivered: true})
			}
		}
	}
	return &spec.Reply{Underlay: out}
}

// TestProbe: clocks are compared with the workstation's, NAT is told by the address that others see, and
// multicast that does not arrive by nobody who hears it.
func TestProbe(t *testing.T) {
	f, e := world(t, 3)
	f.between = &between{
		ahead: map[string]time.Duration{"s1": time.Hour, "s3": -3 * time.Minute},
		seen:  map[string]netip.Addr{"s3": netip.MustParseAddr("198.51.100.7")},
		came:  map[string][]spec.UnderlayArrival{},
	}
	began := time.Now()
	p, err := e.Probe(t.Context(), []string{"s1", "s2", "s3"}, nil, false)
	took := time.Since(began)
	if err != nil || len(p.Absent) > 0 || len(p.Servers) != 3 {
		t.Fatalf("have %+v, %v", p, err)
	}
	for _, s := range p.Servers {
		if off := time.Duration(s.Skew) - f.between.ahead[s.Name]; off.Abs() > took {
			t.Errorf("the clock of %s is %v ahead, and is said to be %v", s.Name, f.between.ahead[s.Name], time.Duration(s.Skew))
		}
	}
	for _, path := range p.Paths {
		if path.Translated() != (path.From == "s3") || path.Hops != 0 {
			t.Errorf("have %+v", path)
		}
	}
	var told []string
	for _, f := range underlay.Findings(p.Servers, p.Services, p.Paths) {
		told = append(told, f.What)
	}
	want := []string{
		"multicast from s1 does not arrive at s2, s3: something between them drops it",
		"s3 is behind NAT: its packets come to s1 from 198.51.100.7, not from 192.0.2.3",
		"ahead of this workstation's", "behind this workstation's",
	}
	for _, w := range want {
		if !slices.ContainsFunc(told, func(s string) bool { return strings.Contains(s, w) }) {
			t.Errorf("want %q among %q", w, told)
		}
	}
}
