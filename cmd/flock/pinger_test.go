//go:build linux

package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"github.com/flocknet/flock/internal/lab"
)

const (
	pingInterval = 10 * time.Millisecond
	pingPatience = time.Second // a later reply is a lost one
)

// pinger sends an echo request every pingInterval, whatever happens. Ping(8)
// will not do: it holds its requests back while the neighbour is unknown or the
// link is down, which is when they would be lost. Only the second waits for the first
// to be answered: when two processors see the first packets of a flow at once, the
// kernel may drop one (nf_conntrack: both are new, and there is an entry already).
type pinger struct {
	conn net.PacketConn
	to   netip.Addr
	halt context.CancelFunc
	done sync.WaitGroup

	mu   sync.Mutex
	sent []time.Time           // by sequence number
	rtt  map[int]time.Duration // of those answered
	bad  error                 // the last request that could not even be sent
}

func startPinger(l *lab.Lab, from string, to netip.Addr) (*pinger, error) {
	network, any := "ip4:icmp", "0.0.0.0"
	if to.Is6() {
		network, any = "ip6:ipv6-icmp", "::"
	}
	conn, err := l.ListenPacket(from, network, any)
	if err != nil {
		return nil, err
	}
	ctx, halt := context.WithCancel(context.Background())
	p := &pinger{conn: conn, to: to, halt: halt, rtt: map[int]time.Duration{}}
	p.done.Go(func() { p.send(ctx) })
	go p.receive()
	return p, nil
}

func (p *pinger) send(ctx context.Context) {
	tick := time.NewTicker(pingInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		p.mu.Lock()
		seq := len(p.sent)
		if _, answered := p.rtt[0]; seq == 1 && !answered && time.Since(p.sent[0]) < patience(pingPatience) {
			p.mu.Unlock()
			continue
		}
		p.sent = append(p.sent, time.Now())
		p.mu.Unlock()
		m := icmp.Message{Type: ipv4.ICMPTypeEcho, Body: &icmp.Echo{ID: p.id(), Seq: seq, Data: make([]byte, 56)}}
		if p.to.Is6() {
			m.Type = ipv6.ICMPTypeEchoRequest
		}
		text, err := m.Marshal(nil) // the kernel fills in ICMPv6's checksum
		if err == nil {
			_, err = p.conn.WriteTo(text, &net.IPAddr{IP: p.to.AsSlice()})
		}
		if err != nil {
			p.mu.Lock()
			p.bad = err
			p.mu.Unlock()
		}
	}
}

// id tells the pingers of one namespace apart, each of which gets all replies.
func (p *pinger) id() int {
	b := p.to.As16()
	return int(b[14])<<8 | int(b[15])
}

// receive ends when the socket is closed.
func (p *pinger) receive() {
	buf := make([]byte, 1500)
	proto := 1
	if p.to.Is6() {
		proto = 58
	}
	for {
		n, _, err := p.conn.ReadFrom(buf)
		if err != nil {
			return
		}
		now := time.Now()
		m, err := icmp.ParseMessage(proto, buf[:n])
		if err != nil || m.Type != ipv4.ICMPTypeEchoReply && m.Type != ipv6.ICMPTypeEchoReply {
			continue
		}
		echo, ok := m.Body.(*icmp.Echo)
		if !ok || echo.ID != p.id() {
			continue
		}
		p.mu.Lock()
		if _, twice := p.rtt[echo.Seq]; !twice && echo.Seq < len(p.sent) {
			p.rtt[echo.Seq] = now.Sub(p.sent[echo.Seq])
		}
		p.mu.Unlock()
	}
}

// score counts the requests and those without a reply in time.
func (p *pinger) score() (sent, lost int, longest time.Duration, bad error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for seq := range p.sent {
		if p.isLost(seq) {
			lost++
		}
		longest = max(longest, p.rtt[seq])
	}
	return len(p.sent), lost, longest, p.bad
}

func (p *pinger) isLost(seq int) bool {
	rtt, ok := p.rtt[seq]
	return !ok || rtt > patience(pingPatience)
}

// gaps are the runs of requests that were lost: when the first of each was sent, counted
// from the first of all, how many, and how many of these were answered too late.
func (p *pinger) gaps() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []string
	for seq := 0; seq < len(p.sent); seq++ {
		first, late := seq, 0
		for ; seq < len(p.sent) && p.isLost(seq); seq++ {
			if p.rtt[seq] > 0 {
				late++
			}
		}
		if seq > first {
			out = append(out, fmt.Sprintf("%d after %v (%d of them late)", seq-first, p.sent[first].Sub(p.sent[0]).Round(time.Millisecond), late))
		}
	}
	return strings.Join(out, ", ")
}

// stop sends no more, and gives requests their time as long as more than most seem lost.
func (p *pinger) stop(most int) {
	p.halt()
	p.done.Wait()
	enough := time.After(patience(pingPatience))
	tick := time.NewTicker(pingInterval)
	defer tick.Stop()
	for {
		if _, lost, _, _ := p.score(); lost <= most {
			break
		}
		select {
		case <-tick.C:
			continue
		case <-enough:
		}
		break
	}
	p.conn.Close()
}

func verbPinger(ctx context.Context, w *walk, ts *testscript.TestScript, args []string) error {
	if len(args) != 3 || w.pingers[args[2]] != nil {
		return usage("pinger CONTAINER ADDRESS NAME, each name once")
	}
	to, err := netip.ParseAddr(args[1])
	if err != nil {
		out, err := w.lab.Command(ctx, args[0], "getent", "ahosts", args[1]).Output()
		if err != nil {
			return fmt.Errorf("resolve %s in %s: %w", args[1], args[0], err)
		}
		first, _, _ := strings.Cut(string(out), " ")
		if to, err = netip.ParseAddr(first); err != nil {
			return fmt.Errorf("resolve %s in %s: %w", args[1], args[0], err)
		}
	}
	p, err := startPinger(w.lab, args[0], to)
	if err != nil {
		return err
	}
	w.pingers[args[2]] = p
	return nil
}

func verbStopPinger(_ context.Context, w *walk, ts *testscript.TestScript, args []string) error {
	if len(args) != 2 || w.pingers[args[0]] == nil {
		return usage("stoppinger NAME LOSTMAX, after pinger")
	}
	most, err := strconv.Atoi(args[1])
	if err != nil {
		return usage("stoppinger NAME LOSTMAX")
	}
	p := w.pingers[args[0]]
	delete(w.pingers, args[0])
	p.stop(most)
	sent, lost, longest, bad := p.score()
	ts.Logf("%d pings, %d lost, the slowest answer after %v", sent, lost, longest)
	if bad != nil {
		ts.Logf("the last that could not be sent: %v", bad)
	}
	switch {
	case sent == 0:
		return unmet("no ping was sent")
	case lost > most:
		return unmet(fmt.Sprintf("lost pings of %d: want at most %d, have %d: %s", sent, most, lost, p.gaps()))
	}
	return nil
}
