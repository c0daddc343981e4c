//go:build linux

package nft

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/spec"
)

const (
	commonMAC  = "6a:0f:01:02:00:00"
	bridgeMAC1 = "6a:0b:01:02:00:01"
	bridgeMAC2 = "6a:0b:01:02:00:02"
)

// overlay is two servers with one VXLAN between them over a switch that also is
// the outside world, and a container on each.
type overlay struct {
	fabric     *host
	servers    [2]*host
	containers [2]*host
}

func newOverlay(t *testing.T) *overlay {
	o := &overlay{fabric: newHost(t)}
	o.fabric.Sh(`ip link add br0 type bridge; ip link set br0 up
		ip addr add 10.99.0.254/24 dev br0; ip addr add fd99::254/64 dev br0 nodad`)
	for i := range o.servers {
		s, c, n := newHost(t), newHost(t), i+1
		o.servers[i], o.containers[i] = s, c
		s.Join("eth0", o.fabric.Space, fmt.Sprint("p", n), "br0")
		s.Sh(fmt.Sprintf(`ip addr add 10.99.0.%[1]d/24 dev eth0; ip addr add fd99::%[1]d/64 dev eth0 nodad
			ip route add default via 10.99.0.254; ip route add default via fd99::254
			ip link add vxl0 address 6a:0b:01:02:00:0%[1]d mtu 1450 type bridge forward_delay 0
			ip link add vxl0-vx address 6a:0a:01:02:00:0%[1]d mtu 1450 type vxlan id 42 local 10.99.0.%[1]d dstport 4789
			ip link set vxl0-vx master vxl0; ip link set vxl0 up; ip link set vxl0-vx up
			ip addr add 10.0.4.25%[2]d/24 dev vxl0; ip addr add 10.0.4.1/32 dev vxl0
			ip addr add fd00:4::25%[2]d/64 dev vxl0 nodad; ip addr add fd00:4::1/128 dev vxl0 nodad preferred_lft 0
			bridge fdb append 00:00:00:00:00:00 dev vxl0-vx dst 10.99.0.%[3]d
			sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.conf.vxl0.arp_announce=2
			sysctl -qw net.ipv4.conf.vxl0.drop_unicast_in_l2_multicast=1 net.ipv6.conf.vxl0.drop_unicast_in_l2_multicast=1`, n, 5-n, 3-n))
		c.Join("eth0", s.Space, fmt.Sprint("c", n), "vxl0")
		c.Sh(fmt.Sprintf(`ip addr add 10.0.4.%d/24 dev eth0; ip route add default via 10.0.4.1
			ip addr add fd00:4::a%d/64 dev eth0 nodad; ip route add default via fd00:4::1`, n+1, n))
	}
	// What waits for the underlay's neighbours is on its way before rules are set.
	o.servers[0].Reaches("10.99.0.2")
	o.servers[1].Reaches("10.99.0.1")
	return o
}

// overlayHost is what server i (0, 1) of an overlay wants of nftables.
func overlayHost(i int) *spec.Host {
	subnet4, subnet6 := netip.MustParsePrefix("10.0.4.0/24"), netip.MustParsePrefix("fd00:4::/64")
	return &spec.Host{
		Cluster: "c1", Store: "x", Server: fmt.Sprint("s", i+1),
		Links: []spec.Link{
			{Name: "vxl0", Network: "vx1", Kind: spec.Bridge, MAC: []string{bridgeMAC1, bridgeMAC2}[i], MTU: 1450},
			{Name: "wg-vpx", Network: "vpx", Kind: spec.WireGuard},
			{Name: "vpl0-vx", Network: "vpx", Kind: spec.VXLAN, Tunnel: &spec.Tunnel{VNI: 77, Port: 4789, Local: netip.MustParseAddr("10.0.8.1")}},
		},
		Addrs: []spec.Addr{{Link: "wg-vpx", Prefix: netip.MustParsePrefix("10.0.8.1/24")}},
		Gateways: []spec.Gateway{{
			Network: "vx1", Bridge: "vxl0", Uplink: "vxl0-vx", MAC: commonMAC,
			RouterMACs: "6a:0b:01:02:00:00", RouterMask: "ff:ff:ff:ff:00:00",
			Subnets: []netip.Prefix{subnet4, subnet6},
			Addrs:   []netip.Addr{netip.MustParseAddr("10.0.4.1"), netip.MustParseAddr("fd00:4::1")},
		}},
		NATs: []spec.NAT{
			{Network: "vx1", Bridge: "vxl0", Subnet: subnet4, Except: []netip.Prefix{netip.MustParsePrefix("192.168.0.0/16"), netip.MustParsePrefix("fd77::/16")}},
			{Network: "vx1", Bridge: "vxl0", Subnet: subnet6},
		},
		Forwards: []spec.Forward{{Network: "vx1", Link: "vxl0"}},
	}
}

