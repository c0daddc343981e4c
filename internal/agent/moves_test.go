//go:build linux

package agent

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/spec"
)

// moving is a bridge that has what stood on a device of others.
func moving(dev string) *spec.Host {
	h := wired(dev)
	h.Links[0].MAC, h.Links[1].Moves = "", true
	return h
}

// standing is what stands on a device, in the kernel's order, called DEV.
func standing(t *testing.T, dev string) string {
	t.Helper()
	text := sh(t, "{ ip addr show dev "+dev+" | grep -A1 inet | grep -v '^--' | sed '/fe80/,+1d'; ip -4 route show table all dev "+dev+" | grep -v 'table local'; "+
		"ip -6 route show table all dev "+dev+" | grep -v 'table local\\|fe80::/64\\|multicast'; } || true")
	text = regexp.MustCompile(`[0-9]+sec`).ReplaceAllString(text, "SECONDS")
	return strings.ReplaceAll(text, dev, "DEV")
}

const laden = `
	ip link add p1 type veth peer name p1-far; ip link set p1-far up
	sysctl -qw net.ipv6.conf.p1.accept_dad=0; ip link set p1 address 02:00:00:00:00:07 up
	ip addr add 10.7.0.9/24 dev p1; ip addr add 10.7.0.2/24 dev p1 label p1:b; ip addr add 10.7.0.1/24 dev p1
	ip addr add 10.8.0.1 peer 10.8.0.2/32 dev p1 noprefixroute; ip addr add 203.0.113.7/32 dev p1
	ip -6 addr add fd07::9/64 dev p1; ip -6 addr add fd07::1/64 dev p1 nodad; ip -6 addr add fd08::1/64 dev p1 noprefixroute valid_lft 5000 preferred_lft 4000
	end=$(($(date +%s) + 30)); while ip -6 addr show dev p1 | grep -q tentative && [ $(date +%s) -lt $end ]; do :; done
	ip route add default via 10.7.0.254 dev p1 metric 50 proto static
	ip route add default via 10.7.0.253 dev p1 metric 60 src 10.7.0.2 mtu 1300
	ip route add 10.20.0.0/16 via 10.99.9.9 dev p1 onlink proto dhcp
	ip route add 10.21.0.0/16 dev p1 table 100
	ip route add 10.8.0.2 dev p1 proto kernel scope link metric 100
	ip -6 route add default via fd07::fe dev p1 metric 50 proto static; ip -6 route add default via fe80::fe dev p1 metric 512
	ip -6 route add fd20::/64 via fd07::fe dev p1 metric 77 mtu 1300; ip -6 route add fd21::/64 dev p1 table 100`

// TestAddressesMove: addresses with all that the kernel knows of them, and every route by
// them, in their order; and back, also when only the bridge's name changes.
func TestAddressesMove(t *testing.T) {
	ownNet(t)
	sh(t, laden)
	sh(t, "ip route add 10.22.0.0/16 nexthop via 10.7.0.254 dev p1 weight 2 nexthop via 10.99.0.254 dev eth0")
	hops := sh(t, "ip route show 10.22.0.0/16")
	found := standing(t, "p1")
	k := open(t, "t", t.TempDir())
	before := plan(t, k, moving("p1"))
	for _, part := range []string{"+ link p1: port master br0 moves network br1, to br0 move 10.7.0.9/24, ", "fd07::1/64", "default via 10.7.0.254 metric 50", "10.21.0.0/16 table 100", "fd20::/64 via fd07::fe metric 77"} {
		if !strings.Contains(before, part) {
			t.Errorf("the plan lacks %q:\n%s", part, before)
		}
	}
	apply(t, k, moving("p1"))
	check := func(dev string) {
		t.Helper()
		if have := standing(t, dev); have != found {
			t.Errorf("want\n%shave\n%s", found, have)
		}
		if have := strings.ReplaceAll(sh(t, "ip route show 10.22.0.0/16"), "dev "+dev+" ", "dev p1 "); have != hops {
			t.Errorf("want\n%shave\n%s", hops, have)
		}
	}
	check("br0")
	if left := standing(t, "p1"); strings.TrimSpace(left) != "" {
		t.Errorf("left behind:\n%s", left)
	}
	if mac := sh(t, "ip -o link show br0"); !strings.Contains(mac, "link/ether 02:00:00:00:00:07 ") {
		t.Error(mac)
	}

	// Who set them may do it again; a bridge may be told to have another MAC, or name.
	sh(t, "ip addr add 10.7.0.9/24 dev p1; ip route append default via 10.7.0.254 dev p1 metric 50 proto static")
	if have := plan(t, k, moving("p1")); !strings.HasPrefix(have, "~ link p1: addresses its own -> of its bridge, to br0 move 10.7.0.9/24, ") {
		t.Error(have)
	}
	apply(t, k, moving("p1"))
	check("br0")
	sh(t, "ip link set br0 address 02:00:00:00:00:08")
	apply(t, k, moving("p1"))
	check("br0")
	other := moving("p1")
	other.Links[0].Name, other.Links[1].Master = "br5", "br5"
	apply(t, k, other)
	check("br5")
	sh(t, "ip link set p1 nomaster") // what is on the bridge stays there
	apply(t, k, other)
	check("br5")
	sh(t, "ip link set p1 nomaster")
	apply(t, k, &spec.Host{Cluster: "t"})
	check("p1")
	apply(t, k, moving("p1"))
	if have := plan(t, k, &spec.Host{Cluster: "t"}); !strings.HasPrefix(have, "- link p1: 10.7.0.9/24, ") || !strings.Contains(have, " come back to it\n- link br0\n") {
		t.Error(have)
	}
	apply(t, k, &spec.Host{Cluster: "t"})
	check("p1")
}

