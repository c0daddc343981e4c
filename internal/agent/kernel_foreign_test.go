//go:build linux

package agent

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/link"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/spec"
)

// Evidence for newLink.
func TestAliasIsIgnoredAtCreation(t *testing.T) {
	ownNet(t)
	sh(t, "ip link add x alias flock:t/n type bridge")
	if have := sh(t, "ip link show x"); strings.Contains(have, "alias") {
		t.Log("this kernel takes the alias in the create call")
	}
	k := open(t, "t", t.TempDir())
	apply(t, k, segment())
	if have := sh(t, "ip link show vxl0"); !strings.Contains(have, "alias flock:t/vx1") {
		t.Fatal(have)
	}
}

// Evidence for mtuMessages.
func TestBridgeMTUStays(t *testing.T) {
	ownNet(t)
	sh(t, `ip link add plain mtu 1450 type bridge; ip link set plain mtu 1450
		ip link add c0 mtu 1300 type veth peer name c0p; ip link set c0 master plain`)
	if have := sh(t, "ip -j link show plain | jq .[0].mtu"); have != "1300\n" {
		t.Fatalf("a bridge that was never changed has MTU %s", have)
	}
	k := open(t, "t", t.TempDir())
	apply(t, k, segment())
	sh(t, "ip link set c0 master vxl0")
	if have := sh(t, "ip -j link show vxl0 | jq .[0].mtu"); have != "1450\n" {
		t.Fatalf("with a port of 1300 the bridge has MTU %s", have)
	}
	converge(t, k, segment(), "")
	smaller := segment()
	smaller.Links[0].MTU, smaller.Links[1].MTU = 1400, 1400
	converge(t, k, smaller, `
		~ link vxl0: mtu 1450 -> 1400
		~ link vxl0-vx: mtu 1450 -> 1400`)
}

func TestForeignObjectsAreLeftAlone(t *testing.T) {
	ownNet(t)
	sh(t, `ip link add docker0 type bridge; ip addr add 172.17.0.1/16 dev docker0; ip link set docker0 up
		ip link add vx9 type vxlan id 9 dstport 4789 local 10.99.0.1; bridge fdb append 00:00:00:00:00:00 dev vx9 dst 10.99.0.9
		ip link add fx alias x type bridge; ip link set fx alias flock:other/vx1; ip addr add 10.8.0.1/24 dev fx; ip link set fx up
		ip route add 10.7.0.0/24 dev docker0 proto 70; ip route add 10.6.0.0/24 via 10.99.0.9; ip neigh add 10.99.0.9 lladdr 6a:00:00:00:00:01 dev eth0
		nft add table inet mine; nft add table inet flock-other`)
	steady(t)
	before := listings(t)
	k := open(t, "t", t.TempDir())
	apply(t, k, segment())
	// What hangs on our links and is not a setting of ours: a container's port, what is learned.
	sh(t, `ip link add c0 type veth peer name c0p; ip link set c0 master vxl0; ip link set c0 up; ip link set c0p up
		bridge fdb add 6a:00:00:00:00:55 dev vxl0-vx dst 10.99.0.5 dynamic
		ip neigh add 10.0.4.33 lladdr 6a:00:00:00:00:33 dev vxl0 nud reachable`)
	converge(t, k, segment(), "")
	sh(t, "ip link del c0")
	apply(t, k, &spec.Host{Cluster: "t"})
	if after := listings(t); after != before {
		t.Fatalf("want\n%s\nhave\n%s", before, after)
	}
}

