package change

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/edit"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/option"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// All make the new way ready before one turns to it, and all turn before one takes the
// old way away: between any two applies every pair has a way in both directions.
func TestAnotherTypeOverlaps(t *testing.T) {
	f, e := world(t, 3)
	carry(t, e, Request{Edit: func(c *state.Cluster) error { return edit.Create(c, "n1", network.VXLANL3, option.Options{}) }})
	carry(t, e, Request{Edit: func(c *state.Cluster) error { return edit.Join(c, "n1", []string{"s1", "s2", "s3"}) }})
	for _, to := range []string{network.HostGW, network.VXLANL3, network.UDP, network.IPIP} {
		f.asked = nil
		c := load(t, e)
		from := c.Networks["n1"].Type
		before, err := network.Compile(c)
		if err != nil {
			t.Fatal(err)
		}
		holds := before.Hosts
		out := carry(t, e, Request{Edit: func(c *state.Cluster) error {
			_, err := edit.ChangeType(c, "n1", to)
			return err
		}})
		if got := states(out); got != "s1 done, s2 done, s3 done" || len(out.Pending) > 0 {
			t.Fatalf("%s, pending %v", got, out.Pending)
		}
		if len(f.asked) != 9 {
			t.Fatalf("%s to %s: want three applies for each of three servers, have %d", from, to, len(f.asked))
		}
		for i, h := range f.asked {
			holds[h.Server] = h
			for _, a := range holds {
				for _, b := range holds {
					if a != b {
						if why := delivers(a, b); why != "" {
							t.Errorf("%s to %s, after apply %d: %s to %s: %s", from, to, i+1, a.Server, b.Server, why)
						}
					}
				}
			}
		}
		if now, err := network.Compile(load(t, e)); err != nil || holds["s1"].Text() != now.Hosts["s1"].Text() {
			t.Errorf("%s to %s ends with (%v)\n%s", from, to, err, holds["s1"].Text())
		}
	}
}

// delivers says why a's packets for b's containers do not arrive: a has no one way to
// them, or b lacks the device that takes them in; "" when they do.
func delivers(a, b *spec.Host) string {
	subnet := b.Envs[0].Subnets[0].Masked()
	var ways []spec.Route
	for _, r := range a.Routes {
		if r.Dst == subnet {
			ways = append(ways, r)
		}
	}
	if len(ways) != 1 {
		return "routes: " + strings.Join(strings.Fields(a.Text()), " ")
	}
	dev := ways[0].Dev
	has := func(h *spec.Host) bool {
		return slices.ContainsFunc(h.Links, func(l spec.Link) bool { return l.Name == dev })
	}
	switch {
	case dev == "eth0" || has(a) && has(b):
		return ""
	case has(a):
		return "it has no " + dev
	}
	return "from " + dev + ", which is not there"
}

// A plan says that routes turn: the device that goes does not take them along.
func TestPlanOfTurnedRoutes(t *testing.T) {
	dst := netip.MustParsePrefix("10.244.1.0/24")
	was := &spec.Host{Routes: []spec.Route{{Dst: dst, Dev: "n1-vx", Via: netip.MustParseAddr("10.244.1.0"), Onlink: true}}}
	now := &spec.Host{Routes: []spec.Route{{Dst: dst, Dev: "eth0", Via: netip.MustParseAddr("192.0.2.2")}}}
	add := spec.Step{Action: spec.Add, Object: now.Routes[0].Object()}
	other := spec.Step{Action: spec.Add, Object: "route 10.244.9.0/24"}
	p := &peer{name: "s1", want: now, plan: &spec.Plan{Steps: []spec.Step{add, other}}}
	r := &run{was: map[string]*spec.Host{"s1": was}}
	r.asTurned(p)
	want := spec.Step{Action: spec.Change, Object: add.Object, Detail: "via 10.244.1.0 dev n1-vx onlink -> 192.0.2.2 dev eth0"}
	if p.plan.Steps[0] != want || p.plan.Steps[1] != other {
		t.Errorf("want %v first, have %v", want, p.plan.Steps)
	}
}