// put replaces and demands that nothing differs afterwards.
func put(h *host, want *spec.Host) {
	h.t.Helper()
	h.Do(func() {
		if err := newFilters(want.Cluster).Replace(want); err != nil {
			h.t.Errorf("replace: %v", err)
		}
	})
	if missing := differs(h, want); missing != "" {
		h.t.Fatalf("after replace:\n%s\n%s", missing, h.Sh("nft -a list ruleset"))
	}
}

// differs is what observe sees of nftables that is not as want has it, one
// object a line: "+" to be added, "-" to be removed.
func differs(h *host, want *spec.Host) string {
	h.t.Helper()
	have := &spec.Host{}
	h.Do(func() {
		if err := newFilters(want.Cluster).Observe(want, have); err != nil {
			h.t.Errorf("observe: %v", err)
		}
	})
	wanted := (&spec.Host{Gateways: want.Gateways, Guards: want.Guards, Doors: want.Doors, NATs: want.NATs, Keeps: want.Keeps, Forwards: want.Forwards}).Text()
	var out strings.Builder
	for line := range strings.Lines(wanted) {
		if !strings.Contains(have.Text(), line) {
			out.WriteString("+ " + line)
		}
	}
	for line := range strings.Lines(have.Text()) {
		if !strings.Contains(wanted, line) {
			out.WriteString("- " + line)
		}
	}
	return out.String()
}

func writtenOverlay(t *testing.T, change func(*spec.Host)) *overlay {
	t.Helper()
	o := newOverlay(t)
	for i, s := range o.servers {
		want := overlayHost(i)
		if change != nil {
			change(want)
		}
		put(s, want)
	}
	return o
}

func TestGatewayAnswersOnEveryServerWithOneMAC(t *testing.T) {
	o := writtenOverlay(t, nil)
	seen := o.servers[0].Watch("vxl0-vx", "", func() {
		for _, c := range o.containers {
			for _, gateway := range []string{"10.0.4.1", "fd00:4::1"} {
				c.Reaches(gateway)
				if neigh := c.Sh("ip neigh show " + gateway); !strings.Contains(neigh, commonMAC) {
					t.Errorf("container's neighbour %s: %s, want %s", gateway, neigh, commonMAC)
				}
			}
			c.Reaches("10.99.0.254")
			c.Reaches("fd99::254")
		}
		// A server that announces the gateway, as after a change of addresses.
		o.servers[1].Sh("busybox arping -q -U -c1 -w1 -I vxl0 -s 10.0.4.1 10.0.4.1 || true")
		o.containers[0].Sh("busybox arping -q -c1 -w1 -I eth0 10.0.4.1")
	})
	for _, word := range []string{"10.0.4.1 ", "10.0.4.1,", "fd00:4::1 ", "fd00:4::1,", commonMAC, "10.99.0.254", "fd99::254"} {
		if strings.Contains(seen, word) {
			t.Errorf("%q crossed the tunnel:\n%s", word, seen)
		}
	}
}

func TestContainersAndServersReachEachOther(t *testing.T) {
	o := writtenOverlay(t, nil)
	for i, c := range o.containers {
		for _, ip := range []string{"10.0.4.%d", "fd00:4::a%d"} {
			n := 2 - i
			if strings.HasPrefix(ip, "10.") {
				n++
			}
			c.Reaches(fmt.Sprintf(ip, n))
		}
		for _, own := range []string{"10.0.4.254", "10.0.4.253", "fd00:4::254", "fd00:4::253"} {
			c.Reaches(own)
		}
	}
	o.servers[0].Reaches("10.0.4.3")
	o.servers[0].Reaches("fd00:4::a2")
	o.servers[0].Reaches("10.0.4.253")
}

