//go:build linux

package dhcp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/names"
	"github.com/flocknet/flock/internal/agent/nft"
	"github.com/flocknet/flock/internal/agent/written"
	"github.com/flocknet/flock/internal/netspace"
	"github.com/flocknet/flock/internal/spec"
)

// cell is three servers that hand out the addresses of one segment, each its own, and
// a container on each that asks for names.
type cell struct {
	t       *testing.T
	servers [3]*host
	on      [3]*Server
	dhcp    [3]spec.DHCP
	askers  [3]*host
}

// cellDHCP is what server i of n hands out. The first one has the highest address.
func cellDHCP(i, n int) spec.DHCP {
	d := testDHCP()
	d.DNS = addrs("10.0.4.1")
	d.Listen = addrs(fmt.Sprintf("10.0.4.%d", 254-i), "10.0.4.1")
	for j := range n {
		if j != i {
			d.Peers = append(d.Peers, addrs(fmt.Sprintf("10.0.4.%d", 254-j))...)
		}
	}
	first := addrs(fmt.Sprintf("10.0.4.%d", 16*(i+1)))[0]
	d.Ranges = []spec.Range{{First: first, Last: addrs(fmt.Sprintf("10.0.4.%d", 16*(i+1)+9))[0], Subnet: netip.MustParsePrefix("10.0.4.0/24")}}
	return d
}

func newCell(t *testing.T) *cell {
	c := &cell{t: t}
	hub := newHost(t)
	hub.sh("ip link add hub type bridge forward_delay 0; ip link set hub up")
	for i := range c.servers {
		s := dhcpServer(t, 254-i)
		s.join("tunnel", hub, fmt.Sprint("p", i), "hub")
		s.sh(`ip link set tunnel master vxl0
			nft -f - <<-END
				table bridge t {
					chain in {
						type filter hook prerouting priority 0;
						iifname tunnel arp daddr ip 10.0.4.1 drop
						iifname tunnel arp saddr ip 10.0.4.1 drop
						iifname tunnel udp dport { 67, 68 } drop
					}
				}
				END`)
		c.servers[i], c.on[i], c.dhcp[i] = s, testServer(t, s), cellDHCP(i, len(c.servers))
		c.start(i)
		c.askers[i] = container(t, s, "asker")
		c.askers[i].sh(fmt.Sprintf("ip addr add 10.0.4.%d/24 dev eth0", 200+i))
	}
	return c
}

func (c *cell) start(i int) { c.servers[i].Set(c.on[i], c.dhcp[i]) }

// cut takes a server off the segment, or puts it there again.
func (c *cell) cut(i int, state string) { c.servers[i].sh("ip link set tunnel " + state) }

// await polls until name is at addr for those who ask servers of only, without it all; "" for nowhere.
func (c *cell) await(name, addr string, only ...int) {
	c.t.Helper()
	if addr == "" {
		addr = "NXDOMAIN"
	}
	if len(only) == 0 {
		only = []int{0, 1, 2}
	}
	// A server that was away hears of others' claims within five seconds.
	netspace.PollFor(c.t, 12*time.Second, func() error {
		for _, i := range only {
			if have := c.askers[i].lookup(name+".vxapp", "10.0.4.1"); !strings.HasSuffix(have, addr) || strings.Count(have, "Address:") > 1 {
				return fmt.Errorf("%s is %q on server %d, want %s", name, have, i, addr)
			}
		}
		return nil
	})
}

// leaf polls until server i's own dnsmasq, which gives its own leases their names, has name at addr.
func (c *cell) leaf(i int, name, addr string) {
	c.t.Helper()
	poll(c.t, func() error {
		if have := c.servers[i].lookup(name+".vxapp", fmt.Sprintf("10.0.4.%d:%d", 254-i, written.LeafPort)); !strings.HasSuffix(have, addr) {
			return fmt.Errorf("%s is %q at the dnsmasq of server %d, want %s", name, have, i, addr)
		}
		return nil
	})
}

// release ends a container's lease.
func (h *host) release() {
	h.sh(`log=$(mktemp); trap 'rm -f $log' EXIT
		busybox udhcpc -i eth0 -f -R -s /bin/true >$log 2>&1 & client=$!
		until grep -q obtained $log; do :; done
		kill $client; wait $client || true`)
}

// move plugs a container into another server, with the MAC that it has.
func (h *host) move(to *host, port string) {
	mac := h.mac("eth0")
	h.sh("ip link del eth0")
	h.join("eth0", to, port, "vxl0")
	h.sh("ip link set eth0 down; ip link set eth0 address " + mac + "; ip link set eth0 up")
	h.awaitCarrier("eth0")
}

func (h *host) mac(dev string) string {
	return strings.Fields(h.sh("ip -br link show dev " + dev))[2]
}

