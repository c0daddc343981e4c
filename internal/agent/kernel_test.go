//go:build linux

package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/link"
	"github.com/flocknet/flock/internal/lab"
	"github.com/flocknet/flock/internal/seed"
	"github.com/flocknet/flock/internal/spec"
)

// ownNet moves the test into a network namespace of its own, with one underlay
// device. The thread stays locked: it ends with the test, and the namespace with it.
func ownNet(t testing.TB) {
	t.Helper()
	lab.Need(t, "ip")
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatalf("unshare network namespace (root needed): %v", err)
	}
	sh(t, `ip link set lo up
		ip link add eth0 type veth peer name wire
		sysctl -qw net.ipv6.conf.eth0.accept_dad=0 net.ipv6.conf.wire.accept_dad=0 # no address that settles meanwhile
		ip link set wire up; ip link set eth0 up
		ip addr add 10.99.0.1/24 dev eth0; ip -6 addr add fd99::1/64 dev eth0 nodad
		end=$(($(date +%s) + 60))
		while [ $(date +%s) -lt $end ]; do # linkwatch may take a second, and many on a busy machine; then come link-local addresses
			[ "$(ip -6 -o addr show scope link -tentative | grep -c fe80)" = 2 ] && [ "$(ip link | grep -c 'state UP')" = 2 ] && exit
		done
		ip addr; exit 1`)
	steady(t)
}

// sh runs a script in the test's namespace and returns what it prints.
func sh(t testing.TB, script string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.Command("sh", "-ec", script)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s%s", script, err, stdout.String(), stderr.String())
	}
	return stdout.String()
}

// open opens the kernel for cluster, with memory in dir.
func open(t testing.TB, cluster, dir string) *Kernel {
	t.Helper()
	k, err := Open(cluster)
	if err != nil {
		t.Fatal(err)
	}
	k.Files = host.FilesAt(cluster, host.Paths{
		Lib: dir, Run: filepath.Join(dir, "run"), Units: filepath.Join(dir, "units"), Network: filepath.Join(dir, "network"),
		NM: filepath.Join(dir, "nm"), Systemd: filepath.Join(dir, "none"), Netif: filepath.Join(dir, "none"), NMRun: filepath.Join(dir, "none"),
	})
	t.Cleanup(func() {
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	})
	return k
}

// listings are everything the kernel half can change, as its own tools print it.
func listings(t testing.TB) string {
	t.Helper()
	steady(t)
	var out strings.Builder
	for _, command := range []string{
		"ip -d -j link", "ip -d -j addr", "ip -d -j route show table all", "ip -6 -d -j route show table all",
		"ip -d -j neigh show nud permanent", "bridge -j fdb", "nft -j list ruleset",
	} {
		list := sh(t, command)
		fmt.Fprintf(&out, "# %s\n%s\n", command, withoutClocks(t, list))
	}
	return out.String()
}

// withoutClocks drops timers from JSON, and nftables' greeting.
func withoutClocks(t testing.TB, text string) string {
	t.Helper()
	if strings.TrimSpace(text) == "" {
		return ""
	}
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	dropClocks(v)
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", " ")
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func dropClocks(v any) {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			if strings.HasSuffix(key, "_timer") || key == "expires" || key == "used" {
				delete(v, key)
				continue
			}
			dropClocks(value)
		}
	case []any:
		for _, value := range v {
			dropClocks(value)
		}
	}
}

func plan(t testing.TB, k *Kernel, want *spec.Host) string {
	t.Helper()
	p, err := k.Status(context.Background(), want)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Problems) > 0 {
		t.Fatalf("problems: %v", p.Problems)
	}
	return stepText(p.Steps)
}

func stepText(steps []spec.Step) string {
	var b strings.Builder
	for _, s := range steps {
		b.WriteString(s.String() + "\n")
	}
	return b.String()
}

// converge expects the plan, one step a line, applies it and expects that nothing
// is left to do.
func converge(t testing.TB, k *Kernel, want *spec.Host, steps string) {
	t.Helper()
	if have := plan(t, k, want); have != outdent(steps) {
		t.Fatalf("plan: want\n%shave\n%s", outdent(steps), have)
	}
	apply(t, k, want)
}

