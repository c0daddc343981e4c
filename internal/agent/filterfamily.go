//go:build linux

package agent

import (
	"context"
	"fmt"
	"slices"

	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/spec"
)

// filterFamily is all that the packet filters are made of: they are written as a whole, in
// one transaction.
var filterFamily = family{
	stage: stageFilters, what: "packet filters",
	observe: func(_ context.Context, k *host.Host, want, have *spec.Host) error {
		return k.Filters.Observe(want, have)
	},
	diff: diffFilters,
	all: func(_ context.Context, a *applier, _ []Op) error {
		if err := a.k.Filters.Replace(a.want); err != nil {
			return fmt.Errorf("write packet filters: %w", err)
		}
		return nil
	},
	tried: tried{
		ask: func(_ context.Context, k *host.Host, want *spec.Host, ops []Op) []spec.Problem {
			return claimFilters(k, want, ops)
		},
		planned: func(k *host.Host) { k.Filters.Hold() },
		moved:   func(k *host.Host, _ *spec.Host) bool { return k.Filters.Moved() },
	},
	finish: func(_ context.Context, k *host.Host, want *spec.Host) error {
		if !want.Empty() {
			k.Filters.Note()
		}
		return nil
	},
	marked:  true,
	remains: func(k *host.Host) ([]string, error) { return k.Filters.Remains() },
}

// claimFilters says why the kernel would not take the rules that ops add: only a trial tells
// what it supports. Accepts in tables of others need nothing that those do not use.
func claimFilters(k *host.Host, want *spec.Host, ops []Op) []spec.Problem {
	adds := func(op Op) bool {
		_, accept := op.Want.(spec.Forward)
		return op.Step.Action == spec.Add && !accept
	}
	if !slices.ContainsFunc(ops, adds) {
		return nil
	}
	if err := k.Filters.Check(want); err != nil {
		return []spec.Problem{*problem(err)}
	}
	return nil
}

func diffFilters(d *difference) {
	want, have := d.want, d.have
	gateways := compare(want.Gateways, have.Gateways, func(g spec.Gateway) string { return g.Bridge }, func(g spec.Gateway) string { return "gateway " + g.Bridge })
	guards := compare(want.Guards, have.Guards, func(g spec.Guard) string { return g.Bridge }, func(g spec.Guard) string { return "ports " + g.Bridge })
	doors := compare(want.Doors, have.Doors, func(d spec.Door) uint16 { return d.Port }, func(d spec.Door) string { return fmt.Sprintf("door %d", d.Port) })
	nats := compare(want.NATs, have.NATs, keyNAT, objectNAT)
	keeps := compare(want.Keeps, have.Keeps, keyPreserved, objectPreserved)
	mended(nats.gone, want)
	forwards := compare(want.Forwards, have.Forwards, spec.Forward.Name, func(f spec.Forward) string { return "forward " + f.Name() })
	d.found[coming] = slices.Concat(
		gateways.gone, guards.gone, doors.gone, nats.gone, keeps.gone, forwards.gone,
		gateways.come, guards.come, doors.come, nats.come, keeps.come, forwards.come,
	)
}
