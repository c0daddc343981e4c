//go:build linux

package agent

import (
	"os"
	"testing"

	"github.com/flocknet/flock/internal/spec"
)

// A route of ours that somebody put on a link of others, with our number, is drift: the plan
// says what the apply does, and neither takes it for somebody else's.
func TestReplacedRouteIsDrift(t *testing.T) {
	ownNet(t)
	k := open(t, "t", t.TempDir())
	want := &spec.Host{
		Cluster: "t",
		Links:   []spec.Link{{Name: "br9", Network: "n", Kind: spec.Bridge, MAC: "02:00:00:00:00:09", MTU: 1400}},
		Routes:  []spec.Route{{Dst: prefix("10.244.1.0/24"), Dev: "br9", Proto: spec.RouteProto}},
		Claims:  []spec.Claim{{Network: "n", Prefix: prefix("10.244.0.0/16")}},
	}
	apply(t, k, want)
	if err := os.MkdirAll(k.Dir(), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := k.Store(want); err != nil {
		t.Fatal(err)
	}
	sh(t, "ip route replace 10.244.1.0/24 dev eth0 proto 70")
	p, err := k.Plan(t.Context(), want)
	if err != nil || len(p.Problems) > 0 || len(p.Steps) != 1 || p.Steps[0].Action != spec.Change {
		t.Fatalf("want one change, have %+v, %v", p, err)
	}
	apply(t, k, want)
	if p, err = k.Plan(t.Context(), want); err != nil || len(p.Problems)+len(p.Steps) > 0 {
		t.Fatalf("after the apply: %+v, %v", p, err)
	}
	sh(t, "test \"$(ip route show 10.244.1.0/24 | wc -l)\" = 1; ip route show 10.244.1.0/24 | grep -q br9")
}
