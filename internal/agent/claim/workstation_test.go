//go:build linux

package claim

import (
	"net/netip"
	"testing"

	"github.com/flocknet/flock/internal/spec"
)

func TestClaimSparesTheWorkstation(t *testing.T) {
	foreign := workstationOccupant(netip.MustParseAddr("10.1.2.3"))
	if p := claimPrefix(&spec.Host{}, spec.Claim{Prefix: netip.MustParsePrefix("10.0.0.0/8")}, foreign); p == nil || p.Next == "" {
		t.Fatalf("a prefix with the workstation in it passes: %v", p)
	}
	if p := claimPrefix(&spec.Host{}, spec.Claim{Prefix: netip.MustParsePrefix("10.2.0.0/16")}, foreign); p != nil {
		t.Fatalf("want no problem, have %v", p)
	}
	if none := workstationOccupant(netip.Addr{}); len(none) > 0 {
		t.Fatalf("want none, have %v", none)
	}
}
