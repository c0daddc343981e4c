//go:build linux

package dhcp

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/spec"
)

// The server that hands out from now on knows what the one before it gave.
func TestLeasesMoveWithDHCP(t *testing.T) {
	server := dhcpServer(t, 254)
	before, after := testServer(t, server), testServer(t, server)
	d := testDHCP()
	server.Set(before, d)
	c1, c2 := container(t, server, "c1p"), container(t, server, "c2p")
	first := c1.lease("c1")["ip"]
	if leases, err := before.Leaving(&spec.Host{DHCPs: []spec.DHCP{d}}); err != nil || len(leases) != 0 {
		t.Fatalf("leases of a network that stays: %v, %v", leases, err)
	}
	dealt := func(at time.Time) bool {
		t.Helper()
		list, err := before.Leased(at)
		if err != nil || len(list) > 1 {
			t.Fatalf("leased: %v, %v", list, err)
		}
		for _, addrs := range list {
			return len(addrs) == 1 && addrs[0].String() == first
		}
		return false
	}
	if !dealt(time.Now()) || dealt(time.Now().Add(1e6*time.Hour)) {
		t.Errorf("want %s, until it ends", first)
	}
	leases, err := before.Leaving(&spec.Host{})
	if err != nil || leases["vx1"] == "" {
		t.Fatalf("leases: %v, %v", leases, err)
	}
	server.do(func() { err = before.Remove(t.Context(), "vx1") })
	if err != nil {
		t.Fatal(err)
	}
	after.Inherit("vx1", leases["vx1"])
	server.Set(after, d)
	if second := c2.lease("c2")["ip"]; second == first {
		t.Errorf("%s was given out twice", second)
	}
	if have := c2.lookup("c1.vxapp", "10.0.4.254"); !strings.Contains(have, first) {
		t.Errorf("c1.vxapp: want %s, have %q", first, have)
	}
	if again := c1.lease("c1")["ip"]; again != first {
		t.Errorf("c1's address: want %s, have %s", first, again)
	}
}

// An undo brings a dnsmasq back with its leases.
func TestLeasesComeBack(t *testing.T) {
	server := dhcpServer(t, 254)
	s, d := testServer(t, server), testDHCP()
	server.Set(s, d)
	c1, c2 := container(t, server, "c1p"), container(t, server, "c2p")
	first := c1.lease("c1")["ip"]
	var err error
	server.do(func() { err = s.Remove(t.Context(), "vx1") })
	if err != nil {
		t.Fatal(err)
	}
	server.Set(s, d)
	if second := c2.lease("c2")["ip"]; second == first {
		t.Errorf("%s was given out twice", second)
	}
}

// A DHCP server that is gone for good takes its leases with it; the containers are
// asked for.
func TestLeasesOfTheDeadAreFound(t *testing.T) {
	server := dhcpServer(t, 254)
	s, d := testServer(t, server), testDHCP()
	c1, c2 := container(t, server, "c1p"), container(t, server, "c2p")
	c1.sh("ip addr add 10.0.4.2/24 dev eth0")
	server.Set(s, d)
	if second := c2.lease("c2")["ip"]; second == "10.0.4.2" {
		t.Errorf("%s was given out, and is in use", second)
	}
	c1.sh("ip addr flush dev eth0")
	if again := c1.lease("c1")["ip"]; again != "10.0.4.2" {
		t.Errorf("c1's address: want 10.0.4.2, have %s", again)
	}
}

// Whatever empties the lease file, the next start asks who is there; a network that
// is new asks nobody. What a server is dealt later may be in use, too.
func TestLeasesAreLookedForWhereverTheyLack(t *testing.T) {
	server := dhcpServer(t, 254)
	s, d := testServer(t, server), testDHCP()
	leases := s.process(leaf, "vx1").Leases
	has := func(addr string) bool {
		text, err := sysfile.ReadIfThere(leases)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(text, " "+addr+" ")
	}
	c1 := container(t, server, "c1p")
	c1.sh("ip addr add 10.0.4.5/24 dev eth0; ip addr add 10.0.4.100/24 dev eth0")
	d.Ranges[0].Last = netip.MustParseAddr("10.0.4.63")
	s.Untouched = []string{"vx1"}
	server.Set(s, d)
	if has("10.0.4.5") {
		t.Error("a new network asks around")
	}
	s.Untouched = nil
	for name, damage := range map[string]string{
		"emptied and stopped": "kill -9 $(cat " + s.process(leaf, "vx1").PIDFile + "); : >" + leases,
		"lost with its files": "kill -9 $(cat " + s.process(leaf, "vx1").PIDFile + "); rm -f " + leases + " " + s.process(leaf, "vx1").Hosts,
	} {
		server.sh(damage)
		poll(t, func() error { // its arguments go before its sockets do
			if s.process(leaf, "vx1").pid() != 0 || server.sh("ss -Hlntu 'sport = :53'") != "" {
				return fmt.Errorf("%s: dnsmasq runs on", name)
			}
			return nil
		})
		server.Set(s, d)
		if !has("10.0.4.5") || has("10.0.4.100") {
			t.Errorf("%s: 10.0.4.5 is known: %v, 10.0.4.100: %v", name, has("10.0.4.5"), has("10.0.4.100"))
		}
	}
	first := container(t, server, "c2p").lease("c2")["ip"]
	d.Ranges[0].Last = netip.MustParseAddr("10.0.4.127")
	server.Set(s, d)
	for _, addr := range []string{"10.0.4.5", "10.0.4.100", first} {
		if !has(addr) {
			t.Errorf("after more was dealt, %s is not known", addr)
		}
	}
}

// Leases of IPv6 move, and with them the id that clients renew at.
func TestLeasesMoveWithDHCPv6(t *testing.T) {
	server := newHost(t)
	server.sh(`ip link add vxl0 mtu 1450 type bridge; ip addr add fd00:4::fe/112 dev vxl0 nodad
		ip link set vxl0 up; ip link add port type veth peer name wire; ip link set wire up; ip link set port master vxl0 up`)
	server.awaitCarrier("vxl0")
	before, after := testServer(t, server), testServer(t, server)
	d := testDHCP()
	d.Listen, d.DNS, d.Router = addrs("fd00:4::fe"), addrs("fd00:4::fe"), netip.Addr{}
	d.Ranges = []spec.Range{{First: netip.MustParseAddr("fd00:4::10"), Last: netip.MustParseAddr("fd00:4::20"), Subnet: netip.MustParsePrefix("fd00:4::/112")}}
	server.Set(before, d)
	c := container(t, server, "c1p")
	c.awaitLinkLocal("eth0")
	first, id := c.rapid(1)
	var leases map[string]string
	var err error
	poll(t, func() error { // dnsmasq answers first and writes then
		if leases, err = before.Leaving(&spec.Host{}); err == nil && !strings.Contains(leases["vx1"], first) {
			err = fmt.Errorf("leases: %v", leases)
		}
		return err
	})
	server.do(func() { err = before.Remove(t.Context(), "vx1") })
	if err != nil {
		t.Fatal(err)
	}
	after.Inherit("vx1", leases["vx1"])
	server.Set(after, d)
	if second, _ := c.rapid(2); second == first {
		t.Errorf("%s was given out twice", second)
	}
	if again, now := c.rapid(1); again != first || now != id {
		t.Errorf("client 1 has %s of server %s, before %s of %s", again, now, first, id)
	}
}