// TestWhatStaysWhereItIs is refused before anything is touched, with the reason.
func TestWhatStaysWhereItIs(t *testing.T) {
	ownNet(t)
	sh(t, laden+`
		ip link add p2 type veth peer name p2-far; ip link set p2 up; ip addr add 10.9.0.1/24 dev p2 valid_lft 3000 preferred_lft 3000
		ip link add p3 type veth peer name p3-far; ip link set p3 up; ip addr add 10.10.0.1/24 dev p3
		ip link add p4 type veth peer name p4-far; sysctl -qw net.ipv6.conf.p4.accept_ra=0; ip link set p4 up; ip -6 addr add fd11::1/64 dev p4 valid_lft 3000 preferred_lft 3000
		ip link add p5 type veth peer name p5-far; ip link set p5 up; ip addr add 10.12.0.1/24 dev p5`)
	k := open(t, "t", t.TempDir())
	k.Paths.NMRun, k.Paths.Netif = t.TempDir(), filepath.Join(t.TempDir(), "state")
	manage := func(dir, dev, text string) {
		t.Helper()
		index := strings.TrimSpace(sh(t, "ip -o link show "+dev+" | cut -d: -f1"))
		if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, index), []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	manage(filepath.Join(k.Paths.NMRun, "devices"), "p3", "[device]\nmanaged=true\n")
	manage(filepath.Join(filepath.Dir(k.Paths.Netif), "links"), "p4", "ADMIN_STATE=configured\n")
	manage(filepath.Join(filepath.Dir(k.Paths.Netif), "links"), "p5", "ADMIN_STATE=configured\n")
	for dev, why := range map[string]string{
		"p2": "10.9.0.1/24 is a lease, which a DHCP client renews on p2 and nowhere else",
		"p3": "NetworkManager has it, and would put its addresses back",
		"p4": "fd11::1/64 is a lease, which systemd-networkd renews on p4 and nowhere else",
	} {
		p, err := k.Plan(t.Context(), moving(dev))
		if err != nil {
			t.Fatal(err)
		}
		if want := dev + " cannot be a port of network br1: " + why; len(p.Problems) != 1 || p.Problems[0].What != want || p.Problems[0].Next == "" {
			t.Errorf("want %q, have %+v", want, p.Problems)
		}
	}
	if have := plan(t, k, moving("p5")); !strings.Contains(have, ", to br0 move 10.12.0.1/24; systemd-networkd sets them on p5 at boot, and flock moves them then") {
		t.Error(have)
	}

	// What is on the bridge would be cut off with a port that moves nothing.
	apply(t, k, moving("p1"))
	p, err := k.Plan(t.Context(), wired("p1"))
	if err != nil || len(p.Problems) != 1 || !strings.Contains(p.Problems[0].What, "its addresses are on br0") {
		t.Errorf("%v, %+v", err, p)
	}
	// The way back to such a one, which had no addresses, brings them to it.
	found := standing(t, "br0")
	if _, err := Reconcile(t.Context(), k, wired("p1"), nil); err != nil {
		t.Fatal(err)
	}
	if have := standing(t, "p1"); have != found || plan(t, k, wired("p1")) != "" {
		t.Errorf("want\n%shave\n%s%s", found, have, plan(t, k, wired("p1")))
	}
	apply(t, k, &spec.Host{Cluster: "t"})

	// A way that flock cannot write anew: nothing is moved, and what was begun goes.
	sh(t, "ip nexthop add id 7 via 10.7.0.254 dev p1; ip route add 10.23.0.0/16 nhid 7")
	if _, err := Reconcile(t.Context(), k, moving("p1"), nil); err == nil || !strings.Contains(err.Error(), "nexthop object") {
		t.Error(err)
	}
	sh(t, "ip route del 10.23.0.0/16; ip nexthop del id 7")
	if have := standing(t, "p1"); have != found {
		t.Errorf("want\n%shave\n%s", found, have)
	}

	// One that was killed between what comes and what goes is followed by the way back.
	apply(t, k, moving("p1"))
	sh(t, "ip addr add 10.7.0.9/24 dev p1; ip route append default via 10.7.0.254 dev p1 metric 50 proto static")
	apply(t, k, &spec.Host{Cluster: "t"})
	if have := standing(t, "p1"); sortedLines(have) != sortedLines(found) {
		t.Errorf("want\n%shave\n%s", found, have)
	}
}
