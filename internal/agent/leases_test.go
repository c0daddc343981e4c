//go:build linux

package agent

import (
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/spec"
)

// The server that hands out from now on knows what the one before it gave.
func TestLeasesMoveWithDHCP(t *testing.T) {
	server := dhcpServer(t, 254)
	before, after := testServices(t, server), testServices(t, server)
	d := testDHCP()
	server.setDHCP(before, d)
	c1, c2 := container(t, server, "c1p"), container(t, server, "c2p")
	first := c1.lease("c1")["ip"]
	if leases, err := before.leaving(&spec.Host{DHCPs: []spec.DHCP{d}}); err != nil || len(leases) != 0 {
		t.Fatalf("leases of a network that stays: %v, %v", leases, err)
	}
	leases, err := before.leaving(&spec.Host{})
	if err != nil || leases["vx1"] == "" {
		t.Fatalf("leases: %v, %v", leases, err)
	}
	server.do(func() { err = before.removeDHCP(t.Context(), "vx1") })
	if err != nil {
		t.Fatal(err)
	}
	after.inherit("vx1", leases["vx1"])
	server.setDHCP(after, d)
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
	s, d := testServices(t, server), testDHCP()
	server.setDHCP(s, d)
	c1, c2 := container(t, server, "c1p"), container(t, server, "c2p")
	first := c1.lease("c1")["ip"]
	var err error
	server.do(func() { err = s.removeDHCP(t.Context(), "vx1") })
	if err != nil {
		t.Fatal(err)
	}
	server.setDHCP(s, d)
	if second := c2.lease("c2")["ip"]; second == first {
		t.Errorf("%s was given out twice", second)
	}
}

// A DHCP server that is gone for good takes its leases with it; the containers are
// asked for.
func TestLeasesOfTheDeadAreFound(t *testing.T) {
	server := dhcpServer(t, 254)
	s, d := testServices(t, server), testDHCP()
	c1, c2 := container(t, server, "c1p"), container(t, server, "c2p")
	c1.sh("ip addr add 10.0.4.2/24 dev eth0")
	before := &spec.Host{Links: []spec.Link{{Name: "vxl0", Network: "vx1"}}}
	want := &spec.Host{Links: before.Links, DHCPs: []spec.DHCP{d}}
	s.orphans(&spec.Host{}, want)
	if s.orphaned["vx1"] {
		t.Error("a new network is taken for an orphaned one")
	}
	s.orphans(before, want)
	server.setDHCP(s, d)
	if second := c2.lease("c2")["ip"]; second == "10.0.4.2" {
		t.Errorf("%s was given out, and is in use", second)
	}
	c1.sh("ip addr flush dev eth0")
	if again := c1.lease("c1")["ip"]; again != "10.0.4.2" {
		t.Errorf("c1's address: want 10.0.4.2, have %s", again)
	}
}

// What another server sent is read, not copied.
func TestLeasesInTakesLeasesOnly(t *testing.T) {
	const text = `1795300449 02:63:88:29:df:d9 10.0.4.16 c1 01:02:63:88:29:df:d9
1795300449 02:63:88:29:df:da 10.0.5.16 elsewhere *
1795300449 02:63:88:29:df:db 10.0.4.250 above *
soon 02:63:88:29:df:dc 10.0.4.17 c2 *
1795300449 mac 10.0.4.18 c3 *
1795300449 02:63:88:29:df:dd 10.0.4.19 c4
duid 00:01:00:01
1795300449 1234 fd00:4::77 c5 00:01
`
	const want = "1795300449 02:63:88:29:df:d9 10.0.4.16 c1 01:02:63:88:29:df:d9\n"
	if have := leasesIn(text, testDHCP().Ranges); want != have {
		t.Errorf("want %q, have %q", want, have)
	}
}
