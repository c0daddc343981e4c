//go:build linux

package udptun

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/tun/tuntest"

	"github.com/flocknet/flock/internal/control"
)

// peer is a device on a loopback address whose TUN device is the test.
type peer struct {
	*Device
	t   *testing.T
	tun *tuntest.ChannelTUN
}

func newPeer(t *testing.T) *peer {
	t.Helper()
	tun := tuntest.NewChannelTUN()
	p := &peer{New(tun.TUN()), t, tun}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return p
}

func (p *peer) set(c Config) {
	p.t.Helper()
	if err := p.Set(p.t.Context(), c); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) hears(want []byte) {
	p.t.Helper()
	select {
	case have := <-p.tun.Inbound:
		if !bytes.Equal(want, have) {
			p.t.Fatalf("want %x, have %x", want, have)
		}
	case <-time.After(5 * time.Second):
		p.t.Fatalf("nothing came; %+v", p.Stats())
	}
}

// counts waits until the counters are want.
func (p *peer) counts(want Stats) {
	p.t.Helper()
	tick, end := time.NewTicker(time.Millisecond), time.After(5*time.Second)
	defer tick.Stop()
	for p.Stats() != want {
		select {
		case <-tick.C:
		case <-end:
			p.t.Fatalf("want %+v, have %+v", want, p.Stats())
		}
	}
}

// freePort is a UDP port that nobody has on the loopback addresses.
func freePort(t *testing.T) uint16 {
	t.Helper()
	c, err := net.ListenPacket("udp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return uint16(c.LocalAddr().(*net.UDPAddr).Port)
}

func pair(t *testing.T) (a, b *peer, configs [2]Config) {
	t.Helper()
	port := freePort(t)
	one := Member{addr("127.0.0.1"), prefixes("10.244.1.0/24", "fd44:1::/64")}
	two := Member{addr("127.0.0.2"), prefixes("10.244.2.0/24", "fd44:2::/64")}
	configs = [2]Config{{one.Addr, port, []Member{two}}, {two.Addr, port, []Member{one}}}
	a, b = newPeer(t), newPeer(t)
	a.set(configs[0])
	b.set(configs[1])
	return a, b, configs
}

func TestPacketsPass(t *testing.T) {
	a, b, _ := pair(t)
	for range 3 {
		for _, p := range [][]byte{packet("10.244.1.1", "10.244.2.1", "to b"), packet("fd44:1::1", "fd44:2::1", "to b")} {
			a.tun.Outbound <- p
			b.hears(p)
		}
		p := packet("10.244.2.1", "10.244.1.1", "to a")
		b.tun.Outbound <- p
		a.hears(p)
	}
	a.tun.Outbound <- packet("10.244.1.1", "10.244.9.1", "to nobody")
	a.tun.Outbound <- []byte("no packet")
	a.counts(Stats{Sent: 6, Received: 3, Astray: 1, Malformed: 1})
	b.counts(Stats{Sent: 3, Received: 6})
}

// TestOnlyMembersPass is what stands between a container network and whoever can
// send UDP to the server.
func TestOnlyMembersPass(t *testing.T) {
	a, _, configs := pair(t)
	to := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: int(configs[0].Port)}
	say := func(from string, port uint16, datagram []byte) {
		t.Helper()
		c, err := net.DialUDP("udp4", &net.UDPAddr{IP: net.ParseIP(from), Port: int(port)}, to)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Write(datagram); err != nil {
			t.Fatal(err)
		}
	}
	good := packet("10.244.2.1", "10.244.1.1", "good")
	say("127.0.0.3", configs[0].Port, good)
	a.counts(Stats{Strangers: 1})
	say("127.0.0.2", 0, good) // another process of a member
	a.counts(Stats{Strangers: 2})

	three := Member{addr("127.0.0.3"), prefixes("10.244.3.0/24")}
	configs[0].Members = append(configs[0].Members, three)
	a.set(configs[0])
	say("127.0.0.3", configs[0].Port, good) // b's address, from another member
	a.counts(Stats{Strangers: 2, Forged: 1})
	say("127.0.0.3", configs[0].Port, packet("192.0.2.1", "10.244.1.1", "from anywhere"))
	a.counts(Stats{Strangers: 2, Forged: 2})
	say("127.0.0.3", configs[0].Port, packet("10.244.3.1", "10.244.1.1", "cut")[:22])
	say("127.0.0.3", configs[0].Port, []byte{0x45})
	a.counts(Stats{Strangers: 2, Forged: 2, Malformed: 2})
	own := packet("10.244.3.1", "10.244.1.1", "good")
	say("127.0.0.3", configs[0].Port, append(append([]byte(nil), own...), "behind"...))
	a.hears(own)
}

// TestSetWhilePacketsPass: members come and go, and not one packet of the others is
// lost.
func TestSetWhilePacketsPass(t *testing.T) {
	a, b, configs := pair(t)
	for i := range 200 {
		if i%2 == 0 {
			configs[0].Members = append(configs[0].Members[:1:1], Member{addr("127.0.0.9"), prefixes("10.244.9.0/24")})
		} else {
			configs[0].Members = configs[0].Members[:1]
		}
		a.set(configs[0])
		p := packet("10.244.1.1", "10.244.2.1", fmt.Sprint(i))
		a.tun.Outbound <- p
		b.hears(p)
	}
}

