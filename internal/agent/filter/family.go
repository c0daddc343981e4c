//go:build linux

package filter

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/agent/family"
	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/spec"
)

// Family is all that the packet filters are made of: they are written as a whole, in
// one transaction.
var Family = family.Family{
	Stage: family.StageFilters, What: "packet filters",
	Observe: func(_ context.Context, k *host.Host, want, have *spec.Host) error {
		var err error
		if k.Filters.Uplinks, err = k.Uplinks(); err != nil {
			return err
		}
		return k.Filters.Observe(want, have)
	},
	Diff: diffFilters,
	All: func(_ context.Context, a *family.Applier, _ []family.Op) error {
		if err := a.Host.Filters.Replace(a.Want); err != nil {
			return fmt.Errorf("write packet filters: %w", err)
		}
		return nil
	},
	Tried: family.Tried{
		Ask: func(_ context.Context, k *host.Host, want *spec.Host, ops []family.Op) []spec.Problem {
			return claimFilters(k, want, ops)
		},
		Planned: func(k *host.Host) { k.Filters.Hold() },
		Moved:   func(k *host.Host, _ *spec.Host) bool { return k.Filters.Moved() },
	},
	Finish: func(_ context.Context, k *host.Host, want *spec.Host) error {
		if !want.Empty() {
			k.Filters.Note()
		}
		return nil
	},
	Marked:  true,
	Remains: func(k *host.Host) ([]string, error) { return k.Filters.Remains() },
}

// claimFilters says why the kernel would not take the rules that ops add: only a trial tells
// what it supports. Accepts in tables of others need nothing that those do not use.
func claimFilters(k *host.Host, want *spec.Host, ops []family.Op) []spec.Problem {
	adds := func(op family.Op) bool {
		_, accept := op.Want.(spec.Forward)
		return op.Step.Action == spec.Add && !accept
	}
	if !slices.ContainsFunc(ops, adds) {
		return nil
	}
	if err := k.Filters.Check(want); err != nil {
		return []spec.Problem{*host.Problem(err)}
	}
	return nil
}

func diffFilters(d *family.Difference) {
	want, have := d.Want, d.Have
	gateways := family.Compare(want.Gateways, have.Gateways, func(g spec.Gateway) string { return g.Bridge }, func(g spec.Gateway) string { return "gateway " + g.Bridge })
	guards := family.Compare(want.Guards, have.Guards, func(g spec.Guard) string { return g.Bridge }, func(g spec.Guard) string { return "ports " + g.Bridge })
	doors := family.Compare(want.Doors, have.Doors, func(d spec.Door) uint16 { return d.Port }, func(d spec.Door) string { return fmt.Sprintf("door %d", d.Port) })
	nats := family.Compare(want.NATs, have.NATs, keyNAT, objectNAT)
	keeps := family.Compare(want.Keeps, have.Keeps, keyPreserved, objectPreserved)
	mended(nats.Gone, want)
	forwards := family.Compare(want.Forwards, have.Forwards, spec.Forward.Name, func(f spec.Forward) string { return "forward " + f.Name() })
	d.Found[family.Coming] = slices.Concat(
		gateways.Gone, guards.Gone, doors.Gone, nats.Gone, keeps.Gone, forwards.Gone,
		gateways.Come, guards.Come, doors.Come, nats.Come, keeps.Come, forwards.Come,
	)
}

type preservedKey struct {
	network, link string
	subnet        netip.Prefix
}

func keyPreserved(k spec.PreserveSource) preservedKey {
	return preservedKey{k.Network, k.Link, k.Subnet}
}

func objectPreserved(k spec.PreserveSource) string {
	if k.Link == "" {
		return "keep " + k.Subnet.String()
	}
	return "keep " + k.Subnet.String() + " dev " + k.Link
}

type natKey struct {
	network string
	subnet  netip.Prefix
}

func keyNAT(n spec.NAT) natKey { return natKey{n.Network, n.Subnet} }

// objectNAT names a masquerading. One without a subnet stands for what else is in
// our tables: what guards a VXLAN inside a mesh from outside.
func objectNAT(n spec.NAT) string {
	if !n.Subnet.IsValid() {
		if n.Bridge == "" { // of a table that nothing is wanted in
			return "table " + n.Network
		}
		return "guard " + n.Bridge
	}
	return "masquerade " + n.Subnet.String()
}

// mended makes the removal of a damaged guard its repair where the VXLAN that it
// guards is still there.
func mended(ops []family.Op, want *spec.Host) {
	for i, op := range ops {
		guard, ok := op.Have.(spec.NAT)
		inner := func(l spec.Link) bool { return l.Kind == spec.VXLAN && l.Name == guard.Bridge }
		if ok && !guard.Subnet.IsValid() && slices.ContainsFunc(want.Links, inner) {
			ops[i].Step.Action = spec.Change
		}
	}
}