func TestForeignDeviceUnderOurNameIsAConflict(t *testing.T) {
	for _, c := range []struct{ name, make, what string }{
		{"bridge", "ip link add vxl0 type bridge", "link vxl0 of network vx1: there is one already (bridge), flock did not make it"},
		{"other cluster", "ip link add vxl0 type bridge; ip link set vxl0 alias flock:other/vx1", "link vxl0 of network vx1: there is one already, it belongs to other/vx1"},
		{"other device", "ip link add vxl0 type veth peer name far", "link vxl0 of network vx1: there is one already (veth), flock did not make it"},
		{"same VNI", "ip link add far type vxlan id 42 dstport 4789 local 10.99.0.1", "link vxl0-vx of network vx1: VNI 42 on UDP port 4789 is taken by the link far"},
		{"group policy", "ip link add far type vxlan id 41 dstport 4789 local 10.99.0.1 gbp", "link vxl0-vx of network vx1: UDP port 4789 is shared with the link far, and only one of them has group policy (GBP)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ownNet(t)
			sh(t, c.make)
			before := listings(t)
			k := open(t, "t", t.TempDir())
			p, err := k.Plan(t.Context(), segment())
			if err != nil {
				t.Fatal(err)
			}
			if len(p.Problems) != 1 || p.Problems[0].What != c.what || p.Problems[0].Next == "" {
				t.Fatalf("problems: want %q, have %q", c.what, p.Problems)
			}
			if strings.HasPrefix(c.name, "other") && strings.Contains(p.Problems[0].Next, "delete") {
				t.Errorf("it advises to remove somebody else's device: %s", p.Problems[0].Next)
			}
			_, err = Reconcile(t.Context(), k, segment(), nil)
			if _, next := hint.Of(err); err == nil || err.Error() != c.what || next == "" {
				t.Fatalf("reconcile: %v, next %q", err, next)
			}
			if after := listings(t); after != before {
				t.Fatalf("something was changed: want\n%s\nhave\n%s", before, after)
			}
		})
	}
}

// A device that appears between the look and the create call is not marked ours.
func TestLinkMadeMeanwhileIsNotTakenOver(t *testing.T) {
	ownNet(t)
	k := open(t, "t", t.TempDir())
	if err := k.ReadDevices(); err != nil {
		t.Fatal(err)
	}
	sh(t, "ip link add vxl0 type bridge")
	before := sh(t, "ip -d -j link")
	err := link.NewLink(t.Context(), k.Host, segment().Links[1])
	if err == nil || !strings.Contains(err.Error(), "create link vxl0: file exists") {
		t.Fatalf("error: %v", err)
	}
	if after := sh(t, "ip -d -j link"); after != before {
		t.Fatalf("want\n%s\nhave\n%s", before, after)
	}
}

// TestLinksMadeMeanwhileAreNotMarked: whatever index somebody gives a device of his
// between the look and the create call, nothing happens to it, and ours is made.
func TestLinksMadeMeanwhileAreNotMarked(t *testing.T) {
	ownNet(t)
	k := open(t, "t", t.TempDir())
	if err := k.ReadDevices(); err != nil {
		t.Fatal(err)
	}
	sh(t, `top=$(ip -o link | tail -n1 | cut -d: -f1)
		for i in $(seq 300); do echo "link add far$i index $((top + i)) mtu 1444 type bridge"; done | ip -batch -`)
	const far = `ip -d -j link | jq -c '.[] | select(.ifname | startswith("far"))'`
	before := sh(t, far)
	if err := link.NewLink(t.Context(), k.Host, segment().Links[1]); err != nil {
		t.Error(err)
	}
	if after := sh(t, far); after != before {
		t.Errorf("want\n%s\nhave\n%s", before, after)
	}
	if err := link.NewLink(t.Context(), k.Host, segment().Links[0]); err != nil { // its port
		t.Error(err)
	}
	if after := sh(t, far); after != before {
		t.Errorf("want\n%s\nhave\n%s", before, after)
	}
	if err := k.Raise([]string{"vxl0", "vxl0-vx"}); err != nil {
		t.Error(err)
	}
	const ours = `ip -j link | jq -r '.[] | select(.ifname | startswith("vxl0")) | [.ifname, .group, .ifalias, .mtu, .master] | join(" ")'`
	if have := sh(t, ours); have != "vxl0 default flock:t/vx1 1450 \nvxl0-vx default flock:t/vx1 1450 vxl0\n" {
		t.Errorf("ours: %s", have)
	}
}

