//go:build linux

package probe

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/arp"
	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/wg"
	"github.com/flocknet/flock/internal/spec"
)

// A probe is one packet to another member through a device of ours, again until it
// is answered. It takes no lock and changes nothing.

const (
	probePoll = 5 * time.Millisecond
	// handshakeDead is when a WireGuard session is over: nothing of it is taken in any
	// more (REJECT_AFTER_TIME of the WireGuard paper, §6.1), the next packet begins anew.
	handshakeDead = 180 * time.Second
	discardPort   = 9 // RFC 863: nobody answers
	fewRounds     = 3 // that everybody gets
)

// rounds are how long an answer is waited for after each time that all were asked who gave
// none so far: 300 ms with the first four, 1.3 s in all. A device that was made just now may take a
// second to run (linkwatch), a line may be long, a machine busy: who has not answered after the first
// fewRounds, 140 ms, is called silent only where a Pace says that none of this is so.
func rounds() []time.Duration {
	const ms = time.Millisecond
	return []time.Duration{20 * ms, 40 * ms, 80 * ms, 160 * ms, 200 * ms, 200 * ms, 200 * ms, 200 * ms, 200 * ms}
}

// prober is how one sort of probe is sent by a link, and how answers are heard.
type prober interface {
	ask(p spec.Probe) error
	heard(p spec.Probe) (bool, error)
	sends() bool // what was asked has left by the link
	close()
}

// Probe returns those of probes that are not answered.
func Probe(ctx context.Context, k *host.Host, probes []spec.Probe, now time.Time) ([]spec.Probe, error) {
	if err := k.ReadDevices(); err != nil {
		return nil, err
	}
	probers := map[string]prober{}
	defer func() {
		for _, l := range probers {
			l.close()
		}
	}()
	for _, p := range probes {
		sort := p.Link + " " + probeSort(p)
		if probers[sort] == nil {
			l, err := listen(k, p, now)
			if err != nil {
				return nil, fmt.Errorf("listen on %s: %w", p.Link, err)
			}
			probers[sort] = l
		}
	}
	of := func(p spec.Probe) prober { return probers[p.Link+" "+probeSort(p)] }
	left, err := unanswered(probes, of)
	if err != nil || len(left) == 0 {
		return nil, err
	}
	pace := NewPace()
	defer pace.Close()
	return awaitAnswers(ctx, left, of, pace)
}

// awaitAnswers asks those in left, again in each round, until all answered or the rounds are
// over. A round ends with a look: on a busy machine this process may have stood still since the
// answer came, and what is counted are rounds, in which others had their time, too.
func awaitAnswers(ctx context.Context, left []spec.Probe, of func(spec.Probe) prober, pace *Pace) ([]spec.Probe, error) {
	tick := time.NewTicker(probePoll)
	defer tick.Stop()
	began, sends := time.Now(), false
	pace.Look(belows(left))
	for i, wait := range rounds() {
		for _, p := range left {
			// A device that is down sends nothing, and hears nothing.
			_ = of(p).ask(p)
		}
		for end, over := time.Now().Add(wait), false; !over; {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return left, ctx.Err()
			}
			over = !time.Now().Before(end)
			var err error
			if left, err = unanswered(left, of); err != nil || len(left) == 0 {
				return left, err
			}
			pace.Look(belows(left))
			if sends && (i >= fewRounds || over && i+1 == fewRounds) && pace.Over(began) {
				return left, nil
			}
		}
		if i == 0 { // of what is asked later nothing is known
			sends = !slices.ContainsFunc(left, func(p spec.Probe) bool { return !of(p).sends() })
		}
	}
	return left, nil
}

func belows(probes []spec.Probe) []netip.Addr {
	out := make([]netip.Addr, len(probes))
	for i, p := range probes {
		out[i] = p.Below
	}
	return out
}

// sends says whether a device has ever sent anything. The kernel drops without a word what leaves by one
// whose carrier it has not noticed yet.
func sends(device string) bool {
	l, err := netlink.LinkByName(device)
	return err == nil && l.Attrs().Statistics != nil && l.Attrs().Statistics.TxPackets > 0
}

