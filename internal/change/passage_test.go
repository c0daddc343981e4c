package change

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/edit"
	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/option"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// With another VNI, port, group or policy extension every member has, between any two
// applies, one way to every other, and no frame can go in a circle.
func TestAnotherVXLANOverlaps(t *testing.T) {
	for _, kind := range []string{network.VXLAN, network.VXLANL3} {
		f, e := world(t, 3)
		carry(t, e, Request{Edit: func(c *state.Cluster) error { return edit.Create(c, "n1", kind, option.Options{}) }})
		carry(t, e, Request{Edit: func(c *state.Cluster) error { return edit.Join(c, "n1", []string{"s1", "s2", "s3"}) }})
		given := []option.Options{
			{"vni": int64(77)}, {"port": int64(9000)}, {"port": int64(9002), "gbp": true}, {"vni": int64(1<<24 - 1), "port": int64(9001), "gbp": false},
		}
		if kind == network.VXLAN {
			given = append(given, option.Options{"group": netip.MustParseAddr("239.9.9.9")})
		}
		for _, o := range given {
			f.asked = nil
			before, err := network.Compile(load(t, e))
			if err != nil {
				t.Fatal(err)
			}
			holds := before.Hosts
			out := carry(t, e, Request{Edit: func(c *state.Cluster) error { _, err := edit.Set(c, "n1", o, nil); return err }})
			if got := states(out); got != "s1 done, s2 done, s3 done" || len(out.Pending) > 0 {
				t.Fatalf("%s, pending %v", got, out.Pending)
			}
			if len(f.asked) != 5*3 {
				t.Fatalf("%s %v: want five applies for each of three servers, have %d", kind, o, len(f.asked))
			}
			for i, h := range f.asked {
				holds[h.Server] = h
				for _, a := range holds {
					for _, b := range holds {
						why := ""
						switch {
						case a == b:
						case kind == network.VXLAN:
							why = floods(a, b)
						default:
							why = delivers(a, b)
						}
						if why != "" {
							t.Errorf("%s %v, after apply %d: %s to %s: %s", kind, o, i+1, a.Server, b.Server, why)
						}
					}
				}
			}
			if now, err := network.Compile(load(t, e)); err != nil || holds["s1"].Text() != now.Hosts["s1"].Text() {
				t.Errorf("%s %v ends with (%v)\n%s", kind, o, err, holds["s1"].Text())
			}
		}
		f.asked = nil
		carry(t, e, Request{Edit: func(c *state.Cluster) error {
			_, err := edit.Set(c, "n1", option.Options{"gbp": true}, nil)
			return err
		}})
		if len(f.asked) != 3 {
			t.Errorf("%s: group policy on the same port: want one apply for each server, have %d", kind, len(f.asked))
		}
	}
}

// A member that gets another place in the underlay, by whatever command, has its VXLAN made
// anew: all turn as with another VNI. Where its old address is gone, there is nothing to lose.
func TestAnotherPlaceOverlaps(t *testing.T) {
	for _, kind := range []string{network.VXLAN, network.VXLANL3} {
		f, e := world(t, 3)
		for i, name := range []string{"s1", "s2", "s3"} {
			f.servers[name].more = []spec.Interface{{Name: "eth1", MTU: 1500, Addrs: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(i + 1)}), 24)}}}
		}
		carry(t, e, Request{All: true})
		carry(t, e, Request{Edit: func(c *state.Cluster) error { return edit.Create(c, "n1", kind, option.Options{}) }})
		carry(t, e, Request{Edit: func(c *state.Cluster) error { return edit.Join(c, "n1", []string{"s1", "s2", "s3"}) }})
		for _, test := range []struct {
			what string
			edit func(c *state.Cluster) error
		}{
			{"addnetwork s1:eth1", func(c *state.Cluster) error { return edit.Join(c, "n1", []string{"s1:eth1"}) }},
			{"setserver --interface", func(c *state.Cluster) error { c.Servers["s2"].Interface = "eth1"; return nil }},
			{"setnetwork -i", func(c *state.Cluster) error {
				_, err := edit.Set(c, "n1", option.Options{"interface": "eth1"}, nil)
				return err
			}},
		} {
			f.asked = nil
			carry(t, e, Request{Edit: test.edit})
			if len(f.asked) != 5*3 {
				t.Errorf("%s, %s: want five applies for each of three servers, have %d", kind, test.what, len(f.asked))
			}
			turned := map[string]bool{}
			for _, h := range f.asked[:6] { // ready, then turned
				for _, l := range h.Links {
					turned[h.Server] = turned[h.Server] || l.Name == "vxl0-vw" || l.Name == "n1-vw"
				}
			}
			if len(turned) != 3 || !turned["s1"] || !turned["s2"] || !turned["s3"] {
				t.Errorf("%s, %s: the way for the change is ready on %v", kind, test.what, turned)
			}
		}
		if kind == network.VXLAN { // those who hear a group hear of no change
			carry(t, e, Request{Edit: func(c *state.Cluster) error {
				_, err := edit.Set(c, "n1", option.Options{"group": netip.MustParseAddr("239.9.9.9")}, nil)
				return err
			}})
			f.asked = nil
			carry(t, e, Request{Edit: func(c *state.Cluster) error { return edit.Join(c, "n1", []string{"s1:eth0"}) }})
			if len(f.asked) != 1 {
				t.Errorf("one member of a group: want one apply, have %d", len(f.asked))
			}
			continue
		}
		f.asked = nil
		f.servers["s3"].more[0].Addrs[0] = netip.MustParsePrefix("198.51.100.33/24")
		carry(t, e, Request{All: true})
		if len(f.asked) != 3 {
			t.Errorf("%s: an address that is gone: want one apply for each server, have %d", kind, len(f.asked))
		}
	}
}

