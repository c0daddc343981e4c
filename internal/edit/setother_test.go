package edit

import (
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/option"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// changed is a network that was changed, and completed.
func changed(t *testing.T, c *state.Cluster, name string, o Change) []string {
	t.Helper()
	gone, err := o.Apply(c, name)
	if err := done(c, err); err != nil {
		t.Fatalf("%+v: %v", o, err)
	}
	return gone
}

// A BGP network that is given another option is the one that was created with it; sessions
// stay until those of the other mode are up.
func TestSetBGPIsCreate(t *testing.T) {
	hold := int64(9)
	for key, test := range map[string]struct {
		value any
		made  BGPOptions
	}{
		"as": {int64(64999), BGPOptions{AS: 64999}}, "hold": {int64(9), BGPOptions{Hold: &hold}}, "bfd": {int64(300), BGPOptions{BFD: 300}}, "mode": {state.Reflector, BGPOptions{Mode: state.Reflector}},
	} {
		t.Run(key, func(t *testing.T) {
			made := func(o BGPOptions) *state.Cluster {
				c := cluster(t, 4)
				if err := done(c, CreateBGP(c, "b1", "s1", o)); err != nil {
					t.Fatal(err)
				}
				if err := done(c, JoinBGP(c, "b1", []string{"s2", "s3", "s4"})); err != nil {
					t.Fatal(err)
				}
				return c
			}
			want, c := made(test.made), made(BGPOptions{})
			before := specsOf(t, c)
			changed(t, c, "b1", Change{Given: option.Options{key: test.value}})
			if n := c.Networks["b1"]; (n.Before != nil) != (key == "mode") {
				t.Errorf("sessions of before: %v", n.Before)
			}
			if err := FinishSessions(c, "b1"); err != nil {
				t.Fatal(err)
			}
			if have, want := specsOf(t, c), specsOf(t, want); have != want {
				t.Errorf("is not what createbgp makes:\n%s\nbut\n%s", want, have)
			}
			if key == "bfd" { // 0 ends it, as --unset does
				ended := c.Clone()
				changed(t, ended, "b1", Change{Given: option.Options{"bfd": int64(0)}})
				if have := specsOf(t, ended); have != before {
					t.Errorf("with --bfd=0 it is not what it was:\n%s\nbut\n%s", before, have)
				}
			}
			changed(t, c, "b1", Change{Unset: []string{key}})
			if err := FinishSessions(c, "b1"); err != nil {
				t.Fatal(err)
			}
			if have := specsOf(t, c); have != before {
				t.Errorf("is not what it was:\n%s\nbut\n%s", before, have)
			}
		})
	}
}

// A tunnel with other ends, addresses, key or TTL is the one that was added with them.
func TestSetTunnelIsAdd(t *testing.T) {
	seven := int64(7)
	at := netip.MustParseAddr("10.98.0.1")
	for name, test := range map[string]struct {
		change, back Change
		made         TunnelOptions
	}{
		"key":       {Change{Given: option.Options{"key": seven}}, Change{Unset: []string{"key"}}, TunnelOptions{Key: &seven}},
		"ttl":       {Change{Given: option.Options{"ttl": seven}}, Change{Unset: []string{"ttl"}}, TunnelOptions{TTL: &seven}},
		"local":     {Change{Ends: TunnelOptions{Local: at}}, Change{Unset: []string{"local"}}, TunnelOptions{Local: at}},
		"remote":    {Change{Ends: TunnelOptions{Remote: netip.MustParseAddr("10.98.0.2")}}, Change{Unset: []string{"remote"}}, TunnelOptions{Remote: netip.MustParseAddr("10.98.0.2")}},
		"addresses": {Change{Ends: TunnelOptions{Addresses: prefixes("10.70.0.2/30", "10.70.0.1/30")}}, Change{Ends: TunnelOptions{Addresses: prefixes("10.0.6.1/30", "10.0.6.2/30")}}, TunnelOptions{Addresses: prefixes("10.70.0.2/30", "10.70.0.1/30")}},
	} {
		t.Run(name, func(t *testing.T) {
			made := func(o TunnelOptions) *state.Cluster {
				c := cluster(t, 2)
				for i, s := range []string{"s1", "s2"} {
					f := c.Servers[s].Facts
					f.Interfaces = append(f.Interfaces, state.Interface{Name: "eth1", MTU: 1500, Addrs: prefixes([]string{"10.98.0.1/24", "10.98.0.2/24"}[i])})
				}
				o.Name = "t1"
				if err := done(c, AddTunnel(c, network.GRE, "s1", "s2", o)); err != nil {
					t.Fatal(err)
				}
				return c
			}
			want, c := made(test.made), made(TunnelOptions{})
			before := specsOf(t, c)
			if gone := changed(t, c, "t1", test.change); (len(gone) > 0) != (name == "addresses") {
				t.Errorf("what goes is %v", gone)
			}
			if have, want := specsOf(t, c), specsOf(t, want); have != want {
				t.Errorf("is not what addtunnel makes:\n%s\nbut\n%s", want, have)
			}
			changed(t, c, "t1", test.back)
			if have := specsOf(t, c); have != before {
				t.Errorf("is not what it was:\n%s\nbut\n%s", before, have)
			}
		})
	}
}

// A pool that is full names the command that adds another; who is a member keeps what it has.
func TestFullPoolTakesAnother(t *testing.T) {
	c := cluster(t, 4)
	if err := done(c, Create(c, "n1", network.HostGW, option.Options{"subnet": prefixes("10.50.0.0/23"), "subnet-len": []int{24}})); err != nil {
		t.Fatal(err)
	}
	if err := done(c, Join(c, "n1", []string{"s1", "s2"})); err != nil {
		t.Fatal(err)
	}
	full := c.Clone()
	err := done(full, Join(full, "n1", []string{"s3", "s4"}))
	if err == nil || !strings.Contains(err.Error(), "no subnet of length 24 left for s3") {
		t.Fatalf("have %v", err)
	}
	if _, next := hint.Of(err); !strings.HasPrefix(next, "flock setnetwork n1 --add-pool 10.") {
		t.Errorf("next is %q", next)
	}
	was := c.Clone().Networks["n1"].Allocated
	changed(t, c, "n1", Change{Given: option.Options{"add-pool": prefixes("10.60.0.0/23")}})
	changed(t, c, "n1", Change{Given: option.Options{"add-pool": prefixes("10.60.0.0/23")}}) // once is enough
	if err := done(c, Join(c, "n1", []string{"s3", "s4"})); err != nil {
		t.Fatal(err)
	}
	n := c.Networks["n1"]
	if !reflect.DeepEqual(n.Allocated["s1"], was["s1"]) || n.Allocated["s3"].Subnets[0] != netip.MustParsePrefix("10.60.0.0/24") || len(n.More) != 1 {
		t.Errorf("s1 had %v, has %v; s3 has %v of %v", was["s1"], n.Allocated["s1"], n.Allocated["s3"], n.More)
	}
	text := specsOf(t, c)
	for _, part := range []string{"route 10.60.0.0/24 via 172.16.0.3", "to 10.50.0.0/23,10.60.0.0/23", "pool 10.60.0.0/23"} {
		if !strings.Contains(text, part) {
			t.Errorf("no %q in\n%s", part, text)
		}
	}
	fewer := c.Clone()
	if err := done(fewer, Leave(fewer, "n1", []string{"s1", "s2"})); err != nil {
		t.Fatal(err)
	}
	if gone := changed(t, fewer, "n1", Change{Unset: []string{"add-pool"}}); !slices.Contains(gone, "subnet 10.60.0.0/23") {
		t.Errorf("the second pool goes without a question: %v", gone)
	}
	if err := done(c, Create(c, "n2", network.HostGW, option.Options{"subnet": prefixes("10.60.1.0/24")})); err == nil || !strings.Contains(err.Error(), "overlaps 10.60.0.0/23") {
		t.Errorf("within the second pool: %v", err)
	}
}

// A member's subnet moves, within the pool and out of it, and the others route to it.
func TestMemberSubnetMoves(t *testing.T) {
	c := made(t, network.VXLANL3, nil)
	before := specsOf(t, c)
	own := func() string { return c.Networks["n1"].Allocated["s2"].Subnets[0].String() }
	was := own()
	for _, to := range []string{"10.50.77.0/24", "10.88.1.0/24", "10.88.2.0/24", was} {
		gone := changed(t, c, "n1", Change{Subnets: []string{"s2:" + to}})
		if own() != to || len(gone) != 1 || !strings.Contains(gone[0], "of s2") {
			t.Errorf("to %s: it has %s, gone %v", to, own(), gone)
		}
	}
	if n := c.Networks["n1"]; len(n.Shares) != 0 {
		t.Errorf("shares %v", n.Shares)
	}
	if have := specsOf(t, c); have != before {
		t.Errorf("back again it is\n%s\nnot\n%s", have, before)
	}
	for text, why := range map[string]string{
		"s2:" + c.Networks["n1"].Allocated["s1"].Subnets[0].String(): "overlap", "s9:10.50.9.0/24": "not a member", "s2:fd00::/64": "no IPv6 pool", "s2:10.50.9.1/24": "bits set",
	} {
		trial := c.Clone()
		_, err := Change{Subnets: []string{text}}.Apply(trial, "n1")
		if err = done(trial, err); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: want %q, have %v", text, why, err)
		}
	}
	v := made(t, network.VXLAN, nil)
	if _, err := (Change{Subnets: []string{"s2:10.50.9.0/24"}}).Apply(v, "n1"); err == nil {
		t.Error("a vxlan's member has a subnet of its own")
	}
	if _, err := (Change{Ends: TunnelOptions{Local: netip.MustParseAddr("10.99.0.1")}}).Apply(v, "n1"); err == nil {
		t.Error("a vxlan has ends")
	}
}