// TestRefusedLinkTouchesNothing: of a create call that is refused, nothing follows.
// Neither has who bears the name it wanted, nor who is in a group, anything to do with it.
func TestRefusedLinkTouchesNothing(t *testing.T) {
	ownNet(t)
	sh(t, "ip link add far group 7 mtu 1444 type bridge; ip link add away type vxlan id 42 dstport 4789 local 10.99.0.1")
	k := open(t, "t", t.TempDir())
	if err := k.ReadDevices(); err != nil {
		t.Fatal(err)
	}
	if err := link.NewLink(t.Context(), k.Host, segment().Links[1]); err != nil {
		t.Fatal(err)
	}
	before := sh(t, "ip -d -j link")
	if err := link.NewLink(t.Context(), k.Host, segment().Links[0]); !errors.Is(err, unix.EEXIST) {
		t.Errorf("a second device of a VNI: %v", err)
	}
	if after := sh(t, "ip -d -j link"); after != before {
		t.Errorf("want\n%s\nhave\n%s", before, after)
	}
}

func TestForeignRouteIsNotReplaced(t *testing.T) {
	ownNet(t)
	k := open(t, "t", t.TempDir())
	sh(t, "ip route add 10.50.0.0/24 via 10.99.0.9")
	_, err := Reconcile(t.Context(), k, segment(), nil)
	if err == nil || !strings.Contains(err.Error(), "add route 10.50.0.0/24: ") {
		t.Fatalf("error: %v", err)
	}
	if have := sh(t, "ip route show 10.50.0.0/24"); !strings.Contains(have, "via 10.99.0.9") {
		t.Fatalf("the foreign route became %q", have)
	}
}

func TestTwoClustersShareAServer(t *testing.T) {
	ownNet(t)
	dir := t.TempDir()
	one, two := open(t, "one", dir), open(t, "two", dir)
	first, second := segment(), spacious()
	first.Cluster, second.Cluster = "one", "two"
	second.Links, second.Addrs, second.Routes, second.Neighs = second.Links[2:], nil, nil, nil
	second.FDB, second.Floods, second.Gateways, second.NATs = nil, nil, nil, nil
	second.Sysctls = second.Sysctls[:1]
	apply(t, one, first)
	apply(t, two, second)
	converge(t, one, first, "")
	forwards := func(want string) {
		t.Helper()
		if have := strings.TrimSpace(sh(t, "cat /proc/sys/net/ipv4/ip_forward")); have != want {
			t.Fatalf("ip_forward: want %s, have %s", want, have)
		}
	}
	// The second found 1, but it was the first that set it: the last to go restores 0.
	apply(t, one, &spec.Host{Cluster: "one"})
	forwards("1")
	converge(t, two, second, "")
	apply(t, two, &spec.Host{Cluster: "two"})
	forwards("0")
}

func TestSettingThatSomebodyChangedIsNotRestored(t *testing.T) {
	ownNet(t)
	k := open(t, "t", t.TempDir())
	want := &spec.Host{Cluster: "t", Sysctls: []spec.Sysctl{{Key: "net/ipv4/conf/all/log_martians", Value: "1"}, {Key: "net/ipv4/ip_forward", Value: "1"}}}
	apply(t, k, want)
	sh(t, "echo 2 >/proc/sys/net/ipv4/conf/all/log_martians")
	converge(t, k, &spec.Host{Cluster: "t"}, "- sysctl net/ipv4/ip_forward: 1 -> 0")
	if have := sh(t, "cat /proc/sys/net/ipv4/conf/all/log_martians /proc/sys/net/ipv4/ip_forward"); have != "2\n0\n" {
		t.Fatalf("settings: %q", have)
	}
	if left, err := number(k.Remains(t.Context())); err != nil || left != 0 {
		t.Fatalf("left = %d, %v", left, err)
	}
}

