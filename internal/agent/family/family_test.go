//go:build linux

package family

import (
	"slices"
	"testing"

	"github.com/flocknet/flock/internal/spec"
)

// TestDiffOfATable: families come in the sequence of the table and go in its reverse, and
// what stands on a link that vanishes is not named: it goes with it.
func TestDiffOfATable(t *testing.T) {
	links := &Family{Diff: func(d *Difference) {
		key := func(l spec.Link) string { return l.Name }
		p := Compare(d.Want.Links, d.Have.Links, key, func(l spec.Link) string { return "link " + l.Name })
		d.Vanish = map[string]bool{}
		for _, op := range p.Gone {
			d.Vanish[op.Have.(spec.Link).Name] = true
		}
		d.Put(p, Clearing, Coming)
	}}
	addrs := &Family{
		Diff: func(d *Difference) {
			d.Put(Compare(d.Want.Addrs, d.Have.Addrs, func(a spec.Addr) spec.Addr { return a }, spec.Addr.String), Clearing, Coming)
		},
		StandsOn: func(have *spec.Host, vanish map[string]bool) {
			have.Addrs = slices.DeleteFunc(slices.Clone(have.Addrs), func(a spec.Addr) bool { return vanish[a.Link] })
		},
	}
	host := func(names ...string) *spec.Host {
		h := &spec.Host{}
		for _, n := range names {
			h.Links, h.Addrs = append(h.Links, spec.Link{Name: n}), append(h.Addrs, spec.Addr{Link: n})
		}
		return h
	}
	without := host("a", "b")
	without.Addrs = nil
	for name, c := range map[string]struct {
		want, have *spec.Host
		objects    []string
	}{
		"all comes":           {host("a"), host(), []string{"link a", "addr invalid Prefix dev a"}},
		"all goes":            {host(), host("a"), []string{"link a"}},
		"what stands on goes": {without, host("a", "b"), []string{"addr invalid Prefix dev a", "addr invalid Prefix dev b"}},
		"one link goes":       {host("b"), host("a", "b"), []string{"link a"}},
	} {
		t.Run(name, func(t *testing.T) {
			before := c.have.Text()
			ops := Diff([]*Family{links, addrs}, c.want, c.have)
			var objects []string
			for i, op := range ops {
				objects = append(objects, op.Step.Object)
				if of := OpsOf(ops, op.Family); !slices.ContainsFunc(of, func(o Op) bool { return o.Step == ops[i].Step }) {
					t.Errorf("%s is not its family's", op.Step)
				}
			}
			if !slices.Equal(objects, c.objects) {
				t.Errorf("want %q, have %q", c.objects, objects)
			}
			if c.have.Text() != before {
				t.Error("the argument was changed")
			}
		})
	}
}
