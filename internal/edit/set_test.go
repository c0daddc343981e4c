package edit

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/option"
	"github.com/flocknet/flock/internal/segment"
	"github.com/flocknet/flock/internal/state"
)

// another are values that no kind has by itself, by option.
func another() option.Options {
	return option.Options{
		"subnet": prefixes("10.60.0.0/16"), "vni": int64(77), "port": int64(9999), "topology": state.Hub, "keepalive": int64(7),
		"subnet-len": []int{26}, "bridge": "other0", "mtu": int64(1300), "domain": "other.test", "dhcp": state.DHCPDistributed, "dhcp-server": "s2",
		"interface": "eth1", "group": netip.MustParseAddr("239.9.9.9"), "gbp": true, "direct-routing": true, "no-masquerade": true, "isolate": true,
		"add-pool": prefixes("10.61.0.0/16"), "vlan": int64(30), "route-table": []string{"rtb-2", "rtb-1"}, "region": "eu-north-1", "profile": "other", "project": "other-1",
	}
}

// made is a cluster with a network of a kind and three members.
func made(t *testing.T, kind string, o option.Options) *state.Cluster {
	t.Helper()
	c := cluster(t, 3)
	for i := range 3 {
		f := c.Servers[fmt.Sprint("s", i+1)].Facts
		f.Interfaces = append(f.Interfaces, state.Interface{Name: "eth1", MTU: 1500, Addrs: prefixes(fmt.Sprintf("10.98.0.%d/24", i+1))})
	}
	given := option.Options{"subnet": prefixes("10.50.0.0/16")}
	if network.KindOf(&state.Network{Type: kind}).Takes("bridge") {
		given["bridge"] = "first0"
	}
	for key, value := range o {
		given[key] = value
	}
	if err := done(c, Create(c, "n1", kind, given)); err != nil {
		t.Fatalf("%s %v: %v", kind, o, err)
	}
	members := []string{"s1", "s2", "s3"}
	if kind == network.Bridge {
		members = []string{"s1:eth1", "s2:eth1", "s3:eth1"}
	}
	join := func() error { return done(c, Join(c, "n1", members)) }
	if kind == network.WireGuard {
		join = func() error {
			if err := done(c, JoinLead(c, "n1", "s1")); err != nil {
				return err
			}
			return done(c, JoinClients(c, "n1", []string{"s2", "s3"}))
		}
	}
	if err := join(); err != nil {
		t.Fatalf("%s %v: %v", kind, o, err)
	}
	for name, a := range c.Networks["n1"].Allocated {
		if network.KindOf(c.Networks["n1"]).Roles {
			a.Key = strings.Repeat(name[1:], 43) + "="
		}
	}
	return c
}

// A network that is given another option is the one that was created with it, for every
// option of every kind, and the one of before when it gets the old value again. Numbers,
// keys and whatever still fits stay.
func TestSetIsCreate(t *testing.T) {
	tried := map[string]bool{}
	for _, kind := range network.Created() {
		for _, key := range network.KindOf(&state.Network{Type: kind}).Options() {
			value := another()[key]
			if value == nil {
				t.Fatalf("%s has no other value here", key)
			}
			if option.Of(key).Among == option.OfSegments && network.KindOf(&state.Network{Type: kind}).Pooled() && key == "dhcp" {
				value = state.DHCPOff
			}
			t.Run(kind+" "+key, func(t *testing.T) {
				want, c := made(t, kind, option.Options{key: value}), made(t, kind, nil)
				before := c.Clone()
				gone, err := setDone(c, "n1", option.Options{key: value}, nil)
				if err != nil {
					t.Fatal(err)
				}
				n := c.Networks["n1"]
				if have, want := specsOf(t, c), specsOf(t, want); key != "subnet-len" && have != want {
					t.Errorf("is not what createnetwork makes:\n%s\nbut\n%s", want, have)
				}
				if (len(gone) > 0) != (key == "subnet" || key == "bridge") {
					t.Errorf("what goes is %v", gone)
				}
				for server, a := range n.Allocated {
					if was := before.Networks["n1"].Allocated[server]; a.ID != was.ID || a.Key != was.Key {
						t.Errorf("%s had number %d, key %q, has %d, %q", server, was.ID, was.Key, a.ID, a.Key)
					}
				}
				if _, err := setDone(c, "n1", nil, []string{key}); err != nil {
					t.Fatal(err)
				}
				given := option.Options{}
				if key == "subnet" || key == "bridge" || key == "vni" || key == "port" {
					given[key] = flagValue(option.Of(key), before.Networks["n1"])
					if _, err := setDone(c, "n1", given, nil); err != nil {
						t.Fatal(err)
					}
				}
				if have, want := specsOf(t, c), specsOf(t, before); have != want {
					t.Errorf("is not what it was:\n%s\nbut\n%s", want, have)
				}
				tried[key] = true
			})
		}
	}
	for key := range another() {
		if !tried[key] {
			t.Errorf("%s is an option of no kind", key)
		}
	}
}