// Who keeps its own device and is not there lacks the way for the change: no other turns to it.
// Who lost its address has nothing to lose, and the others turn with another VNI.
func TestWhoIsNotThereKeepsOthersFromTurning(t *testing.T) {
	f, e := world(t, 3)
	for i, name := range []string{"s1", "s2", "s3"} {
		f.servers[name].more = []spec.Interface{{Name: "eth1", MTU: 1500, Addrs: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(i + 1)}), 24)}}}
	}
	carry(t, e, Request{All: true})
	carry(t, e, Request{Edit: func(c *state.Cluster) error { return edit.Create(c, "n1", network.VXLANL3, option.Options{}) }})
	carry(t, e, Request{Edit: func(c *state.Cluster) error { return edit.Join(c, "n1", []string{"s1", "s2", "s3:eth1"}) }})
	move := func(c *state.Cluster) error { return edit.Join(c, "n1", []string{"s1:eth1"}) }
	f.servers["s3"].away, f.asked = true, nil
	out := carry(t, e, Request{DryRun: true, Edit: move})
	if !slices.ContainsFunc(out.Notes, func(n ground.Note) bool { return strings.HasPrefix(n.Text, "s3 takes no part in the change: ") }) {
		t.Errorf("the plan has the notes %v", out.Notes)
	}
	carry(t, e, Request{Edit: move})
	if len(f.asked) != 2 {
		t.Errorf("s3 is away and keeps its device: want one apply for each other server, have %d", len(f.asked))
	}
	f.servers["s3"].away = false
	carry(t, e, Request{All: true})
	f.servers["s3"].more[0].Addrs[0] = netip.MustParsePrefix("198.51.100.33/24")
	f.asked = nil
	carry(t, e, Request{Edit: func(c *state.Cluster) error {
		_, err := edit.Set(c, "n1", option.Options{"vni": int64(50)}, nil)
		return err
	}})
	if len(f.asked) != 5*3 {
		t.Errorf("s3 lost its address: want five applies for each server, have %d", len(f.asked))
	}
}

// placed is a VXLAN network of three servers that have two interfaces each, and edits of it.
func placed(t *testing.T) (f *fleet, e *Engine) {
	t.Helper()
	f, e = world(t, 3)
	for i, name := range []string{"s1", "s2", "s3"} {
		f.servers[name].more = []spec.Interface{{Name: "eth1", MTU: 1500, Addrs: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(i + 1)}), 24)}}}
	}
	carry(t, e, Request{All: true})
	carry(t, e, Request{Edit: func(c *state.Cluster) error { return edit.Create(c, "n1", network.VXLAN, option.Options{}) }})
	carry(t, e, Request{Edit: func(c *state.Cluster) error { return edit.Join(c, "n1", []string{"s1", "s2", "s3"}) }})
	f.asked = nil
	return f, e
}

// TestNobodyTurnsWithoutAMember: one that is away keeps its tunnel; those who turned would not
// hear it meanwhile.
func TestNobodyTurnsWithoutAMember(t *testing.T) {
	f, e := placed(t)
	f.servers["s3"].away = true
	if _, err := e.Run(t.Context(), Request{Edit: func(c *state.Cluster) error { return edit.Join(c, "n1", []string{"s1:eth1"}) }}); err != nil {
		t.Fatal(err)
	}
	if len(f.asked) != 2 {
		t.Errorf("want one apply for each of two servers, have %d", len(f.asked))
	}
}