func TestAnotherPort(t *testing.T) {
	a, b, configs := pair(t)
	port := freePort(t)
	configs[0].Port, configs[1].Port = port, port
	a.set(configs[0])
	b.set(configs[1])
	p := packet("10.244.1.1", "10.244.2.1", "by another port")
	a.tun.Outbound <- p
	b.hears(p)
	a.set(Config{})
	b.tun.Outbound <- packet("10.244.2.1", "10.244.1.1", "to nobody")
	b.counts(Stats{Sent: 1, Received: 1})
	configs[0].Local = addr("192.0.2.77") // not there, and it need not be
	a.set(configs[0])
}

func TestControl(t *testing.T) {
	a, b, configs := pair(t)
	path := filepath.Join(t.TempDir(), "sock")
	for range 2 { // the second takes the place of the first
		l, err := control.Listen(path)
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- a.Answer(t.Context(), l) }()
		configs[0].Members[0].Subnets = prefixes("10.244.7.0/24")
		if err := Set(t.Context(), path, configs[0]); err != nil {
			t.Fatal(err)
		}
		have, stats, err := Get(t.Context(), path)
		if err != nil || !reflect.DeepEqual(have, configs[0]) || stats != a.Stats() {
			t.Fatalf("want %+v, have %+v, %+v, %v", configs[0], have, stats, err)
		}
		bad := configs[0]
		bad.Members = append(bad.Members[:1:1], bad.Members[0])
		if err := Set(t.Context(), path, bad); err == nil || !reflect.DeepEqual(a.Config(), configs[0]) {
			t.Fatalf("a bad setting: %v, %+v", err, a.Config())
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := Get(t.Context(), path); err == nil {
		t.Fatal("somebody answers on a closed socket")
	}
	p := packet("10.244.1.1", "10.244.7.1", "as set")
	a.tun.Outbound <- p
	b.hears(p)
}

// TestPacker: what goes in one send has one receiver and one length, the last
// datagram aside, and is cut into what it was.
func TestPacker(t *testing.T) {
	x, y := &member{addr: addr("10.99.0.2")}, &member{addr: addr("10.99.0.3")}
	for name, c := range map[string]struct {
		segments bool
		to       []*member
		sizes    []int
		want     []int // datagrams per message
	}{
		"none":                {true, nil, nil, nil},
		"alike":               {true, []*member{x, x, x}, []int{100, 100, 100}, []int{3}},
		"the last is short":   {true, []*member{x, x, x}, []int{100, 50, 100}, []int{2, 1}},
		"a longer one":        {true, []*member{x, x}, []int{100, 101}, []int{1, 1}},
		"two receivers":       {true, []*member{x, y, y, x}, []int{100, 100, 100, 100}, []int{1, 2, 1}},
		"too many":            {true, slices.Repeat([]*member{x}, 65), slices.Repeat([]int{9}, 65), []int{64, 1}},
		"too long":            {true, []*member{x, x, x}, []int{30000, 30000, 30000}, []int{2, 1}},
		"where it cannot cut": {false, []*member{x, x}, []int{100, 100}, []int{1, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPacker(128)
			for range 2 { // messages are used again
				p.begin(c.segments)
				for i, size := range c.sizes {
					p.add(c.to[i], bytes.Repeat([]byte{byte(i)}, size))
				}
				var have []int
				at := 0
				for _, m := range p.finish() {
					have = append(have, len(m.Buffers))
					if cut := cutTo(t, m); len(m.Buffers) > 1 && cut != len(m.Buffers[0]) || len(m.Buffers) == 1 && cut != 0 {
						t.Errorf("%d datagrams of %d bytes are cut to %d", len(m.Buffers), len(m.Buffers[0]), cut)
					}
					for _, b := range m.Buffers {
						if b[0] != byte(at) {
							t.Errorf("packet %d stands where %d should", b[0], at)
						}
						at++
					}
				}
				if !reflect.DeepEqual(have, c.want) {
					t.Fatalf("want %v, have %v", c.want, have)
				}
			}
		})
	}
}

// cutTo is the length that a message asks the kernel to cut it into, 0 if it does not.
func cutTo(t *testing.T, m ipv4.Message) int {
	t.Helper()
	if m.OOB == nil {
		return 0
	}
	list, err := unix.ParseSocketControlMessage(m.OOB)
	if err != nil || len(list) != 1 || list[0].Header.Level != solUDP || list[0].Header.Type != unix.UDP_SEGMENT || len(list[0].Data) < 2 {
		t.Fatalf("control message %x: %v, %v", m.OOB, list, err)
	}
	return int(binary.NativeEndian.Uint16(list[0].Data))
}

// TestSetAfterTheEnd: an order that comes while the device goes down opens nothing that
// stays: neither a reader that nobody waits for nor a port.
func TestSetAfterTheEnd(t *testing.T) {
	for range 20 {
		d, port := New(tuntest.NewChannelTUN().TUN()), freePort(t)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- d.Run(ctx) }()
		set := make(chan error, 1)
		go func() {
			for i := 0; ; i++ {
				if err := d.Set(t.Context(), Config{Local: addr("127.0.0.1"), Port: port * uint16(i%2)}); err != nil {
					set <- err
					return
				}
			}
		}()
		cancel()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		if err := <-set; !errors.Is(err, os.ErrClosed) {
			t.Fatal(err)
		}
		c, err := net.ListenPacket("udp4", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			t.Fatalf("the port is still taken: %v", err)
		}
		c.Close()
	}
}