func apply(t testing.TB, k *Kernel, want *spec.Host) *spec.Report {
	t.Helper()
	before := plan(t, k, want)
	report, err := Reconcile(context.Background(), k, want, nil)
	if err != nil {
		t.Fatalf("reconcile: %v, after\n%s", err, stepText(report.Steps))
	}
	// More than planned is done where kernel objects lean on each other.
	if have := stepText(report.Steps); !strings.HasPrefix(have, before) {
		t.Fatalf("done: want\n%shave\n%s", before, have)
	}
	if after := plan(t, k, want); after != "" {
		t.Fatalf("left to do:\n%s", after)
	}
	return report
}

func outdent(s string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		if line = strings.TrimSpace(line); line != "" {
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }
func addr(s string) netip.Addr     { return netip.MustParseAddr(s) }

// segment is what the kernel half makes of a network with three members.
func segment() *spec.Host {
	return &spec.Host{
		Cluster: "t", Store: "s", Server: "s1",
		Links: []spec.Link{
			{Name: "vxl0-vx", Network: "vx1", Kind: spec.VXLAN, MAC: "6a:0a:00:00:00:01", MTU: 1450, Master: "vxl0", Tunnel: &spec.Tunnel{VNI: 42, Port: 4789, Local: addr("10.99.0.1")}},
			{Name: "vxl0", Network: "vx1", Kind: spec.Bridge, MAC: "6a:0b:00:00:00:01", MTU: 1450},
		},
		Addrs: []spec.Addr{
			{Link: "vxl0", Prefix: prefix("10.0.4.254/24")}, {Link: "vxl0", Prefix: prefix("10.0.4.1/32")}, {Link: "vxl0", Prefix: prefix("fd04::1/64")},
		},
		Routes: []spec.Route{{Dst: prefix("10.50.0.0/24"), Via: addr("10.0.4.9"), Dev: "vxl0", Proto: spec.RouteProto}},
		Neighs: []spec.Neigh{{Link: "vxl0", IP: addr("10.0.4.9"), MAC: "6a:0b:00:00:00:09"}},
		FDB:    []spec.FDB{{Link: "vxl0-vx", MAC: "6a:0b:00:00:00:09", Dst: addr("10.99.0.9")}},
		Floods: []spec.Flood{{Link: "vxl0-vx", To: spec.NewAddrSet(addr("10.99.0.1"), addr("10.99.0.2"), addr("10.99.0.3"))}},
		Gateways: []spec.Gateway{{
			Network: "vx1", Bridge: "vxl0", Uplink: "vxl0-vx", MAC: "6a:0f:00:00:00:00", RouterMACs: "6a:0b:00:00:00:00", RouterMask: "ff:ff:ff:ff:00:00",
			Subnets: []netip.Prefix{prefix("10.0.4.0/24")}, Addrs: []netip.Addr{addr("10.0.4.1")},
		}},
		NATs: []spec.NAT{{Network: "vx1", Bridge: "vxl0", Subnet: prefix("10.0.4.0/24")}},
		Sysctls: []spec.Sysctl{
			{Key: "net/ipv4/ip_forward", Value: "1"},
			{Key: "net/ipv4/conf/vxl0/arp_announce", Value: "2", Link: "vxl0"},
			{Key: "net/ipv6/conf/vxl0-vx/disable_ipv6", Value: "1", Link: "vxl0-vx"},
		},
	}
}

const segmentPlan = `
	+ link vxl0: bridge mac 6a:0b:00:00:00:01 mtu 1450 network vx1
	+ link vxl0-vx: vxlan mac 6a:0a:00:00:00:01 mtu 1450 master vxl0 vni 42 port 4789 local 10.99.0.1 network vx1
	+ sysctl net/ipv4/conf/vxl0/arp_announce: 2
	+ sysctl net/ipv6/conf/vxl0-vx/disable_ipv6: 1
	+ addr 10.0.4.254/24 dev vxl0
	+ addr 10.0.4.1/32 dev vxl0
	+ addr fd04::1/64 dev vxl0
	+ neigh 10.0.4.9 dev vxl0: lladdr 6a:0b:00:00:00:09
	+ fdb 00:00:00:00:00:00 dst 10.99.0.2 dev vxl0-vx
	+ fdb 00:00:00:00:00:00 dst 10.99.0.3 dev vxl0-vx
	+ fdb 6a:0b:00:00:00:09 dst 10.99.0.9 dev vxl0-vx
	+ gateway vxl0: 10.0.4.1 mac 6a:0f:00:00:00:00 bridge vxl0 uplink vxl0-vx routers 6a:0b:00:00:00:00/ff:ff:ff:ff:00:00 subnets 10.0.4.0/24 network vx1
	+ masquerade 10.0.4.0/24: bridge vxl0 network vx1
	+ route 10.50.0.0/24: via 10.0.4.9 dev vxl0 proto 70
	~ sysctl net/ipv4/ip_forward: 0 -> 1
`

// passing is what ip shows of an address whose uniqueness the kernel is still looking for,
// and of a device with a carrier that it has not told of yet.
var passing = regexp.MustCompile(`tentative|LOWER_UP.* state DOWN`)

// unrouted lists the IPv6 addresses of devices that are up without their local route, which
// the kernel adds in a task of its own, for an address without DAD, too.
const unrouted = `ip -6 -o addr show up -dadfailed | awk '{sub("/.*", "", $4); print $4, "dev", $2}' |
	while read -r route; do ip -6 route show table local type local | grep -qF "local $route " || echo "$route: no route yet"; done`

// steady waits until addresses, their routes, and ports have left their states of passage.
func steady(t testing.TB) {
	t.Helper()
	for range 200 {
		if !passing.MatchString(sh(t, "ip addr; bridge link")) && sh(t, unrouted) == "" {
			return
		}
		sh(t, "busybox usleep 20000")
	}
	t.Fatalf("it does not come to rest:\n%s", sh(t, "ip addr; bridge link;"+unrouted))
}

func TestSegmentComesStaysAndGoes(t *testing.T) {
	ownNet(t)
	k := open(t, "t", t.TempDir())
	before := listings(t)

	converge(t, k, segment(), segmentPlan)
	there := listings(t)
	if report := apply(t, k, segment()); len(report.Steps) != 0 {
		t.Fatalf("the second time: %v", report.Steps)
	}
	if again := listings(t); again != there {
		t.Fatalf("applying twice changed something: want\n%s\nhave\n%s", there, again)
	}

	nothing := &spec.Host{Cluster: "t"}
	if left, err := number(k.Remains(t.Context())); err != nil || left < 4 {
		t.Fatalf("left = %d, %v before removal", left, err)
	}
	converge(t, k, nothing, `
		- link vxl0-vx
		- link vxl0
		- gateway vxl0
		- masquerade 10.0.4.0/24
		- sysctl net/ipv4/ip_forward: 1 -> 0
	`)
	if left, err := number(k.Remains(t.Context())); err != nil || left != 0 {
		t.Fatalf("left = %d, %v", left, err)
	}
	if after := listings(t); after != before {
		t.Fatalf("after removal: want\n%s\nhave\n%s", before, after)
	}
	if have := sh(t, "cat /proc/sys/net/ipv4/ip_forward"); have != "0\n" {
		t.Fatalf("ip_forward = %q", have)
	}
}

// What is made by hand is the same, attribute for attribute.
func TestSegmentIsWhatTheToolsMake(t *testing.T) {
	ownNet(t)
	sh(t, `ip link add vxl0 mtu 1450 address 6a:0b:00:00:00:01 type bridge forward_delay 0; ip link set vxl0 alias flock:t/vx1
		ip link add vxl0-vx mtu 1450 address 6a:0a:00:00:00:01 type vxlan id 42 dstport 4789 local 10.99.0.1; ip link set vxl0-vx alias flock:t/vx1
		ip link set vxl0-vx master vxl0; ip link set vxl0 mtu 1449; ip link set vxl0 mtu 1450
		echo 2 >/proc/sys/net/ipv4/conf/vxl0/arp_announce; echo 1 >/proc/sys/net/ipv6/conf/vxl0-vx/disable_ipv6; echo 1 >/proc/sys/net/ipv4/ip_forward
		ip addr add 10.0.4.254/24 brd + dev vxl0; ip addr add 10.0.4.1/32 dev vxl0; ip addr add fd04::1/64 dev vxl0 nodad
		ip neigh add 10.0.4.9 lladdr 6a:0b:00:00:00:09 dev vxl0 nud permanent
		bridge fdb append 00:00:00:00:00:00 dev vxl0-vx dst 10.99.0.2; bridge fdb append 00:00:00:00:00:00 dev vxl0-vx dst 10.99.0.3
		bridge fdb add 6a:0b:00:00:00:09 dev vxl0-vx dst 10.99.0.9
		ip link set vxl0 up; ip link set vxl0-vx up; ip route add 10.50.0.0/24 via 10.0.4.9 dev vxl0 proto 70`)
	k := open(t, "t", t.TempDir())
	want := segment()
	want.Gateways, want.NATs = nil, nil
	converge(t, k, want, "")
}

func TestDriftIsNamedAndRepaired(t *testing.T) {
	for _, c := range []struct{ name, drift, steps string }{
		{"mtu", "ip link set vxl0-vx mtu 1400", "~ link vxl0-vx: mtu 1400 -> 1450"},
		{"bridge mtu", "ip link set vxl0 mtu 1400", "~ link vxl0: mtu 1400 -> 1450"},
		{"down", "ip link set vxl0-vx down", "~ link vxl0-vx: state down -> up"},
		{"mac", "ip link set vxl0 address 6a:00:00:00:00:99", `
			~ link vxl0: mac 6a:00:00:00:00:99 -> 6a:0b:00:00:00:01
			+ neigh 10.0.4.9 dev vxl0: lladdr 6a:0b:00:00:00:09`}, // linux 6.18 forgets the neighbours with the MAC
		{"unplugged", "ip link set vxl0-vx nomaster", "~ link vxl0-vx: master none -> vxl0"},
		{"isolated", "bridge link set dev vxl0-vx isolated on", "~ link vxl0-vx: isolated on -> none"},
		{"port flags", "bridge link set dev vxl0-vx learning off flood off bcast_flood off mcast_flood off", "~ link vxl0-vx: extra learning off flood off mcast_flood off bcast_flood off -> none"},
		{"port locked", "bridge link set dev vxl0-vx locked on", "~ link vxl0-vx: extra locked on -> none"},
		{"no ARP", "ip link set vxl0 arp off", `
			~ link vxl0: extra arp off -> none
			+ neigh 10.0.4.9 dev vxl0: lladdr 6a:0b:00:00:00:09`},
		{"spanning tree", "ip link set vxl0 type bridge stp_state 1", "~ link vxl0: extra stp_state 1 -> none"},
		{"alias", "ip link set vxl0 alias flock:t/other", "~ link vxl0: network other -> vx1"},
		{"address gone", "ip addr del 10.0.4.1/32 dev vxl0", "+ addr 10.0.4.1/32 dev vxl0"},
		{"address too many", "ip addr add 10.0.4.77/24 dev vxl0", "- addr 10.0.4.77/24 dev vxl0"},
		{"flood gone", "bridge fdb del 00:00:00:00:00:00 dev vxl0-vx dst 10.99.0.3", "+ fdb 00:00:00:00:00:00 dst 10.99.0.3 dev vxl0-vx"},
		{"flood too many", "bridge fdb append 00:00:00:00:00:00 dev vxl0-vx dst 10.99.0.7", "- fdb 00:00:00:00:00:00 dst 10.99.0.7 dev vxl0-vx"},
		{"fdb elsewhere", "bridge fdb replace 6a:0b:00:00:00:09 dev vxl0-vx dst 10.99.0.8", "~ fdb 6a:0b:00:00:00:09 dst 10.99.0.9 dev vxl0-vx: dst 10.99.0.8 -> 10.99.0.9"},
		{"neigh", "ip neigh replace 10.0.4.9 lladdr 6a:00:00:00:00:77 dev vxl0 nud permanent", "~ neigh 10.0.4.9 dev vxl0: lladdr 6a:00:00:00:00:77 -> 6a:0b:00:00:00:09"},
		{"route", "ip route replace 10.50.0.0/24 via 10.0.4.8 dev vxl0 proto 70", "~ route 10.50.0.0/24: via 10.0.4.8 -> 10.0.4.9"},
		{"route gone", "ip route del 10.50.0.0/24", "+ route 10.50.0.0/24: via 10.0.4.9 dev vxl0 proto 70"},
		{"route too many", "ip route add 10.51.0.0/24 dev vxl0 proto 70", "- route 10.51.0.0/24"},
		{"second route", "ip route add 10.50.0.0/24 via 10.0.4.8 dev vxl0 proto 70 metric 9", "- route 10.50.0.0/24"},
		{"setting", "echo 0 >/proc/sys/net/ipv4/conf/vxl0/arp_announce", "~ sysctl net/ipv4/conf/vxl0/arp_announce: 0 -> 2"},
		{"global setting", "echo 0 >/proc/sys/net/ipv4/ip_forward", "~ sysctl net/ipv4/ip_forward: 0 -> 1"},
		{"renamed", "ip link set vxl0-vx down; ip link set vxl0-vx name other; ip link set other up", `
			- link other
			+ link vxl0-vx: vxlan mac 6a:0a:00:00:00:01 mtu 1450 master vxl0 vni 42 port 4789 local 10.99.0.1 network vx1
			+ sysctl net/ipv6/conf/vxl0-vx/disable_ipv6: 1
			+ fdb 00:00:00:00:00:00 dst 10.99.0.2 dev vxl0-vx
			+ fdb 00:00:00:00:00:00 dst 10.99.0.3 dev vxl0-vx
			+ fdb 6a:0b:00:00:00:09 dst 10.99.0.9 dev vxl0-vx`},
		{"another tunnel", "ip link del vxl0-vx; ip link add vxl0-vx type vxlan id 43 dstport 4789 local 10.99.0.1; ip link set vxl0-vx alias flock:t/vx1", `
			~ link vxl0-vx: mac MAC -> 6a:0a:00:00:00:01, mtu 1500 -> 1450, master none -> vxl0, state down -> up, vni 43 -> 42 (made anew)
			+ sysctl net/ipv6/conf/vxl0-vx/disable_ipv6: 1
			+ fdb 00:00:00:00:00:00 dst 10.99.0.2 dev vxl0-vx
			+ fdb 00:00:00:00:00:00 dst 10.99.0.3 dev vxl0-vx
			+ fdb 6a:0b:00:00:00:09 dst 10.99.0.9 dev vxl0-vx`},
		{"tables", "nft delete table bridge flock-t", `
			+ gateway vxl0: 10.0.4.1 mac 6a:0f:00:00:00:00 bridge vxl0 uplink vxl0-vx routers 6a:0b:00:00:00:00/ff:ff:ff:ff:00:00 subnets 10.0.4.0/24 network vx1`},
	} {
		t.Run(c.name, func(t *testing.T) {
			ownNet(t)
			k := open(t, "t", t.TempDir())
			apply(t, k, segment())
			sh(t, c.drift)
			steps := strings.ReplaceAll(c.steps, "MAC", strings.TrimSpace(sh(t, "cat /sys/class/net/vxl0-vx/address 2>/dev/null || ip -j link show vxl0-vx | jq -r '.[0].address'")))
			converge(t, k, segment(), steps)
		})
	}
}

func TestBridgeGoneTakesNothingElse(t *testing.T) {
	ownNet(t)
	k := open(t, "t", t.TempDir())
	apply(t, k, segment())
	sh(t, "ip link del vxl0")
	converge(t, k, segment(), `
		+ link vxl0: bridge mac 6a:0b:00:00:00:01 mtu 1450 network vx1
		~ link vxl0-vx: master none -> vxl0
		+ sysctl net/ipv4/conf/vxl0/arp_announce: 2
		+ addr 10.0.4.254/24 dev vxl0
		+ addr 10.0.4.1/32 dev vxl0
		+ addr fd04::1/64 dev vxl0
		+ neigh 10.0.4.9 dev vxl0: lladdr 6a:0b:00:00:00:09
		+ route 10.50.0.0/24: via 10.0.4.9 dev vxl0 proto 70
	`)
}

// The order of a spec's slices is nothing.
func TestShuffledSpecIsTheSame(t *testing.T) {
	ownNet(t)
	k := open(t, "t", t.TempDir())
	apply(t, k, segment())
	want := segment()
	random := seed.New(t)
	random.Shuffle(len(want.Links), func(i, j int) { want.Links[i], want.Links[j] = want.Links[j], want.Links[i] })
	random.Shuffle(len(want.Addrs), func(i, j int) { want.Addrs[i], want.Addrs[j] = want.Addrs[j], want.Addrs[i] })
	converge(t, k, want, "")
}

func TestGatewayIsNoSource(t *testing.T) {
	ownNet(t)
	k := open(t, "t", t.TempDir())
	want := segment()
	want.Addrs = []spec.Addr{{Link: "vxl0", Prefix: prefix("fd04::2/64")}, {Link: "vxl0", Prefix: prefix("fd04::1/128")}, want.Addrs[0], want.Addrs[1]}
	apply(t, k, want)
	for to, from := range map[string]string{"fd04::1:5": "fd04::2", "fd04::3": "fd04::2", "10.0.4.3": "10.0.4.254"} {
		if have := sh(t, "ip route get "+to); !strings.Contains(have, "src "+from+" ") {
			t.Errorf("to %s: want source %s, have %s", to, from, have)
		}
	}
}

// The kernel takes IPv6 with its settings off a link that is too narrow for it, and
// gives them back, as they are by default, when it is wide enough.
func TestNarrowLinksHaveNoIPv6Settings(t *testing.T) {
	ownNet(t)
	k := open(t, "t", t.TempDir())
	for _, mtu := range []int{1450, 1200, 1450, 1200} {
		want := segment()
		want.Addrs = want.Addrs[:2]
		for i := range want.Links {
			want.Links[i].MTU = mtu
		}
		apply(t, k, want)
		converge(t, k, want, "")
		if have := sh(t, "cat /proc/sys/net/ipv6/conf/vxl0-vx/disable_ipv6 || true"); mtu == 1450 && strings.TrimSpace(have) != "1" {
			t.Errorf("at %d: IPv6 of the tunnel's device is not off: %q", mtu, have)
		}
	}
}

// A container's port stays on the bridge when the tunnel is made anew.
func TestNewTunnelLeavesPortsAlone(t *testing.T) {
	ownNet(t)
	k := open(t, "t", t.TempDir())
	apply(t, k, segment())
	sh(t, "ip link add c0 type veth peer name c0p; ip link set c0 master vxl0 up")
	want := segment()
	want.Links[0].Tunnel.VNI = 77
	converge(t, k, want, `
		~ link vxl0-vx: vni 42 -> 77 (made anew)
		+ sysctl net/ipv6/conf/vxl0-vx/disable_ipv6: 1
		+ fdb 00:00:00:00:00:00 dst 10.99.0.2 dev vxl0-vx
		+ fdb 00:00:00:00:00:00 dst 10.99.0.3 dev vxl0-vx
		+ fdb 6a:0b:00:00:00:09 dst 10.99.0.9 dev vxl0-vx`)
	if ports := sh(t, "ip -br link show master vxl0"); !strings.Contains(ports, "c0@") || !strings.Contains(ports, "vxl0-vx") {
		t.Fatalf("ports: %s", ports)
	}
}

// A link that was made and never raised (the agent was killed) is finished later.
func TestHalfMadeLinkIsOursAndFinished(t *testing.T) {
	ownNet(t)
	k := open(t, "t", t.TempDir())
	if err := k.ReadDevices(); err != nil {
		t.Fatal(err)
	}
	l := segment().Links[1]
	if err := link.NewLink(t.Context(), k.Host, l); err != nil {
		t.Fatal(err)
	}
	converge(t, k, &spec.Host{Cluster: "t", Links: []spec.Link{l}}, "~ link vxl0: state down -> up")
}

// A refusal says what the kernel says, and only the message it answers fails.
func TestRefusalsNameTheirMessage(t *testing.T) {
	ownNet(t)
	sh(t, "ip link add far type vxlan id 42 dstport 4789 local 10.99.0.1")
	k := open(t, "t", t.TempDir())
	if err := k.ReadDevices(); err != nil {
		t.Fatal(err)
	}
	l := segment().Links[0]
	l.Master = ""
	err := link.NewLink(t.Context(), k.Host, l)
	if want := "A VXLAN device with the specified VNI already exists"; err == nil || !strings.Contains(err.Error(), want) || !errors.Is(err, unix.EEXIST) {
		t.Fatalf("want %q, have %v", want, err)
	}
	bad, errBad := link.AddrMessage(k.Host, unix.RTM_DELADDR, spec.Addr{Link: "eth0", Prefix: prefix("10.1.1.1/24")})
	good, errGood := link.AddrMessage(k.Host, unix.RTM_NEWADDR, spec.Addr{Link: "eth0", Prefix: prefix("10.2.2.2/24")})
	if err := errors.Join(errBad, errGood); err != nil {
		t.Fatal(err)
	}
	answers, err := k.RT.Send(bad, good)
	if err != nil || answers[0] == nil || answers[1] != nil {
		t.Fatalf("answers %v, %v", answers, err)
	}
}