// What members cannot change at one moment is said, whichever command changes it.
func TestApart(t *testing.T) {
	for _, test := range []struct {
		kind   string
		made   option.Options
		change func(c *state.Cluster) error
		note   string
	}{
		{network.WireGuard, nil, setting("port", int64(2222)), "port"},
		{network.WireGuard, nil, setting("interface", "eth1"), ""},
		{network.UDP, nil, setting("port", int64(2222)), "port"},
		{network.UDP, nil, setting("interface", "eth1"), "address of a member"},
		{network.UDP, nil, setting("mtu", int64(1300)), ""},
		{network.IPIP, nil, setting("interface", "eth1"), "address of a member"},
		{network.IPIP, nil, func(c *state.Cluster) error { return Join(c, "n1", []string{"s1:eth1"}) }, "address of a member"},
		{network.IPIP, nil, func(c *state.Cluster) error { c.Servers["s2"].Interface = "eth1"; return nil }, "address of a member"},
		{network.VXLANL3, nil, setting("interface", "eth1"), ""},
		{network.HostGW, nil, setting("interface", "eth1"), ""},
		{network.VXLAN, nil, setting("port", int64(2222)), ""},
		{network.VXLAN, nil, setting("gbp", true), "group policy of a port"},
		{network.VXLAN, nil, func(c *state.Cluster) error {
			_, err := Set(c, "n1", option.Options{"gbp": true, "port": int64(2222)}, nil)
			return err
		}, ""},
		{network.VXLAN, nil, func(c *state.Cluster) error { return Join(c, "n1", []string{"s1:eth1"}) }, ""},
		{network.VXLAN, option.Options{"group": netip.MustParseAddr("239.9.9.9")}, setting("interface", "eth1"), ""},
		{network.VXLAN, option.Options{"group": netip.MustParseAddr("239.9.9.9")}, func(c *state.Cluster) error { return Join(c, "n1", []string{"s1:eth1"}) }, "address of a member"},
		// The address went before: nothing is lost by the change.
		{network.IPIP, nil, func(c *state.Cluster) error {
			c.Servers["s1"].Facts.Interfaces[0].Addrs = prefixes("10.99.0.77/24")
			return nil
		}, ""},
	} {
		c := made(t, test.kind, test.made)
		before := hostsOf(t, c)
		if err := done(c, test.change(c)); err != nil {
			t.Fatal(err)
		}
		notes := Apart(c, before, hostsOf(t, c))
		if test.note == "" && len(notes) > 0 || test.note != "" && (len(notes) != 1 || notes[0].Network != "n1" || !strings.HasPrefix(notes[0].Text, "the kernel has one "+test.note+" at a time: packets between members are lost")) {
			t.Errorf("%s: want %q, have %v", test.kind, test.note, notes)
		}
	}
}

