//go:build linux

package dhcp

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/agent/unit"
	"github.com/flocknet/flock/internal/spec"
)

// testServer keeps its files in a directory that nobody, as whom dnsmasq runs,
// can enter, and ends what it started.
func testServer(t testing.TB, h *host) *Server {
	t.Helper()
	dir, err := os.MkdirTemp("", "flock-dhcp-") //nolint:usetesting // nobody cannot enter t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	s := serverIn(dir)
	t.Cleanup(func() {
		networks, err := s.networks()
		if err != nil {
			t.Error(err)
		}
		for _, n := range networks {
			h.do(func() { err = s.Remove(context.Background(), n) })
			if err != nil {
				t.Error(err)
			}
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return s
}

func serverIn(dir string) *Server {
	run := filepath.Join(dir, "run", "test.d")
	return New("test", filepath.Join(dir, "lib", "test"), run, unit.New("test", filepath.Join(dir, "units"), filepath.Join(dir, "systemd"), run))
}

func addrs(list ...string) []netip.Addr {
	var out []netip.Addr
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

func testDHCP() spec.DHCP {
	return spec.DHCP{
		Network: "vx1", Bridge: "vxl0", Domain: "vxapp", MTU: 1450,
		Listen: addrs("10.0.4.254", "fd00:4::2"), DNS: addrs("10.0.4.254", "fd00:4::2"), Router: netip.MustParseAddr("10.0.4.1"),
		Ranges: []spec.Range{
			{First: netip.MustParseAddr("10.0.4.2"), Last: netip.MustParseAddr("10.0.4.190"), Subnet: netip.MustParsePrefix("10.0.4.0/24")},
			{First: netip.MustParseAddr("fd00:4::"), Last: netip.MustParseAddr("fd00:4::"), Subnet: netip.MustParsePrefix("fd00:4::/64")},
		},
		Hosts: []spec.HostName{{Name: "s1", Addr: netip.MustParseAddr("10.0.4.254")}},
	}
}

// dhcpServer is a server with the bridge of testDHCP, own the last byte of its own
// address.
func dhcpServer(t *testing.T, own int) *host {
	h := newHost(t)
	h.sh(fmt.Sprintf(`ip link add vxl0 address 6a:0b:00:00:00:%02x mtu 1450 type bridge
		ip addr add 10.0.4.%d/24 dev vxl0; ip addr add 10.0.4.1/32 dev vxl0
		ip addr add fd00:4::%x/64 dev vxl0 nodad; ip link set vxl0 up
		ip link add port type veth peer name wire; ip link set wire up; ip link set port master vxl0 up`, own, own, 256-own))
	h.awaitCarrier("vxl0")
	return h
}

func (h *host) Set(s *Server, d spec.DHCP) {
	h.t.Helper()
	h.t.(*testing.T).Setenv(testDir, filepath.Dir(filepath.Dir(s.has.Dir))) // of the daemons that are started
	var err error
	h.do(func() { err = s.Set(context.Background(), d) })
	if err != nil {
		h.t.Fatal(err)
	}
	if have := h.seen(s, d); len(have) != 1 || have[0].String() != d.String() {
		h.t.Fatalf("after set: want %v, have %v", d, have)
	}
}

func (h *host) seen(s *Server, want ...spec.DHCP) []spec.DHCP {
	h.t.Helper()
	have := &spec.Host{}
	var err error
	h.do(func() { err = s.Observe(context.Background(), &spec.Host{DHCPs: want}, have) })
	if err != nil {
		h.t.Fatal(err)
	}
	return have.DHCPs
}

// lease asks for an address as container and returns what the client was told.
func (h *host) lease(container string) map[string]string {
	h.t.Helper()
	out := h.sh(`script=$(mktemp); trap 'rm -f $script' EXIT
		printf '#!/bin/sh\n[ "$1" = bound ] && env\ntrue\n' >$script; chmod +x $script
		busybox udhcpc -i eth0 -n -q -f -t 5 -T 1 -s $script -x hostname:` + container + ` 2>&1`)
	told := map[string]string{}
	for line := range strings.Lines(out) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			told[k] = v
		}
	}
	if told["ip"] == "" {
		h.t.Fatalf("no lease:\n%s", out)
	}
	h.sh("ip addr replace " + told["ip"] + "/" + told["mask"] + " dev eth0")
	return told
}

// lookup returns what server says of name within a second.
func (h *host) lookup(name, server string) string {
	out, _ := h.try("timeout 1 busybox nslookup -type=a " + name + " " + server + " 2>&1")
	_, answer, _ := strings.Cut(out, "\n\n")
	return strings.Join(strings.Fields(answer), " ")
}

func container(t *testing.T, on *host, port string) *host {
	c := newHost(t)
	c.join("eth0", on, port, "vxl0")
	c.awaitCarrier("eth0")
	return c
}

func TestDHCPServesABridge(t *testing.T) {
	server := dhcpServer(t, 254)
	s := testServer(t, server)
	server.Set(s, testDHCP())
	c1 := container(t, server, "c1p")

	begin := time.Now()
	told := c1.lease("c1")
	if took := time.Since(begin); took > time.Second {
		t.Errorf("the lease took %v", took)
	}
	for k, want := range map[string]string{
		"ip": "10.0.4.2", "mask": "24", "router": "10.0.4.1", "dns": "10.0.4.254", "mtu": "1450", "domain": "vxapp", "serverid": "10.0.4.254",
	} {
		if have := told[k]; have != want {
			t.Errorf("%s: want %q, have %q", k, want, have)
		}
	}
	for name, want := range map[string]string{"c1.vxapp": "10.0.4.2", "c1": "10.0.4.2", "s1.vxapp": "10.0.4.254", "nobody.vxapp": "NXDOMAIN"} {
		if have := c1.lookup(name, "10.0.4.254"); !strings.Contains(have, want) {
			t.Errorf("%s: want %s, have %q", name, want, have)
		}
	}
	c1.router("fd00:4::")
}

// router checks that a router advertisement gives an address in prefix and the MTU.
func (h *host) router(prefix string) {
	h.t.Helper()
	h.sh("sysctl -qw net.ipv6.conf.eth0.accept_ra=2; ip link set eth0 down; ip link set eth0 up")
	deadline := time.Now().Add(5 * time.Second)
	for {
		out := h.sh("ip -6 addr show dev eth0 scope global; cat /proc/sys/net/ipv6/conf/eth0/mtu; ip -6 route show default")
		if strings.Contains(out, prefix) && strings.Contains(out, "1450") && strings.Contains(out, "default via fe80::") {
			return
		}
		if time.Now().After(deadline) {
			h.t.Fatalf("no address by router advertisement:\n%s", out)
		}
		h.sh("ping -6 -n -c1 -W0.1 ff02::2%eth0 >/dev/null || true")
	}
}

// Containers made from one image have one client id; leases go by MAC.
func TestDHCPLeasesGoByMAC(t *testing.T) {
	server := dhcpServer(t, 254)
	s := testServer(t, server)
	server.Set(s, testDHCP())
	c1, c2 := container(t, server, "c1p"), container(t, server, "c2p")
	const clone = "one -x 0x3d:ff00112233" // option 61
	first := c1.lease(clone)["ip"]
	if second := c2.lease(clone)["ip"]; second == first {
		t.Errorf("%s was given to both", first)
	}
	if again := c1.lease(clone)["ip"]; again != first {
		t.Errorf("c1 got %s, then %s", first, again)
	}
}

func TestDHCPKeepsLeasesAndReadsNames(t *testing.T) {
	server := dhcpServer(t, 254)
	s := testServer(t, server)
	d := testDHCP()
	server.Set(s, d)
	c1, c2 := container(t, server, "c1p"), container(t, server, "c2p")
	first := c1.lease("c1")["ip"]
	pid := s.process(leaf, "vx1").pid()

	d.Hosts = append(d.Hosts, spec.HostName{Name: "s2", Addr: netip.MustParseAddr("10.0.4.253")})
	if have := server.seen(s, d); len(have) != 1 || len(have[0].Hosts) != 1 {
		t.Errorf("before the new name: have %v", have)
	}
	server.Set(s, d)
	if now := s.process(leaf, "vx1").pid(); now != pid {
		t.Errorf("a new name restarted dnsmasq: pid %d, then %d", pid, now)
	}
	poll(t, func() error {
		if have := c1.lookup("s2.vxapp", "10.0.4.254"); !strings.Contains(have, "10.0.4.253") {
			return fmt.Errorf("s2.vxapp: %q", have)
		}
		return nil
	})

	d.MTU = 1400
	server.Set(s, d)
	if now := s.process(leaf, "vx1").pid(); now == pid {
		t.Error("another MTU left dnsmasq as it was")
	}
	if have := c2.lookup("c1.vxapp", "10.0.4.254"); have != "" && !strings.Contains(have, first) {
		t.Errorf("after a restart: c1.vxapp is %q", have)
	}
	if second := c2.lease("c2")["ip"]; second == first {
		t.Errorf("%s was given out twice", second)
	}
	if again := c1.lease("c1"); again["ip"] != first || again["mtu"] != "1400" {
		t.Errorf("after a restart c1 got %s, MTU %s; before %s", again["ip"], again["mtu"], first)
	}
}

// Whatever is touched, dnsmasq's part is seen as different and comes back.
func TestDHCPDrift(t *testing.T) {
	server := dhcpServer(t, 254)
	s := testServer(t, server)
	d := testDHCP()
	server.Set(s, d)
	p := s.process(leaf, "vx1")
	for name, damage := range map[string]string{
		"conf":   "echo port=54 >>" + p.Conf,
		"hosts":  "rm " + p.Hosts,
		"killed": "pid=$(cat " + p.PIDFile + "); kill -9 $pid; while test -e /proc/$pid; do busybox usleep 1000; done",
		"record": "rm " + p.Record,
		"bridge": "ip link del vxl0; ip link add vxl0 type bridge; ip addr add 10.0.4.254/24 dev vxl0; ip link set vxl0 up",
	} {
		server.sh(damage)
		poll(t, func() error {
			if have := server.seen(s, d); len(have) == 1 && have[0].String() == d.String() {
				return fmt.Errorf("%s: nothing is seen of the damage", name)
			}
			return nil
		})
		server.Set(s, d)
	}
	container(t, server, "c1p").lease("c1")
	if files, err := s.Remains(); err != nil || len(files) == 0 {
		t.Errorf("%q stay, %v", files, err)
	}
	var err error
	server.do(func() { err = s.Remove(context.Background(), "vx1") })
	if err != nil {
		t.Fatal(err)
	}
	if files, err := s.Remains(); err != nil || len(files) != 0 {
		t.Errorf("after removal: %q, %v", files, err)
	}
	if have := server.seen(s); len(have) != 0 {
		t.Errorf("after removal: have %v", have)
	}
}

// Nobody outside of the bridge gets an answer, by either protocol and family, though
// the addresses are on this host; containers and the host itself do.
func TestDHCPIsNoOpenResolver(t *testing.T) {
	server := dhcpServer(t, 254)
	s := testServer(t, server)
	server.Set(s, testDHCP())
	outside := newHost(t)
	server.sh(`ip link add under type bridge; ip addr add 192.0.2.1/24 dev under; ip addr add 2001:db8::1/64 dev under nodad; ip link set under up
		ip addr add fd00:4::1/128 dev vxl0 nodad`)
	outside.join("eth0", server, "outp", "under")
	outside.sh(`ip addr add 192.0.2.9/24 dev eth0; ip route add 10.0.4.0/24 via 192.0.2.1
		ip addr add 2001:db8::9/64 dev eth0 nodad; ip route add fd00:4::/64 via 2001:db8::1`)
	inside := container(t, server, "c1p")
	inside.sh("ip addr add 10.0.4.77/24 dev eth0; ip addr add fd00:4::77/64 dev eth0 nodad")
	for _, addr := range []string{"10.0.4.254", "10.0.4.1", "fd00:4::2", "fd00:4::1"} {
		outside.reaches(addr)
		for _, network := range []string{"udp", "tcp"} {
			if outside.answered(network, addr, soon) {
				t.Errorf("dnsmasq answers strangers at %s over %s", addr, network)
			}
			if !inside.answered(network, addr, atLast) {
				t.Errorf("dnsmasq does not answer a container at %s over %s", addr, network)
			}
			if !server.answered(network, addr, atLast) {
				t.Errorf("dnsmasq does not answer its own server at %s over %s", addr, network)
			}
		}
	}
	if outside.answered("udp", "192.0.2.1", soon) || outside.answered("tcp", "2001:db8::1", soon) {
		t.Error("dnsmasq serves addresses of the underlay")
	}
}

// How long an answer is waited for that must not come, and one that must, on a busy machine.
const (
	soon   = 500 * time.Millisecond
	atLast = 20 * time.Second
)

// answered says whether server tells the address of s1.vxapp in time.
func (h *host) answered(network, server string, within time.Duration) bool {
	r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (c net.Conn, err error) {
		h.do(func() { c, err = (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort(server, "53")) })
		return c, err
	}}
	ctx, cancel := context.WithTimeout(h.t.Context(), within)
	defer cancel()
	list, err := r.LookupHost(ctx, "s1.vxapp.")
	return err == nil && len(list) == 1 && list[0] == "10.0.4.254"
}

// Two servers, each with the leases of its own containers: any name is found from
// anywhere, at the gateway's address.
func TestDHCPDistributed(t *testing.T) {
	s1, s2 := dhcpServer(t, 254), dhcpServer(t, 253)
	s1.join("tunnel", s2, "tunnel2", "vxl0")
	s1.sh("ip link set tunnel master vxl0")
	s2.sh("ip link set tunnel2 down; ip link set tunnel2 name tunnel up")
	// The gateway's address is on both: nothing of it crosses.
	for _, h := range []*host{s1, s2} {
		h.sh(`nft -f - <<-END
			table bridge t {
				chain in {
					type filter hook prerouting priority 0;
					iifname tunnel arp daddr ip 10.0.4.1 drop
					iifname tunnel udp dport { 67, 68 } drop
				}
			}
			END`)
	}
	d := func(own, peer, first string) spec.DHCP {
		d := testDHCP()
		d.Listen, d.DNS, d.Peers = addrs(own, "10.0.4.1"), addrs("10.0.4.1"), addrs(peer)
		a := netip.MustParseAddr(first)
		d.Ranges = []spec.Range{{First: a, Last: a.Next().Next(), Subnet: netip.MustParsePrefix("10.0.4.0/24")}}
		return d
	}
	on1, on2 := testServer(t, s1), testServer(t, s2)
	s1.Set(on1, d("10.0.4.254", "10.0.4.253", "10.0.4.16"))
	s2.Set(on2, d("10.0.4.253", "10.0.4.254", "10.0.4.32"))
	c1, c2 := container(t, s1, "c1p"), container(t, s2, "c2p")
	ip1, ip2 := c1.lease("c1")["ip"], c2.lease("c2")["ip"]
	if ip1 != "10.0.4.16" || ip2 != "10.0.4.32" {
		t.Fatalf("leases %s and %s", ip1, ip2)
	}
	for _, c := range []*host{c1, c2} {
		for name, want := range map[string]string{"c1.vxapp": ip1, "c2.vxapp": ip2, "c1": ip1, "c2": ip2, "s1.vxapp": "10.0.4.254"} {
			if have := c.lookup(name, "10.0.4.1"); !strings.Contains(have, want) {
				t.Errorf("%s: want %s, have %q", name, want, have)
			}
		}
		if have := c.lookup("nobody.vxapp", "10.0.4.1"); strings.Contains(have, "Address") {
			t.Errorf("nobody.vxapp: %q", have)
		}
	}

	// A server that is away delays nobody: what is known is told at once, and what is
	// not, or is none of a name, within half a second.
	s2.sh("ip link set tunnel down")
	for _, question := range []struct{ name, qtype, want string }{
		{"c1.vxapp", "a", ip1},
		{"c1", "a", ip1},
		{"s1.vxapp", "a", "10.0.4.254"},
		{"c1.vxapp", "aaaa", "Non-authoritative answer:"},
		{"s1.vxapp", "aaaa", "Non-authoritative answer:"},
		{"c2.vxapp", "a", "NXDOMAIN"},
		{"c2.vxapp", "aaaa", "NXDOMAIN"},
		{"nobody.vxapp", "a", "NXDOMAIN"},
		{"32.4.0.10.in-addr.arpa", "ptr", "NXDOMAIN"},
		{"16.4.0.10.in-addr.arpa", "ptr", "c1.vxapp"},
	} {
		out, _ := c1.try("busybox nslookup -retry=1 -timeout=1 -type=" + question.qtype + " " + question.name + " 10.0.4.1 2>&1")
		if !strings.Contains(out, question.want) || strings.Contains(out, "timed out") {
			t.Errorf("%s %s, with a server away: want %s, have %q", question.qtype, question.name, question.want, out)
		}
	}
	s2.sh("ip link set tunnel up")
	poll(t, func() error {
		if have := c1.lookup("c2.vxapp", "10.0.4.1"); !strings.Contains(have, ip2) {
			return fmt.Errorf("back again, c2.vxapp is %q", have)
		}
		return nil
	})

	// A third server is taken up without a restart; back to one process the front goes.
	pid := on1.process(front, "vx1").pid()
	more := d("10.0.4.254", "10.0.4.253", "10.0.4.16")
	more.Peers = addrs("10.0.4.252", "10.0.4.253")
	s1.Set(on1, more)
	if now := on1.process(front, "vx1").pid(); now != pid {
		t.Errorf("a new peer restarted the front: pid %d, then %d", pid, now)
	}
	single := more
	single.Peers = nil
	s1.Set(on1, single)
	if n := on1.process(front, "vx1").pid(); n != 0 {
		t.Errorf("the front runs on: pid %d", n)
	}
	if n := on1.units.PID(on1.NamesDaemon("vx1")); n != 0 {
		t.Errorf("who asks for it runs on: pid %d", n)
	}
}

func TestDHCPSurvivesJSON(t *testing.T) {
	d := testDHCP()
	data, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	var have spec.DHCP
	if err := json.Unmarshal(data, &have); err != nil || have.String() != d.String() {
		t.Errorf("want %v, have %v, %v", d, have, err)
	}
}

// Subnets of every shape make a dnsmasq that starts and a lease of the right family.
func TestDHCPv6Only(t *testing.T) {
	server := newHost(t)
	server.sh(`ip link add vxl0 mtu 1450 type bridge; ip addr add fd00:4::fe/112 dev vxl0 nodad; ip addr add fd00:4::1/128 dev vxl0 nodad
		ip link set vxl0 up; ip link add port type veth peer name wire; ip link set wire up; ip link set port master vxl0 up`)
	server.awaitCarrier("vxl0")
	s := testServer(t, server)
	d := testDHCP()
	d.Listen, d.DNS, d.Router = addrs("fd00:4::fe"), addrs("fd00:4::fe"), netip.Addr{}
	d.Ranges = []spec.Range{{First: netip.MustParseAddr("fd00:4::10"), Last: netip.MustParseAddr("fd00:4::20"), Subnet: netip.MustParsePrefix("fd00:4::/112")}}
	server.Set(s, d)
	c := container(t, server, "c1p")
	c.awaitLinkLocal("eth0")
	offer := c.solicit()
	// Option 23: resolvers, one. Option 5: an address.
	if want := append([]byte{0, 23, 0, 16}, d.DNS[0].AsSlice()...); !bytes.Contains(offer, want) {
		t.Errorf("want the resolver %s in the offer, have %x", d.DNS[0], offer)
	}
	if want := append([]byte{0, 5, 0, 24}, d.Ranges[0].First.AsSlice()[:15]...); !bytes.Contains(offer, want) {
		t.Errorf("want an address of %s in the offer, have %x", d.Ranges[0], offer)
	}
}

// solicit asks for an IPv6 address and returns the server's Advertise (RFC 8415).
func (h *host) solicit() []byte {
	h.t.Helper()
	offer := h.askDHCPv6(9)
	if len(offer) < 4 || offer[0] != 2 {
		h.t.Fatalf("no Advertise: %x", offer)
	}
	return offer
}

// rapid has a lease by two messages (RFC 8415, 18.3.1) and returns the address and
// the server's id.
func (h *host) rapid(client byte) (addr, server string) {
	h.t.Helper()
	reply := h.askDHCPv6(client, 0, 14, 0, 0)
	if len(reply) < 4 || reply[0] != 7 {
		h.t.Fatalf("no Reply: %x", reply)
	}
	for options := reply[4:]; len(options) >= 4; {
		size := 4 + int(binary.BigEndian.Uint16(options[2:]))
		switch binary.BigEndian.Uint16(options) {
		case 2:
			server = fmt.Sprintf("%x", options[4:size])
		case 3: // IA_NA: 12 bytes, then an IA address
			addr = netip.AddrFrom16([16]byte(options[20:36])).String()
		}
		options = options[size:]
	}
	return addr, server
}

// askDHCPv6 solicits as a client, with more options, and returns the answer.
func (h *host) askDHCPv6(client byte, options ...byte) []byte {
	h.t.Helper()
	message := append([]byte{
		1, 0x12, 0x34, 0x56, // Solicit, transaction
		0, 1, 0, 10, 0, 3, 0, 1, 2, 0, 0, 0, 0, client, // client: DUID-LL
		0, 3, 0, 12, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, // any address
		0, 6, 0, 2, 0, 23, // resolvers, please
	}, options...)
	offer := make([]byte, 1500)
	var err error
	h.do(func() {
		var conn *net.UDPConn
		if conn, err = net.ListenUDP("udp6", &net.UDPAddr{Port: 546}); err != nil {
			return
		}
		defer conn.Close()
		if err = conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
			return
		}
		to := &net.UDPAddr{IP: net.ParseIP("ff02::1:2"), Port: 547, Zone: "eth0"}
		if _, err = conn.WriteTo(message, to); err != nil {
			return
		}
		var n int
		n, err = conn.Read(offer)
		offer = offer[:n]
	})
	if err != nil {
		h.t.Fatalf("no answer: %x, %v", offer, err)
	}
	return offer
}

func (h *host) awaitLinkLocal(dev string) {
	h.t.Helper()
	poll(h.t, func() error {
		if out := h.sh("ip -6 addr show dev " + dev + " scope link"); !strings.Contains(out, "fe80") || strings.Contains(out, "tentative") {
			return fmt.Errorf("%s has no link-local address: %s", dev, out)
		}
		return nil
	})
}