func unanswered(probes []spec.Probe, of func(spec.Probe) prober) ([]spec.Probe, error) {
	var out []spec.Probe
	for _, p := range probes {
		heard, err := of(p).heard(p)
		if err != nil {
			return nil, err
		}
		if !heard {
			out = append(out, p)
		}
	}
	return out, nil
}

// probeSort names the sort of prober that a probe needs on its link.
func probeSort(p spec.Probe) string {
	switch {
	case p.Key != "":
		return "handshake"
	case p.MAC != "" && p.To.Is4():
		return "arp"
	}
	return "echo from " + p.From.String()
}

// listen opens what hears answers to p, and to others like it. Where the link is not
// there, nothing is heard.
func listen(k *host.Host, p spec.Probe, now time.Time) (prober, error) {
	if k.Devices.ByName[p.Link] == nil {
		return deafProber{}, nil
	}
	switch probeSort(p) {
	case "handshake":
		return &handshakes{peers: func() ([]spec.Session, error) { return handshakesOf(k, p.Link) }, link: p.Link, now: now}, nil
	case "arp":
		dev, err := net.InterfaceByName(p.Link)
		if err != nil {
			return nil, err
		}
		fd, err := arp.Open(dev)
		return &arpProber{fd: fd, dev: dev, found: map[netip.Addr]net.HardwareAddr{}}, err
	}
	fd, err := openEcho(p)
	return &echoProber{fd: fd, link: p.Link, found: map[netip.Addr]bool{}}, err
}

// deafProber is that of a device that is not there.
type deafProber struct{}

func (deafProber) ask(spec.Probe) error           { return nil }
func (deafProber) heard(spec.Probe) (bool, error) { return false, nil }
func (deafProber) sends() bool                    { return false }
func (deafProber) close()                         {}

// arpProber asks the one that is meant, and not the whole segment (RFC 826).
type arpProber struct {
	fd    int
	dev   *net.Interface
	found map[netip.Addr]net.HardwareAddr
}

func (l *arpProber) ask(p spec.Probe) error {
	mac, err := net.ParseMAC(p.MAC)
	if err != nil {
		return err
	}
	to := arp.Broadcast(l.dev.Index)
	copy(to.Addr[:], mac)
	return unix.Sendto(l.fd, arp.Request(l.dev, p.From, p.To), 0, to)
}

func (l *arpProber) heard(p spec.Probe) (bool, error) {
	arp.Hear(l.fd, l.found)
	return l.found[p.To] != nil, nil
}

func (l *arpProber) sends() bool { return sends(l.dev.Name) }

// close does not wait for the kernel, which takes 30 ms (packet_release).
func (l *arpProber) close() { go unix.Close(l.fd) } //nolint:errcheck // nothing is lost

// echoProber sends ICMP echo requests (RFC 792, RFC 4443).
type echoProber struct {
	fd    int
	link  string
	found map[netip.Addr]bool
}

// openEcho opens a raw socket that sends from p's address by p's link; by any if it has none.
func openEcho(p spec.Probe) (int, error) {
	family, at := sockaddr(p.From, 0)
	proto := unix.IPPROTO_ICMP
	if p.From.Is6() {
		proto = unix.IPPROTO_ICMPV6
	}
	fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC, proto)
	if err != nil {
		return -1, err
	}
	if p.Link != "" {
		err = unix.BindToDevice(fd, p.Link)
	}
	if err == nil {
		err = unix.Bind(fd, at)
	}
	if err != nil {
		unix.Close(fd) //nolint:errcheck // nothing is lost
		return -1, err
	}
	return fd, nil
}

// sockaddr is an address and port for sockets of its family.
func sockaddr(a netip.Addr, port int) (family int, at unix.Sockaddr) {
	if a.Is6() {
		return unix.AF_INET6, &unix.SockaddrInet6{Port: port, Addr: a.As16()}
	}
	return unix.AF_INET, &unix.SockaddrInet4{Port: port, Addr: a.As4()}
}