// Both ends of a tunnel, and members of one AS, change together.
func TestTunnelsAreApart(t *testing.T) {
	for _, test := range []struct {
		o    Change
		note string
	}{
		{Change{Given: option.Options{"key": int64(9)}}, "key"},
		{Change{Ends: TunnelOptions{Local: netip.MustParseAddr("10.98.0.1"), Remote: netip.MustParseAddr("10.98.0.2")}}, "end"},
		{Change{Given: option.Options{"ttl": int64(9)}}, ""},
	} {
		c := made(t, network.HostGW, nil)
		if err := AddTunnel(c, network.GRE, "s1", "s2", TunnelOptions{Name: "g1"}); err != nil {
			t.Fatal(err)
		}
		if err := done(c, nil); err != nil {
			t.Fatal(err)
		}
		before := hostsOf(t, c)
		changed(t, c, "g1", test.o)
		if notes := Apart(c, before, hostsOf(t, c)); (len(notes) == 1) != (test.note != "") || len(notes) == 1 && !strings.HasPrefix(notes[0].Text, "the kernel has one "+test.note+" ") {
			t.Errorf("%+v: %v", test.o, notes)
		}
	}
}

// setting changes an option of n1.
func setting(key string, value any) func(c *state.Cluster) error {
	return func(c *state.Cluster) error {
		_, err := Set(c, "n1", option.Options{key: value}, nil)
		return err
	}
}