func TestContainersLeaveThroughTheirOwnServer(t *testing.T) {
	o := writtenOverlay(t, nil)
	c := o.containers[0]
	// Distant routers, as learned from a router advertisement of server 2 or set
	// by hand; then the gateway.
	for _, router := range []string{"10.0.4.253", "fe80::680b:1ff:fe02:2", "10.0.4.1", "fd00:4::1"} {
		target, from := "10.99.0.254", "10.99.0.1"
		if strings.Contains(router, ":") {
			target, from = "fd99::254", "fd99::1"
		}
		c.Sh("ip route replace default via " + router + " dev eth0")
		seen := o.fabric.Watch("br0", "icmp or icmp6", func() { c.Reaches(target) })
		if !strings.Contains(seen, from+" > "+target) {
			t.Errorf("via %s: no %s > %s in:\n%s", router, from, target, seen)
		}
	}
}

func TestExceptKeepsTheSource(t *testing.T) {
	o := writtenOverlay(t, nil)
	o.fabric.Sh("ip addr add 192.168.7.1/32 dev br0; ip route add 10.0.4.0/24 via 10.99.0.1")
	seen := o.fabric.Watch("br0", "icmp", func() { o.containers[0].Reaches("192.168.7.1") })
	if !strings.Contains(seen, "10.0.4.2 > 192.168.7.1") {
		t.Errorf("masqueraded towards an exception:\n%s", seen)
	}
}

// Of what leaves a subnet, only what goes to the destinations keeps its source.
func TestKeepKnowsDestinations(t *testing.T) {
	o := writtenOverlay(t, nil)
	want := overlayHost(0)
	want.Keeps = []spec.PreserveSource{{Network: "b", Subnet: netip.MustParsePrefix("10.0.4.0/24"), To: []netip.Prefix{netip.MustParsePrefix("172.16.8.1/32"), netip.MustParsePrefix("172.16.16.0/20")}}}
	put(o.servers[0], want)
	o.fabric.Sh("for a in 172.16.8.1 172.16.8.2 172.16.31.1 172.16.32.1; do ip addr add $a/32 dev br0; done; ip route add 10.0.4.0/24 via 10.99.0.1")
	for to, kept := range map[string]bool{"172.16.8.1": true, "172.16.8.2": false, "172.16.31.1": true, "172.16.32.1": false} {
		seen := o.fabric.Watch("br0", "icmp", func() { o.containers[0].Reaches(to) })
		if strings.Contains(seen, "10.0.4.2 > "+to) != kept {
			t.Errorf("to %s: want the source kept %v:\n%s", to, kept, seen)
		}
	}
	without := overlayHost(0)
	if d := differs(o.servers[0], without); !strings.Contains(d, "- keep 10.0.4.0/24 network b\n") {
		t.Errorf("what nobody wants is seen as %q", d)
	}
	put(o.servers[0], without)
}

func TestFilterDHCPKeepsDiscoveryHere(t *testing.T) {
	for _, filter := range []bool{false, true} {
		o := writtenOverlay(t, func(h *spec.Host) { h.Gateways[0].FilterDHCP = filter })
		for _, end := range []int{0, 1} {
			seen := o.servers[end].Watch("vxl0-vx", "udp port 67 or icmp6", func() {
				o.containers[0].Sh("busybox udhcpc -i eth0 -n -q -t1 -T1 -s /bin/true 2>/dev/null || true")
				o.containers[0].Sh("ip link set eth0 down; ip link set eth0 up") // solicits routers
			})
			if crossed := strings.Contains(seen, "DHCP, Request"); crossed == filter {
				t.Errorf("filter %v: DHCP crossed the tunnel: %v\n%s", filter, crossed, seen)
			}
			if filter && strings.Contains(seen, "router solicitation") {
				t.Errorf("router solicitation crossed the tunnel:\n%s", seen)
			}
		}
	}
}
