//go:build linux

package agent

import (
	"slices"
	"testing"

	"github.com/flocknet/flock/internal/spec"
)

// joined is segment after another member has joined it.
func joined() *spec.Host {
	want := segment()
	want.Floods[0].To = spec.NewAddrSet(addr("10.99.0.1"), addr("10.99.0.2"), addr("10.99.0.3"), addr("10.99.0.4"))
	want.Neighs = append(want.Neighs, spec.Neigh{Link: "vxl0", IP: addr("10.0.4.10"), MAC: "6a:0b:00:00:00:0a"})
	want.Routes = append(want.Routes, spec.Route{Dst: prefix("10.60.0.0/24"), Via: addr("10.0.4.10"), Dev: "vxl0", Proto: spec.RouteProto})
	return want
}

const joinedSteps = `
	+ neigh 10.0.4.10 dev vxl0: lladdr 6a:0b:00:00:00:0a
	+ fdb 00:00:00:00:00:00 dst 10.99.0.4 dev vxl0-vx
	+ route 10.60.0.0/24: via 10.0.4.10 dev vxl0 proto 70
`

// What every member of a network gets when one more joins is looked at again by its
// kind; where that is not as it should be, or something moved meanwhile, everything is.
func TestAGlanceAtWhatAJoinChanges(t *testing.T) {
	more := func(steps string) string { return sortedLines(outdent(joinedSteps + steps)) }
	for _, c := range []struct {
		name, meanwhile, steps string
	}{
		{"nobody else", "true", more("")},
		{"flood entry gone", "bridge fdb del 00:00:00:00:00:00 dev vxl0-vx dst 10.99.0.3", more("+ fdb 00:00:00:00:00:00 dst 10.99.0.3 dev vxl0-vx")},
		{"setting", "echo 0 >/proc/sys/net/ipv4/conf/vxl0/arp_announce", more("~ sysctl net/ipv4/conf/vxl0/arp_announce: 0 -> 2")},
		{"gateway", "nft delete table bridge flock-t", more("+ gateway vxl0: 10.0.4.1 mac 6a:0f:00:00:00:00 bridge vxl0 uplink vxl0-vx routers 6a:0b:00:00:00:00/ff:ff:ff:ff:00:00 subnets 10.0.4.0/24 network vx1")},
		{"flood entry too many", "bridge fdb append 00:00:00:00:00:00 dev vxl0-vx dst 10.99.0.7", more("- fdb 00:00:00:00:00:00 dst 10.99.0.7 dev vxl0-vx")},
		{"neighbour gone", "ip neigh del 10.0.4.9 dev vxl0", more("+ neigh 10.0.4.9 dev vxl0: lladdr 6a:0b:00:00:00:09")},
		{"route gone", "ip route del 10.50.0.0/24", more("+ route 10.50.0.0/24: via 10.0.4.9 dev vxl0 proto 70")},
		{"and an address", "ip route del 10.50.0.0/24; ip addr del 10.0.4.1/32 dev vxl0", more("+ addr 10.0.4.1/32 dev vxl0\n+ route 10.50.0.0/24: via 10.0.4.9 dev vxl0 proto 70")},
	} {
		t.Run(c.name, func(t *testing.T) {
			ownNet(t)
			k := open(t, "t", t.TempDir())
			apply(t, k, segment())
			p, err := k.Plan(t.Context(), joined())
			if err != nil || stepText(p.Steps) != outdent(joinedSteps) || len(p.Problems) > 0 {
				t.Fatalf("plan: %v, %+v", err, p)
			}
			sh(t, c.meanwhile)
			report, err := Reconcile(t.Context(), k, joined(), nil)
			if err != nil || sortedLines(stepText(report.Steps)) != c.steps || len(report.Pending) > 0 {
				t.Errorf("%v; want\n%shave\n%s", err, c.steps, stepText(report.Steps))
			}
			if left := plan(t, k, joined()); left != "" {
				t.Errorf("left to do:\n%s", left)
			}
			leave(t, k)
		})
	}
}

// leave takes the new member away again, with a glance and no more.
func leave(t *testing.T, k *Kernel) {
	t.Helper()
	if _, err := k.Plan(t.Context(), segment()); err != nil {
		t.Fatal(err)
	}
	report, err := Reconcile(t.Context(), k, segment(), nil)
	// k.fresh is set by looks at everything alone.
	if err != nil || len(report.Steps) != 3 || k.Fresh {
		t.Errorf("leave: %v, %v, a look at everything: %v", err, report.Steps, k.Fresh)
	}
	if left := plan(t, k, segment()); left != "" {
		t.Errorf("left to do:\n%s", left)
	}
}

func TestNoGlanceAtWhatLeansOnOthers(t *testing.T) {
	ownNet(t)
	k := open(t, "t", t.TempDir())
	apply(t, k, segment())
	want := joined()
	want.Addrs = slices.Delete(want.Addrs, 1, 2)
	if _, err := k.Plan(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	if _, err := Reconcile(t.Context(), k, want, nil); err != nil || !k.Fresh {
		t.Errorf("an address was removed: %v, a look at everything: %v", err, k.Fresh)
	}
}
