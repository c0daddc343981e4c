//go:build linux

package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/family"
	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/link"
	"github.com/flocknet/flock/internal/spec"
)

// lamps is a toy: a family that no other file knows. A lamp is an address of the loopback
// device, 192.0.2.N for network "N". A claim without anything to claim stands for a type of
// its own in spec.
type lamps struct {
	stuck bool     // they do not go out
	moved bool     // a plan's look at them is stale
	heard []string // what else the family was told
	looks int
}

func lampAddr(c spec.Claim) spec.Addr {
	return spec.Addr{Link: "lo", Prefix: prefix("192.0.2." + c.Network + "/32")}
}

func lampOf(op family.Op) (spec.Claim, bool) {
	if c, lit := op.Want.(spec.Claim); lit {
		return c, true
	}
	return op.Have.(spec.Claim), false
}

// family is lamps as a line of the table, whose ops are carried out in one of three ways.
func (l *lamps) family(way string) *family.Family {
	f := &family.Family{
		Stage: family.StageUse, What: "lamps",
		Observe: func(_ context.Context, k *host.Host, _, have *spec.Host) error {
			l.looks++
			have.Claims = l.lit(k)
			return nil
		},
		Diff: func(d *family.Difference) {
			key := func(c spec.Claim) string { return c.Network }
			d.Put(family.Compare(d.Want.Claims, d.Have.Claims, key, func(c spec.Claim) string { return "lamp " + c.Network }), family.Going, family.Coming)
		},
		Took:    func(_ *host.Host, op family.Op) { l.heard = append(l.heard, "took "+op.Step.Object) },
		Explain: func(_ *host.Host, op *family.Op) { op.Step.Detail = "explained" },
		Tried: family.Tried{
			Claim: func(_ context.Context, _ *host.Host, _ *spec.Host, ops []family.Op) ([]spec.Problem, error) {
				if len(ops) > 2 {
					return []spec.Problem{{What: "too many lamps"}}, nil
				}
				return nil, nil
			},
			Files: func(s *host.Files, _ family.Op) ([]string, bool) {
				return []string{filepath.Join(s.Paths.Lib, "lamps")}, false
			},
			Moved: func(*host.Host, *spec.Host) bool { return l.moved },
		},
		Status:  func(_ *host.Host, plan *spec.Plan) { plan.Loose = append(plan.Loose, "lamps") },
		Prepare: func(*host.Host, *spec.Host) error { l.heard = append(l.heard, "prepare"); return nil },
		Finish: func(context.Context, *host.Host, *spec.Host) error {
			l.heard = append(l.heard, "settle")
			return nil
		},
		Strays: func(context.Context, *host.Host) error { l.heard = append(l.heard, "strays"); return nil },
		Remains: func(k *host.Host) (names []string, err error) {
			for _, c := range l.lit(k) {
				names = append(names, "lamp "+c.Network)
			}
			return names, nil
		},
	}
	switch way {
	case "one":
		f.One = func(_ context.Context, a *family.Applier, op family.Op) error { return l.set(a, op) }
	case "all":
		f.All = func(_ context.Context, a *family.Applier, ops []family.Op) error {
			var errs []error
			for _, op := range ops {
				errs = append(errs, l.set(a, op))
			}
			return errors.Join(errs...)
		}
	case "batch":
		f.Batch = func(a *family.Applier, op family.Op) (family.Messages, error) {
			c, lit := lampOf(op)
			switch {
			case lit:
				return family.Alone(link.AddrMessage(a.Host, unix.RTM_NEWADDR, lampAddr(c)))
			case l.stuck:
				return family.Messages{}, nil
			}
			return family.Alone(link.AddrMessage(a.Host, unix.RTM_DELADDR, lampAddr(c)))
		}
	}
	return f
}

// lit are the lamps as of the last look.
func (l *lamps) lit(k *host.Host) []spec.Claim {
	var out []spec.Claim
	for _, a := range k.Addrs {
		if n, ok := strings.CutPrefix(host.ToPrefix(a.IPNet).Addr().String(), "192.0.2."); ok {
			out = append(out, spec.Claim{Network: n})
		}
	}
	return family.InSequence(out, func(a, b spec.Claim) int { return strings.Compare(a.Network, b.Network) })
}

func (l *lamps) set(a *family.Applier, op family.Op) error {
	c, lit := lampOf(op)
	kind := unix.RTM_DELADDR
	if lit {
		kind = unix.RTM_NEWADDR
	} else if l.stuck {
		return nil
	}
	m, err := link.AddrMessage(a.Host, kind, lampAddr(c))
	if err != nil {
		return err
	}
	answers, err := a.Host.RT.Send(m)
	return errors.Join(append(answers, err)...)
}

// TestToyFamilyIsCarried: what a family needs is its line in the table. Plan, apply, status,
// undo and what is left of a cluster carry it without knowing it.
func TestToyFamilyIsCarried(t *testing.T) {
	for _, way := range []string{"one", "all", "batch"} {
		t.Run(way, func(t *testing.T) {
			ownNet(t)
			l := &lamps{}
			before := families
			families = append(slices.Clip(families), l.family(way)) // the one line
			t.Cleanup(func() { families = before })
			carryLamps(t, l, way)
		})
	}
}