// flagValue is n's value as the flag has it.
func flagValue(o *option.Option, n *state.Network) any {
	v := reflect.ValueOf(o.Value(n))
	return v.Convert(reflect.TypeOf(o.Zero())).Interface()
}

// setDone is Set, and what Do does afterwards.
func setDone(c *state.Cluster, name string, given option.Options, unset []string) ([]string, error) {
	gone, err := Set(c, name, given, unset)
	return gone, done(c, err)
}

func specsOf(t *testing.T, c *state.Cluster) string {
	t.Helper()
	out, err := network.Compile(c)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, name := range c.ServerNames() {
		fmt.Fprintf(&text, "%s: %v\n%s", name, out.Problems, out.Hosts[name].Text())
	}
	return text.String()
}

// A subnet of the other family comes beside the one that is there, and nothing moves.
func TestSetAddsAFamily(t *testing.T) {
	for _, test := range []struct{ kind, more string }{
		{network.VXLAN, "fd00:50::/64"}, {network.L2, "fd00:50::/64"}, {network.WireGuard, "fd00:50::/64"}, {network.HostGW, "fd50::/48"}, {network.VXLANL3, "fd50::/48"},
	} {
		c := made(t, test.kind, nil)
		before := c.Clone().Networks["n1"]
		gone, err := setDone(c, "n1", option.Options{"subnet": prefixes("10.50.0.0/16", test.more)}, nil)
		if err != nil || len(gone) > 0 {
			t.Fatalf("%s: gone %v, %v", test.kind, gone, err)
		}
		for server, a := range c.Networks["n1"].Allocated {
			was := before.Allocated[server]
			if len(a.Addrs)+len(a.Subnets) != 2 || len(was.Addrs) > 0 && a.Addrs[0] != was.Addrs[0] || len(was.Subnets) > 0 && a.Subnets[0] != was.Subnets[0] || a.ID != was.ID || a.Key != was.Key || a.Mesh != was.Mesh {
				t.Errorf("%s: %s had %+v, has %+v", test.kind, server, *was, *a)
			}
		}
		specsOf(t, c)
	}
}

// Another way to hand out addresses moves no server's own address.
func TestSetDHCPModeKeepsAddresses(t *testing.T) {
	c := made(t, network.VXLAN, option.Options{"subnet": prefixes("10.50.0.0/24"), "dhcp-server": "s2"})
	if err := done(c, Leave(c, "n1", []string{"s1"})); err != nil {
		t.Fatal(err)
	}
	before := c.Clone().Networks["n1"]
	for _, mode := range []string{state.DHCPDistributed, state.DHCPOff, state.DHCPSingle, state.DHCPDistributed, state.DHCPSingle} {
		if _, err := setDone(c, "n1", option.Options{"dhcp": mode}, nil); err != nil {
			t.Fatal(err)
		}
		n := c.Networks["n1"]
		for server, a := range n.Allocated {
			was := before.Allocated[server]
			if a.ID != was.ID || !slices.Equal(a.Addrs, was.Addrs) || (len(a.Pool) > 0) != (mode == state.DHCPDistributed) {
				t.Errorf("%s: %s had %+v, has %+v", mode, server, *was, *a)
			}
		}
		if mode == state.DHCPDistributed {
			checkPools(t, n)
		}
	}
}

// What cannot be says what, and what to do.
func TestSetRefuses(t *testing.T) {
	for _, test := range []struct {
		kind       string
		given      option.Options
		unset      []string
		text, next string
	}{
		{network.VXLAN, nil, nil, "nothing is to change", "flock setnetwork n1 --mtu 1400"},
		{network.VXLAN, option.Options{"topology": state.Hub}, nil, "has no --topology", "leave --topology away"},
		{network.HostGW, option.Options{"vni": int64(7)}, nil, "have no -v", "leave -v away"},
		{network.VXLAN, option.Options{"mtu": int64(5)}, nil, "5", "576"},
		{network.VXLAN, option.Options{"mtu": int64(1400)}, []string{"mtu"}, "contradict each other", "leave one away"},
		{network.VXLAN, nil, []string{"lead"}, "has no lead", "wireguard"},
		{network.WireGuard, nil, []string{"lead"}, "leads as long", "flock createnetwork n1 wireguard"},
		{network.L2, nil, []string{"mesh"}, "flock chooses it", "flock removenetwork n1"},
		{network.HostGW, nil, []string{"shares"}, "members share subnets", "flock addnetwork n1 subnet SERVER:CIDR"},
		{network.HostGW, option.Options{"add-pool": prefixes("10.61.0.0/28")}, nil, "holds no subnet of length 24", "/24 or wider"},
		{network.HostGW, option.Options{"add-pool": prefixes("fd61::/48")}, nil, "network that has none", "-s with all pools"},
		{network.VXLAN, nil, []string{"nonsense"}, "not an option of a vxlan network", "mtu"},
		{network.VXLAN, option.Options{"dhcp-server": "s9"}, nil, "unknown server s9", "addserver"},
		{network.VXLAN, option.Options{"dhcp": state.DHCPOff, "dhcp-server": "s2"}, nil, "DHCP server s2 with DHCP off", "--dhcp single"},
		{network.VXLAN, option.Options{"subnet": prefixes("10.50.1.5/24")}, nil, "bits set behind", "10.50.1.0/24"},
	} {
		c := made(t, test.kind, nil)
		_, err := Do(c, func(c *state.Cluster) error { _, err := Set(c, "n1", test.given, test.unset); return err })
		if err == nil || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%v %v: want %q, have %v", test.given, test.unset, test.text, err)
			continue
		}
		if where, next := hint.Of(err); !strings.HasPrefix(where, "network n1") || !strings.Contains(next, test.next) {
			t.Errorf("%v %v: where %q, next %q", test.given, test.unset, where, next)
		}
	}
	c := made(t, network.VXLAN, nil)
	c.Servers["s4"] = &state.Server{Address: "10.99.0.4"}
	_, err := Set(c, "n1", option.Options{"dhcp-server": "s4"}, nil)
	if err == nil || !strings.Contains(err.Error(), "not a member") {
		t.Errorf("a DHCP server that is no member: %v", err)
	}
	if err := CreateBGP(c, "b1", "s1", BGPOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err = Set(c, "b1", option.Options{"mtu": int64(1400)}, nil); err == nil || !strings.Contains(err.Error(), "nothing else") {
		t.Errorf("a BGP network: %v", err)
	}
	if _, err = Set(c, "n9", option.Options{"mtu": int64(1400)}, nil); err == nil || !strings.Contains(err.Error(), "unknown network") {
		t.Errorf("no network: %v", err)
	}
}