// A name belongs to the container that had it first on any server of the network, and is
// free when its lease ends.
func TestNamesBelongToWhoHadThemFirstOnAnyServer(t *testing.T) {
	c := newCell(t)
	c1, c2, c3 := container(t, c.servers[0], "c1p"), container(t, c.servers[1], "c2p"), container(t, c.servers[2], "c3p")
	first := c1.lease("web")["ip"]
	c.await("web", first)
	second, third := c2.lease("web")["ip"], c3.lease("WEB.vxapp")["ip"]
	if !strings.HasPrefix(second, "10.0.4.3") || !strings.HasPrefix(third, "10.0.4.4") {
		t.Errorf("leases %s and %s", second, third)
	}
	c.leaf(1, "web", first)
	c.leaf(2, "web", first)
	c.await("web", first)

	// With another name it has that, and no other container's by asking for it again.
	c3.lease("store")
	c.await("store", third)
	c3.lease("web")
	c.await("store", third)
	c.leaf(2, "web", first)
	c.await("web", first)

	// Who still wants it has it when it is free.
	c1.release()
	c.await("web", second)
	c1.lease("web")
	c.leaf(0, "web", second)
	c.await("web", second)
}

// A container that is plugged in elsewhere takes its name along, past who wants it too.
func TestNamesMoveWithTheirContainers(t *testing.T) {
	c := newCell(t)
	c1, c2 := container(t, c.servers[0], "c1p"), container(t, c.servers[2], "c2p")
	first := c1.lease("web")["ip"]
	c.await("web", first)
	c2.lease("web")
	c.leaf(2, "web", first)
	for i, to := range []int{1, 2, 0} {
		c1.move(c.servers[to], fmt.Sprint("moved", i))
		addr := c1.lease("web")["ip"]
		if !strings.HasPrefix(addr, fmt.Sprintf("10.0.4.%d", 16*(to+1)/10)) {
			t.Errorf("the lease on server %d is %s", to, addr)
		}
		begin := time.Now()
		c.await("web", addr)
		t.Logf("answered everywhere after %v", time.Since(begin))
	}
	mac := c1.mac("eth0")
	for i := range c.servers {
		poll(t, func() error {
			text, err := os.ReadFile(c.on[i].process(leaf, "vx1").Leases)
			if have := strings.Contains(string(text), mac); err != nil || have != (i == 0) {
				return fmt.Errorf("server %d has a lease of it: %v, %w", i, have, err)
			}
			return nil
		})
	}
}

// Whoever cannot be asked is not waited for; when it is back, it has what it had before.
func TestNamesOfServersThatWereAway(t *testing.T) {
	c := newCell(t)
	c1, c2 := container(t, c.servers[0], "c1p"), container(t, c.servers[1], "c2p")
	first := c1.lease("web")["ip"]
	c.await("web", first)
	c.cut(0, "down")
	second := c2.lease("web")["ip"]
	c.await("web", second, 1, 2)
	c.await("web", first, 0)
	c.cut(0, "up")
	c.await("web", first)

	// After a reboot too.
	c.cut(0, "down")
	c2.lease("other")
	c2.lease("web")
	c.servers[0].do(func() {
		s := c.on[0]
		err := errors.Join(s.units.Stop(context.Background(), s.NamesDaemon("vx1")), s.process(front, "vx1").stop(context.Background()),
			s.process(leaf, "vx1").stop(context.Background()), os.RemoveAll(s.has.Run))
		if err != nil {
			t.Error(err)
		}
	})
	c.start(0)
	c.cut(0, "up")
	c.await("web", first)
	c.leaf(1, "web", first)

	// So does a bridge that is another one now.
	c.servers[1].sh("ip link set vxl0 down; ip link del vxl0")
	c.servers[1].sh(`ip link add vxl0 address 6a:0b:00:00:00:fd mtu 1450 type bridge; ip addr add 10.0.4.253/24 dev vxl0; ip addr add 10.0.4.1/32 dev vxl0
		ip link set vxl0 up; ip link set tunnel master vxl0; ip link set c2p master vxl0; ip link set asker master vxl0`)
	c.servers[1].awaitCarrier("vxl0")
	c.start(1)
	c2.lease("other")
	c2.lease("web")
	c.leaf(1, "web", first)
	c.await("web", first)
}