// A server that learned its IPv6 default route keeps it when it starts to forward.
func TestForwardingKeepsRouterAdvertisements(t *testing.T) {
	ownNet(t)
	k := open(t, "t", t.TempDir())
	sh(t, "ip link add docker0 type bridge")
	want := &spec.Host{Cluster: "t", Sysctls: []spec.Sysctl{{Key: "net/ipv6/conf/all/forwarding", Value: "1"}}}
	converge(t, k, want, `
		~ sysctl net/ipv6/conf/eth0/accept_ra: 1 -> 2
		~ sysctl net/ipv6/conf/wire/accept_ra: 1 -> 2
		~ sysctl net/ipv6/conf/all/forwarding: 0 -> 1`)
	converge(t, k, &spec.Host{Cluster: "t"}, `
		- sysctl net/ipv6/conf/all/forwarding: 1 -> 0
		- sysctl net/ipv6/conf/eth0/accept_ra: 2 -> 1
		- sysctl net/ipv6/conf/wire/accept_ra: 2 -> 1`)
	if have := sh(t, "cat /proc/sys/net/ipv6/conf/eth0/accept_ra /proc/sys/net/ipv6/conf/all/forwarding"); have != "1\n0\n" {
		t.Fatalf("settings: %q", have)
	}
}

// A default route tells which device is the uplink, whatever it is called; bridges of
// containers keep what they have, whatever they are called.
func TestUplinkIsFoundByItsDefaultRoute(t *testing.T) {
	forwards := &spec.Host{Cluster: "t", Sysctls: []spec.Sysctl{{Key: "net/ipv6/conf/all/forwarding", Value: "1"}}}
	for _, c := range []struct{ name, do, want string }{
		{"br-lan", "ip -6 addr add fd98::1/64 dev br-lan nodad; ip -6 route add default via fd98::9 dev br-lan", "2"},
		{"docker7", "ip addr add 10.98.0.1/24 dev docker7; ip route add default via 10.98.0.9 dev docker7 table 99", "2"},
		{"br-b1946ac92492", "true", "1"},
		{"podnet", "ip link add c1 type veth peer name c1p; ip link set c1 master podnet; ip link set c1 up", "1"},
		{"br0", "ip link add real type macvlan 2>/dev/null || ip link add link eth0 name real type macvlan mode bridge; ip link set real master br0", "2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ownNet(t)
			sh(t, "ip link add "+c.name+" type bridge; sysctl -qw net.ipv6.conf."+c.name+".accept_dad=0; ip link set "+c.name+" up; "+c.do)
			k := open(t, "t", t.TempDir())
			apply(t, k, forwards)
			setting := "cat /proc/sys/net/ipv6/conf/" + c.name + "/accept_ra"
			if have := strings.TrimSpace(sh(t, setting)); have != c.want {
				t.Errorf("want %s, have %s", c.want, have)
			}
			apply(t, k, &spec.Host{Cluster: "t"})
			if have := strings.TrimSpace(sh(t, setting)); have != "1" {
				t.Errorf("afterwards: want 1, have %s", have)
			}
		})
	}
}

// Evidence for tunnelConflicts.
func TestGroupPolicyIsPerPort(t *testing.T) {
	ownNet(t)
	sh(t, `ip link add g1 type vxlan id 1 dstport 4789 local 10.99.0.1 gbp; ip link set g1 up
		ip link add g2 type vxlan id 2 dstport 4789 local 10.99.0.1
		if ip link set g2 up 2>/dev/null; then exit 1; fi`)
	k := open(t, "t", t.TempDir())
	sh(t, "ip link del g1; ip link del g2")
	want := segment()
	second := want.Links[0]
	second.Name, second.Tunnel = "gbp0", &spec.Tunnel{VNI: 9, Port: 4789, Local: addr("10.99.0.1"), GBP: true}
	want.Links = append(want.Links, second)
	p, err := k.Plan(t.Context(), want)
	if err != nil || len(p.Problems) != 1 {
		t.Fatalf("problems: %v, %v", p, err)
	}
}
