package view

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/screen"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/underlay"
)

// probing is two servers, the second with a clock that is behind, and behind NAT; multicast does not pass.
func probing() *change.Probing {
	at := netip.MustParseAddr
	services := underlay.Services([]int{4789})
	passes := map[underlay.Service]underlay.Outcome{}
	for _, s := range services {
		if passes[s] = underlay.Passes; s.Group.IsValid() {
			passes[s] = underlay.Lost
		}
	}
	path := func(from, to, seen string, a, b netip.Addr) underlay.Path {
		return underlay.Path{From: from, To: to, Services: passes, Hops: 1, Seen: at(seen), Echoed: spec.Echoed{
			Echo: spec.Echo{From: a, To: b, MTU: 1500}, Sent: 5, Heard: 5, Passes: 1500, Median: 1500 * time.Microsecond,
		}}
	}
	one, two := at("192.0.2.1"), at("10.0.0.2")
	return &change.Probing{
		Servers: []underlay.Server{
			{Name: "s1", Addr: one, Device: "eth0", MTU: 1500, Own: []netip.Addr{one}},
			{Name: "s2", Addr: two, Device: "eth0", MTU: 1500, Own: []netip.Addr{two}, Skew: -int64(90*time.Second + 250*time.Millisecond)},
		},
		Services: services,
		Paths:    []underlay.Path{path("s1", "s2", "192.0.2.1", one, two), path("s2", "s1", "203.0.113.7", two, one)},
	}
}

// TestProbeDoc: clocks, NAT, round trips and what passes are in the JSON.
func TestProbeDoc(t *testing.T) {
	t.Parallel()
	d := ProbeDocOf(probing())
	text, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"clock_seconds":-90.25`, `"clock_seconds":0`, `"median_ms":1.5`, `"hops":1`, `"mtu":1500`, `"seen_as":"203.0.113.7"`, `"multicast":"lost"`, `"udp/4789":"passes"`, `"protocol/47":"passes"`,
		`{"what":"the clock of s2 is 1m30s behind this workstation's","next":"flock doctor s2"}`,
		`{"what":"s2 is behind NAT: its packets come to s1 from 203.0.113.7, not from 10.0.0.2","next":"flock setserver s2 --nat"}`,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("want %s in %s", want, text)
		}
	}
}

// TestPrintProbe: both directions differ in what is said of them, and the clock is among the findings.
func TestPrintProbe(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	page := &Page{Streams: screen.Streams{Out: &out}, Getenv: func(string) string { return "" }}
	if err := page.PrintProbe(probing()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"s1 - s2", "multicast", "the clock of s2 is 1m30s behind this workstation's\n  next: flock doctor s2\n", "  next: flock setserver s2 --nat\n"} {
		if !strings.Contains(strings.ReplaceAll(out.String(), screen.NoBreak, " "), want) {
			t.Errorf("want %q in\n%s", want, out.String())
		}
	}
}