// From a container nobody is heard where servers agree, not by a server's address either,
// and not by a frame for everybody.
func TestNamesAreAgreedUponByServersAlone(t *testing.T) {
	c := newCell(t)
	container := container(t, c.servers[0], "c1p")
	first := container.lease("web")["ip"]
	c.await("web", first)
	poll(t, func() error { // dnsmasq answers for a name before its script has written it down
		pins, err := readPins(c.on[0].process(leaf, "vx1").Names)
		if err == nil && pins[first].Name != "web" {
			err = fmt.Errorf("web is not written down: have %v", pins)
		}
		return err
	})
	prefix := netip.MustParsePrefix
	want := &spec.Host{Cluster: "test", Guards: []spec.Guard{{
		Network: "vx1", Bridge: "vxl0", Uplink: "tunnel", ServerMACs: "6a:0b:00:00:00:00", ServerMask: "ff:ff:ff:ff:00:00",
		Servers: []netip.Prefix{prefix("10.0.4.1/32"), prefix("10.0.4.240/28")}, Subnets: []netip.Prefix{prefix("10.0.4.0/24")},
		Closed: []uint16{spec.ClaimsPort},
	}}}
	var err error // the other servers say nothing, which would deny what is forged
	c.servers[0].do(func() { err = nft.New(nft.Server{Cluster: "test", ProcNet: "/proc/thread-self/net"}).Replace(want) })
	for i := 1; i < 3; i++ {
		c.servers[i].do(func() { err = errors.Join(err, c.on[i].units.Stop(context.Background(), c.on[i].NamesDaemon("vx1"))) })
	}
	if err != nil {
		t.Fatal(err)
	}
	c.servers[0].sh("sysctl -qw net.ipv4.conf.vxl0.drop_unicast_in_l2_multicast=1")
	const claim = "43200000 02:00:00:00:66:66 10.0.4.66 web 99999999\n"
	mac := c.servers[0].mac("vxl0")
	port := c.servers[0].mac("asker") // a bridge takes in what is for the port that it comes in by
	for _, to := range []string{mac, port, "ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01"} {
		for _, word := range []string{names.Asks, names.Says} {
			c.askers[0].forge("eth0", to, "10.0.4.253", word+"test/vx1\n"+claim)
			c.askers[0].forge("eth0", to, "10.0.4.66", word+"test/vx1\n"+claim)
			c.unmoved(first, word+"by a container to "+to)
		}
	}
	c.servers[1].forge("vxl0", mac, "10.0.4.77", names.Asks+"test/vx1\n"+claim)
	c.unmoved(first, "by no member")
	c.servers[1].forge("vxl0", mac, "10.0.4.253", names.Asks+"test/vx1\n"+claim)
	c.await("web", "10.0.4.66", 0)
}

// unmoved checks that server 0 still has web at addr after all that it was sent.
func (c *cell) unmoved(addr, why string) {
	c.t.Helper()
	var err error
	c.servers[1].do(func() { // what it answers next, it answers after that
		var s net.PacketConn
		if s, err = net.ListenPacket("udp", fmt.Sprintf("10.0.4.253:%d", spec.ClaimsPort)); err != nil {
			return
		}
		_, err = s.WriteTo([]byte(names.Asks+"test/vx1\n0 00:00:00:00:00:00 0.0.0.0 other 0\n"), net.UDPAddrFromAddrPort(netip.AddrPortFrom(c.dhcp[0].Listen[0], spec.ClaimsPort)))
		m := make([]byte, 1500)
		for n := 0; err == nil && !strings.Contains(string(m[:n]), " other 0"); {
			err = s.SetReadDeadline(time.Now().Add(5 * time.Second))
			if err == nil {
				n, _, err = s.ReadFrom(m)
			}
		}
		err = errors.Join(err, s.Close())
	})
	pins, err2 := readPins(c.on[0].process(leaf, "vx1").Names)
	if err := errors.Join(err, err2); err != nil || len(pins) != 1 || pins[addr].Name != "web" {
		c.t.Errorf("%s: have %v, %v", why, pins, err)
	}
}

// What does not change is written once.
func TestComplaints(t *testing.T) {
	var n answerer
	var log strings.Builder
	for _, err := range []error{nil, errors.New("a"), errors.New("a"), errors.New("b"), nil, errors.New("b")} {
		n.complain(err, &log)
	}
	const line = "agree whose a name is: "
	if want := line + "a\n" + line + "b\n" + line + "b\n"; log.String() != want {
		t.Errorf("have %q", log.String())
	}
}

// forge sends a datagram to where server 0 agrees with others, by a frame of its own making.
func (h *host) forge(dev, mac, from, text string) {
	h.t.Helper()
	h.do(func() {
		ifi, err := net.InterfaceByName(dev)
		if err != nil {
			h.t.Error(err)
			return
		}
		dst, err := net.ParseMAC(mac)
		if err != nil {
			h.t.Error(err)
			return
		}
		src, at := addrs(from)[0].As4(), addrs("10.0.4.254")[0].As4()
		p := append([]byte{0x45, 0, 0, 0, 0, 0, 0, 0, 64, unix.IPPROTO_UDP, 0, 0}, append(src[:], at[:]...)...)
		size := len(p) + 8 + len(text)
		p[2], p[3] = byte(size>>8), byte(size)
		sum := uint32(0)
		for i := 0; i < len(p); i += 2 {
			sum += uint32(p[i])<<8 | uint32(p[i+1])
		}
		sum = sum>>16 + sum&0xffff
		sum = ^(sum>>16 + sum)
		p[10], p[11] = byte(sum>>8), byte(sum)
		p = append(p, byte(spec.ClaimsPort>>8), byte(spec.ClaimsPort&0xff), byte(spec.ClaimsPort>>8), byte(spec.ClaimsPort&0xff), byte((size-20)>>8), byte(size-20), 0, 0)
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM, 0)
		if err != nil {
			h.t.Error(err)
			return
		}
		defer unix.Close(fd)
		sa := &unix.SockaddrLinklayer{Protocol: 0x0008, Ifindex: ifi.Index, Halen: 6}
		copy(sa.Addr[:], dst)
		if err := unix.Sendto(fd, append(p, text...), 0, sa); err != nil {
			h.t.Error(err)
		}
	})
}