// Containers' interfaces go along to another bridge of their network, and go with it where
// the network has none any more.
func TestSetTakesContainersAlong(t *testing.T) {
	c := made(t, network.HostGW, nil)
	at := state.Attachment{Container: "netns/c1", Interface: "eth1", Bridge: "first0"}
	if err := done(c, Attach(c, "s2", at, false)); err != nil {
		t.Fatal(err)
	}
	if _, err := setDone(c, "n1", option.Options{"bridge": "other0"}, nil); err != nil {
		t.Fatal(err)
	}
	at.Bridge = "other0"
	if have := c.Servers["s2"].Attached; len(have) != 1 || !reflect.DeepEqual(have[0], at) {
		t.Errorf("on another bridge: have %v, want %v", have, at)
	}
	if _, err := setDone(c, "n1", nil, []string{"bridge"}); err != nil {
		t.Fatal(err)
	}
	if have := c.Servers["s2"].Attached; len(have) != 0 {
		t.Errorf("without a bridge: have %v", have)
	}
}

// TestContainersThatDoNotAskAreDealtAddresses: one of Docker's without an address gets a
// free one of the bridge, and has it as long as it stays there.
func TestContainersThatDoNotAskAreDealtAddresses(t *testing.T) {
	c := made(t, network.VXLAN, option.Options{"subnet": prefixes("10.0.4.0/24"), "bridge": "vxl0"})
	c.Servers["s1"].Subnet = netip.MustParsePrefix("10.1.1.1/24")
	attach := func(container, bridge string, change bool, want string) {
		t.Helper()
		if err := done(c, Attach(c, "s1", state.Attachment{Container: container, Interface: "eth1", Bridge: bridge}, change)); err != nil {
			t.Fatal(err)
		}
		s := c.Servers["s1"]
		if got := s.Attached[segment.AttachedAt(s, container, "eth1")].Addrs; fmt.Sprint(got) != want {
			t.Errorf("%s on %s has %v, want %s", container, bridge, got, want)
		}
	}
	attach("docker/web", "vxl0", false, "[10.0.4.193]")
	attach("docker/db", "vxl0", true, "[10.0.4.194]")
	attach("docker/web", "vxl0", false, "[10.0.4.193]")
	attach("docker/web", "vxl0", true, "[10.0.4.193]")
	attach("lxc/web", "vxl0", true, "[]")
	attach("docker/web", "app0", true, "[10.1.1.254]")
	attach("docker/db", "", true, "[]")
}

// TestAnotherSubnetDealsDockerAnew, since its network is made anew with it; IPv6 beside it does not.
func TestAnotherSubnetDealsDockerAnew(t *testing.T) {
	c := made(t, network.VXLAN, option.Options{"subnet": prefixes("10.50.4.0/24"), "dhcp": state.DHCPDistributed})
	n := c.Networks["n1"]
	if err := done(c, AddDocker(c, "n1", nil)); err != nil {
		t.Fatal(err)
	}
	was := n.Allocated["s1"].Docker
	set := func(subnets ...string) netip.Prefix {
		t.Helper()
		_, err := Set(c, "n1", option.Options{"subnet": prefixes(subnets...)}, nil)
		if err := done(c, err); err != nil {
			t.Fatal(err)
		}
		return n.Allocated["s1"].Docker
	}
	if now := set("10.50.4.0/24", "fd50::/64"); was.Bits() != 29 || now != was {
		t.Errorf("with IPv6: %s was %s, and a /29 was to be", now, was)
	}
	if now := set("10.50.0.0/20", "fd50::/64"); now.Bits() != 24 {
		t.Errorf("in a wider subnet: %s", now)
	}
}