func withLamps(names ...string) *spec.Host {
	h := &spec.Host{Cluster: "t", Store: "s", Server: "s1", Links: []spec.Link{{Name: "br7", Network: "n", Kind: spec.Bridge, MAC: "6a:0b:00:00:00:07", MTU: 1400}}}
	for _, n := range names {
		h.Claims = append(h.Claims, spec.Claim{Network: n})
	}
	return h
}

func carryLamps(t *testing.T, l *lamps, way string) {
	ctx, dir := t.Context(), t.TempDir()
	k := open(t, "t", dir)
	if err := k.MakeDirs(); err != nil {
		t.Fatal(err)
	}
	apply := func(want *spec.Host, steps ...string) *spec.Report {
		t.Helper()
		l.heard = nil
		report, err := Reconcile(ctx, k, want, nil)
		if err != nil {
			t.Fatal(err)
		}
		var have []string
		for _, s := range report.Steps {
			have = append(have, s.Action+" "+s.Object)
		}
		if !slices.Equal(have, steps) {
			t.Errorf("want %q, have %q", steps, have)
		}
		return report
	}

	// A plan names it, with what it says, and what is in its way.
	plan, err := k.Plan(ctx, withLamps("1", "2", "3"))
	if err != nil || len(plan.Problems) != 1 || plan.Problems[0].What != "too many lamps" {
		t.Errorf("want a problem, have %v, %v", plan, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "lamps"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	plan, err = k.Plan(ctx, withLamps("1"))
	if err != nil || len(plan.Problems) != 1 || !strings.HasSuffix(plan.Problems[0].What, "lamps is no directory") {
		t.Errorf("want a file in the way, have %v, %v", plan, err)
	}
	if err := os.Remove(filepath.Join(dir, "lamps")); err != nil {
		t.Fatal(err)
	}
	want := withLamps("1", "2")
	if plan, err = k.Plan(ctx, want); err != nil || len(plan.Problems) != 0 || len(plan.Steps) != 3 || plan.Steps[2].String() != "+ lamp 2: explained" {
		t.Errorf("have %v, %v", plan, err)
	}

	// It is applied after the link, from the plan's look, and is there: prepared, done, settled.
	l.looks = 0
	apply(want, "+ link br7", "+ lamp 1", "+ lamp 2")
	expected := []string{"prepare", "settle"}
	if way == "batch" {
		expected = []string{"prepare", "took lamp 1", "took lamp 2", "settle"}
	}
	if !slices.Equal(l.heard, expected) || l.looks != 1 { // no glance at links: one look after them
		t.Errorf("want %q, have %q; %d looks", expected, l.heard, l.looks)
	}
	if have := sh(t, "ip -o addr show dev lo | grep -c '192.0.2.[12]/32'"); have != "2\n" {
		t.Errorf("lamps: %s", have)
	}

	// A plan's look that its family takes for stale is none.
	l.moved = true
	if _, err := k.Plan(ctx, withLamps("1", "2", "4")); err != nil {
		t.Fatal(err)
	}
	l.looks = 0
	apply(withLamps("1", "2", "4"), "+ lamp 4")
	if l.looks != 2 {
		t.Errorf("a stale look was used: %d looks", l.looks)
	}
	l.moved = false
	apply(want, "- lamp 4")

	// Somebody switches one off: status says so, and the next apply mends it.
	sh(t, "ip addr del 192.0.2.1/32 dev lo")
	status, err := k.Status(ctx, want)
	if err != nil || fmt.Sprint(status.Steps) != "[+ lamp 1: explained]" || !slices.Equal(status.Loose, []string{"lamps"}) {
		t.Errorf("have %v, %v", status, err)
	}
	apply(want, "+ lamp 1")
	apply(want)
	names, err := k.Remains(ctx)
	if err != nil || !slices.Equal(names, []string{"link br7", "lamp 1", "lamp 2"}) {
		t.Errorf("what is there: %q, %v", names, err)
	}

	// Undo, to another lamp and to nothing; one that does not go is named.
	if err := k.backTo(ctx, withLamps("2", "5"), nil); err != nil {
		t.Error(err)
	}
	if names, err = k.Remains(ctx); err != nil || !slices.Equal(names, []string{"link br7", "lamp 2", "lamp 5"}) {
		t.Errorf("after undo: %q, %v", names, err)
	}
	empty := &spec.Host{Cluster: "t"}
	l.stuck = true
	if report, err := Reconcile(ctx, k, empty, nil); err != nil || report.Left != 2 || !slices.Equal(report.Remains, []string{"lamp 2", "lamp 5"}) {
		t.Errorf("stuck: %+v, %v", report, err)
	}
	l.stuck = false
	report := apply(empty, "- lamp 2", "- lamp 5")
	if report.Left != 0 || !slices.Contains(l.heard, "strays") {
		t.Errorf("purged: %+v, heard %q", report, l.heard)
	}
	if err := k.backTo(ctx, empty, nil); err != nil {
		t.Error(err)
	}
	if err := k.lookForRest(ctx, report); err != nil || report.Left != 0 || !report.Looked {
		t.Errorf("left: %+v, %v", report, err)
	}
}