// TestNothingStaysInTheWay: what comes in the place of what goes comes after it, and not beside
// it, as the stages have it.
func TestNothingStaysInTheWay(t *testing.T) {
	f, e := placed(t)
	carry(t, e, Request{Edit: func(c *state.Cluster) error {
		return edit.Create(c, "n2", network.VXLAN, option.Options{"vni": int64(43)})
	}})
	carry(t, e, Request{Edit: func(c *state.Cluster) error { return edit.Join(c, "n2", []string{"s1", "s2"}) }})
	f.asked = nil
	carry(t, e, Request{Edit: func(c *state.Cluster) error {
		return errors.Join(edit.Join(c, "n1", []string{"s1:eth1"}), edit.Remove(c, "n2"),
			edit.Create(c, "n3", network.VXLAN, option.Options{"vni": int64(43), "bridge": "other0"}), edit.Join(c, "n3", []string{"s1", "s2"}))
	}})
	for _, h := range f.asked {
		vnis := map[uint32]string{}
		for _, l := range h.Links {
			if l.Kind != spec.VXLAN {
				continue
			}
			if other := vnis[l.Tunnel.VNI]; other != "" {
				t.Errorf("%s: %s and %s have VNI %d at one time", h.Server, other, l.Name, l.Tunnel.VNI)
			}
			vnis[l.Tunnel.VNI] = l.Name
		}
	}
}

// The device for the passage has a VNI that nobody's has, on any server.
func TestPassingVNIIsNobodys(t *testing.T) {
	f, e := world(t, 3)
	carry(t, e, Request{Edit: func(c *state.Cluster) error { return edit.Create(c, "n1", network.VXLAN, option.Options{}) }})
	carry(t, e, Request{Edit: func(c *state.Cluster) error { return edit.Join(c, "n1", []string{"s1", "s2", "s3"}) }})
	f.servers["s1"].vnis, f.servers["s3"].vnis = []uint32{1<<24 - 1}, []uint32{1<<24 - 3}
	f.asked = nil
	carry(t, e, Request{Edit: func(c *state.Cluster) error {
		_, err := edit.Set(c, "n1", option.Options{"vni": int64(1<<24 - 2)}, nil)
		return err
	}})
	seen := map[uint32]bool{}
	for _, h := range f.asked {
		for _, l := range h.Links {
			if l.Tunnel != nil {
				seen[l.Tunnel.VNI] = true
			}
		}
	}
	want := map[uint32]bool{42: true, 1<<24 - 2: true, 1<<24 - 4: true}
	if !maps.Equal(want, seen) {
		t.Errorf("VNIs on the way: want %v, have %v", want, seen)
	}
}

// floods says why a frame of a's containers to all does not reach b's once; "": it does.
func floods(a, b *spec.Host) string {
	tunnels := func(h *spec.Host) []spec.Link {
		return slices.DeleteFunc(slices.Clone(h.Links), func(l spec.Link) bool { return l.Kind != spec.VXLAN })
	}
	var ways []string
	for _, l := range tunnels(a) {
		if len(tunnels(a)) > 1 && l.Turn == "" {
			return l.Name + " hands frames to the other tunnel"
		}
		if l.Turn == spec.Quiet {
			continue
		}
		takes := slices.ContainsFunc(tunnels(b), func(o spec.Link) bool {
			return o.Tunnel.VNI == l.Tunnel.VNI && o.Tunnel.Port == l.Tunnel.Port && o.Tunnel.GBP == l.Tunnel.GBP
		})
		sends := l.Tunnel.Group.IsValid() || slices.ContainsFunc(a.Floods, func(f spec.Flood) bool {
			return f.Link == l.Name && slices.Contains(f.To.Addrs(), tunnels(b)[0].Tunnel.Local)
		})
		if takes && sends {
			ways = append(ways, l.Name)
		}
		for _, up := range []string{a.Gateways[0].Uplink, a.Guards[0].Uplink} {
			if begin, star := strings.CutSuffix(up, "*"); up != l.Name && (!star || !strings.HasPrefix(l.Name, begin)) {
				return "the filters take " + up + " for the tunnel, not " + l.Name
			}
		}
	}
	if len(ways) != 1 {
		return fmt.Sprintf("the ways are %v of %v", ways, tunnels(a))
	}
	return ""
}