func hostsOf(t *testing.T, c *state.Cluster) map[string]*spec.Host {
	t.Helper()
	out, err := network.Compile(c)
	if err != nil {
		t.Fatal(err)
	}
	return out.Hosts
}

// A network with another name is the same: numbers, MAC and other addresses, keys. Only what
// bears its name has the other.
func TestRenamedNetworkIsTheSame(t *testing.T) {
	macs := regexp.MustCompile(`[0-9a-f]{2}(:[0-9a-f]{2}){5}(/[0-9a-f:]{17})?`)
	for _, kind := range network.Created() {
		c := made(t, kind, nil)
		before, was := specsOf(t, c), c.Clone().Networks["n1"]
		changed(t, c, "n1", Change{Rename: "other"})
		n, after := c.Networks["other"], specsOf(t, c)
		if c.Networks["n1"] != nil || !reflect.DeepEqual(n.Allocated, was.Allocated) || n.Born != "n1" {
			t.Errorf("%s: %+v", kind, n)
		}
		if have, want := macs.FindAllString(after, -1), macs.FindAllString(before, -1); len(have) != len(want) {
			t.Errorf("%s: MAC addresses were %v, are %v", kind, want, have)
		} else {
			slices.Sort(have)
			slices.Sort(want)
			if !slices.Equal(have, want) {
				t.Errorf("%s: MAC addresses were %v, are %v", kind, want, have)
			}
		}
		if regexp.MustCompile(`\bn1\b`).MatchString(after) {
			t.Errorf("%s: the old name is in\n%s", kind, after)
		}
		// Who gets the first name has MAC addresses of its own.
		if err := done(c, Create(c, "n1", network.VXLAN, option.Options{"subnet": prefixes("10.77.0.0/24")})); err != nil {
			t.Fatal(err)
		}
		if c.Networks["n1"].Born == "" {
			t.Errorf("%s: the new n1 was born as the other", kind)
		}
		if err := done(c, Remove(c, "n1")); err != nil {
			t.Fatal(err)
		}
		changed(t, c, "other", Change{Rename: "n1"})
		if have := specsOf(t, c); have != before {
			t.Errorf("%s: with its first name again it is not what it was", kind)
		}
	}
	c := made(t, network.VXLAN, nil)
	_, err := Change{Rename: "other", Given: option.Options{"vni": int64(77)}}.Apply(c.Clone(), "n1")
	if _, next := hint.Of(err); err == nil || next != "flock setnetwork n1 --rename other" {
		t.Errorf("with another VNI: %v", err)
	}
	for to, why := range map[string]string{"n/1": "is not a name", "": "nothing is to change"} {
		if _, err := (Change{Rename: to}).Apply(c.Clone(), "n1"); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("to %q: %v", to, err)
		}
	}
}