// Types of ICMP messages.
const (
	echoRequest4, echoReply4 = 8, 0
	echoRequest6, echoReply6 = 128, 129
)

// ask sends a request that bears the process's number. The kernel sums up ICMPv6.
func (l *echoProber) ask(p spec.Probe) error {
	m := []byte{echoRequest4, 0, 0, 0, 0, 0, 0, 1}
	binary.BigEndian.PutUint16(m[4:], uint16(os.Getpid())) //nolint:gosec // the lower half will do
	_, to := sockaddr(p.To, 0)
	if p.To.Is6() {
		m[0] = echoRequest6
		return unix.Sendto(l.fd, m, unix.MSG_DONTWAIT, to)
	}
	binary.BigEndian.PutUint16(m[2:], checksum(m))
	return unix.Sendto(l.fd, m, unix.MSG_DONTWAIT, to)
}

// checksum is the Internet checksum (RFC 1071) of a few octets, an even number of them, in
// which its own place is zero.
func checksum(b []byte) uint16 {
	sum := uint32(0)
	for i := 0; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	return ^uint16(sum + sum>>16) //nolint:gosec // ones' complement
}

func (l *echoProber) heard(p spec.Probe) (bool, error) {
	m := make([]byte, 128)
	for {
		n, from, err := unix.Recvfrom(l.fd, m, unix.MSG_DONTWAIT)
		if err != nil {
			return l.found[p.To], nil
		}
		reply := m[:n]
		switch from := from.(type) {
		case *unix.SockaddrInet4:
			if n > 0 && int(m[0]&15)*4 <= n {
				reply = m[int(m[0]&15)*4 : n] // behind the IPv4 header
			}
			l.note(reply, echoReply4, netip.AddrFrom4(from.Addr))
		case *unix.SockaddrInet6:
			l.note(reply, echoReply6, netip.AddrFrom16(from.Addr))
		}
	}
}

// note takes an answer in that is meant for us.
func (l *echoProber) note(m []byte, reply byte, from netip.Addr) {
	if len(m) >= 8 && m[0] == reply && binary.BigEndian.Uint16(m[4:]) == uint16(os.Getpid()) { //nolint:gosec // as ask has it
		l.found[from] = true
	}
}

func (l *echoProber) sends() bool { return sends(l.link) }

func (l *echoProber) close() { unix.Close(l.fd) } //nolint:errcheck // nothing is lost

// handshakes sends what makes a WireGuard device begin one, where the last is over.
type handshakes struct {
	peers func() ([]spec.Session, error)
	link  string
	now   time.Time
	fresh map[string]bool
	read  time.Time
}

func (l *handshakes) ask(p spec.Probe) error {
	family, to := sockaddr(p.To, discardPort)
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd) //nolint:errcheck // nothing is lost
	if err := unix.BindToDevice(fd, l.link); err != nil {
		return err
	}
	return unix.Sendto(fd, []byte{0}, unix.MSG_DONTWAIT, to)
}

// heard looks at the device, once for all who ask within a moment.
func (l *handshakes) heard(p spec.Probe) (bool, error) {
	if time.Since(l.read) < probePoll {
		return l.fresh[p.Key], nil
	}
	sessions, err := l.peers()
	if err != nil {
		return false, err
	}
	l.fresh, l.read = map[string]bool{}, time.Now()
	for _, s := range sessions {
		l.fresh[s.Key] = !s.Handshake.IsZero() && l.now.Sub(s.Handshake) < handshakeDead
	}
	return l.fresh[p.Key], nil
}

// sends is about devices with a carrier, and WireGuard's have none to wait for.
func (l *handshakes) sends() bool { return true }

func (l *handshakes) close() {}

// handshakesOf are the sessions of a WireGuard device; none where there is no device.
func handshakesOf(k *host.Host, link string) ([]spec.Session, error) {
	d, err := k.WG.Device(link)
	if err != nil || d == nil {
		return nil, err
	}
	var out []spec.Session
	for _, peer := range d.Peers {
		out = append(out, wg.SessionOf(link, peer))
	}
	return out, nil
}
