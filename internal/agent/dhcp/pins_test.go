//go:build linux

package dhcp

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/agent/names"
	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/spec"
)

// awaitName polls until name is at addr, "" for nowhere.
func (h *host) awaitName(name, addr string) {
	h.t.Helper()
	if addr == "" {
		addr = "NXDOMAIN"
	}
	poll(h.t, func() error {
		if have := h.lookup(name, "10.0.4.254"); !strings.HasSuffix(have, addr) {
			return fmt.Errorf("%s is %q, want %s", name, have, addr)
		}
		return nil
	})
}

// A container that asks for a name that another one has gets its lease without the
// name, also when dnsmasq is started anew, and when it goes to another server.
func TestNamesBelongToWhoHadThemFirst(t *testing.T) {
	server := dhcpServer(t, 254)
	s := testServer(t, server)
	d := testDHCP()
	server.Set(s, d)
	c1, c2 := container(t, server, "c1p"), container(t, server, "c2p")
	first := c1.lease("web")["ip"]
	c1.awaitName("web.vxapp", first)
	second := c2.lease("web")["ip"]
	c2.lease("WEB")
	c2.lease("web.vxapp")
	c1.awaitName("web.vxapp", first)
	c1.awaitName("web", first)

	again := d
	again.MTU = 1400 // another configuration: dnsmasq is started anew
	server.Set(s, again)
	c2.lease("web")
	c1.awaitName("web.vxapp", first)

	// It calls itself something else; then the name is free, and not before.
	c1.lease("shop")
	c1.awaitName("shop.vxapp", first)
	c1.awaitName("web.vxapp", "")
	c2.lease("shop")
	c2.lease("web")
	c2.awaitName("web.vxapp", second)
	c2.awaitName("shop.vxapp", first)

	// A lease that ends takes its name with it.
	c1.sh(`log=$(mktemp); trap 'rm -f $log' EXIT
		busybox udhcpc -i eth0 -f -R -x hostname:shop -s /bin/true >$log 2>&1 & client=$!
		until grep -q obtained $log; do :; done
		kill $client; wait $client || true`)
	c2.awaitName("shop.vxapp", "")
	c2.lease("shop")
	c2.awaitName("shop.vxapp", second)
}

func TestReservedNamesAreNeverGiven(t *testing.T) {
	server := dhcpServer(t, 254)
	s := testServer(t, server)
	server.Set(s, testDHCP())
	c := container(t, server, "c1p")
	for _, name := range append(names.Reserved(), "WPAD", "wpad.vxapp", "Gateway.vxapp") {
		c.lease(name)
		base, _, _ := strings.Cut(name, ".")
		c.awaitName(base+".vxapp", "")
	}
	// One that has a name already cannot turn it into such a one either; nor into a server's.
	addr := c.lease("honest")["ip"]
	c.awaitName("honest.vxapp", addr)
	c.lease("wpad")
	c.lease("S1")
	c.awaitName("wpad.vxapp", "")
	c.awaitName("s1.vxapp", "10.0.4.254")
	c.lease("wpad2")
	c.awaitName("wpad2.vxapp", addr)

	// A server that joins has its name, whoever was called so before.
	d := testDHCP()
	d.Hosts = append(d.Hosts, spec.HostName{Name: "wpad2", Addr: addrs("10.0.4.253")[0]})
	server.Set(s, d)
	c.awaitName("wpad2.vxapp", "10.0.4.253")
}

// What is written down goes with the network, and what is damaged is written anew.
func TestNamesAreRebuiltFromLeases(t *testing.T) {
	s := serverIn(t.TempDir())
	d := testDHCP()
	p := s.process(leaf, d.Network)
	leases := `1700000000 02:00:00:00:00:01 10.0.4.2 web *
1700000000 02:00:00:00:00:02 10.0.4.3 WEB *
1700000000 02:00:00:00:00:03 10.0.4.4 * *
1700000000 02:00:00:00:00:04 10.0.4.5 wpad *
1700000000 02:00:00:00:00:05 10.0.4.6 s1 *
1700000000 02:00:00:00:00:06 10.0.4.7 $(reboot) *
1700000000 02:00:00:00:00:07 10.0.4.8 db-1 *
`
	want := map[string]string{"10.0.4.2": "10.0.4.2 web.vxapp web\n", "10.0.4.8": "10.0.4.8 db-1.vxapp db-1\n"}
	if err := os.MkdirAll(p.Names, 0o755); err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{
		p.Leases: leases, filepath.Join(p.Names, "10.0.4.2"): "damaged", filepath.Join(p.Names, ".10.0.4.9"): "left over", filepath.Join(p.Names, "10.0.4.3"): "10.0.4.3 web.vxapp web\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.pinNames(d); err != nil {
		t.Fatal(err)
	}
	names, err := sysfile.Names(p.Names)
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]string{}
	for _, addr := range names {
		text, err := os.ReadFile(filepath.Join(p.Names, addr))
		if err != nil {
			t.Fatal(err)
		}
		have[addr] = string(text)
	}
	if !maps.Equal(want, have) {
		t.Errorf("want %v, have %v", want, have)
	}
	if err := s.removeProcess(context.Background(), p); err != nil {
		t.Fatal(err)
	}
	if left, err := s.files(); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}
