//go:build linux

package dhcp

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/flocknet/flock/internal/agent/names"
	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/agent/unit"
	"github.com/flocknet/flock/internal/agent/written"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/wire"
)

// With distributed DHCP every server's leaf knows the names of its own containers and
// refuses all others. A front asks all of them, and dnsmasq (2.90, forward.c) waits for
// the last one before it says that nobody knows a name: with one server away that is
// for ever, and most names have no IPv6 address that somebody could know. So the
// front's questions go to a process of ours, which waits for nobody longer than people do.

const (
	// namesWait is for a leaf that answered when it was last asked; it is more than a
	// round trip around the earth. silentWait is for one that did not.
	namesWait, silentWait = 500 * time.Millisecond, 100 * time.Millisecond
	namesAgain            = 150 * time.Millisecond // until a question is repeated, once
	namesLate             = 3 * time.Second        // until a leaf's answer is no sign of life any more
)

// namesStem begins the names of what the process that asks for names has.
const namesStem = "names-"

// NamesDaemon is the process that asks all leaves of network.
func (s *Server) NamesDaemon(network string) unit.Daemon {
	mark := s.has.Name + "/" + network
	return unit.Daemon{Name: namesStem + network, Mark: mark, Description: "Names of flock network " + mark, Args: []string{"agent", "names", mark}}
}

// runNames runs the process where d's names are with several servers, and only
// there. It reads itself whom to ask; where it is asked it knows from its start.
func (s *Server) runNames(ctx context.Context, d spec.DHCP, moved bool) error {
	of := s.NamesDaemon(d.Network)
	if len(d.Peers) == 0 {
		if !sysfile.Exists(s.units.PIDFile(of)) && !s.units.Installed(of.Name) {
			return nil
		}
		return s.units.Stop(ctx, of)
	}
	if !moved && s.namesStand(d) && s.runsThis(of) {
		return nil
	}
	return s.units.Start(ctx, of)
}

// namesStand says whether the process for d runs, or is rightly not there.
func (s *Server) namesStand(d spec.DHCP) bool {
	of := s.NamesDaemon(d.Network)
	unit := !s.units.HasSystemd() || s.units.Installed(of.Name)
	return len(d.Peers) == 0 || unit && s.units.PID(of) != 0
}

// runsThis says whether d's process runs this program, and not one of before.
func (s *Server) runsThis(d unit.Daemon) bool {
	its, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", s.units.PID(d)))
	self, err2 := unit.OwnProgram()
	return err == nil && err2 == nil && its == self
}

// answerer is a process that answers for one network.
type answerer struct {
	server  *Server
	network string

	mu     sync.Mutex
	silent map[netip.Addr]bool // leaves that did not answer when they were last asked

	claims  *names.Claims
	servers net.PacketConn // where other servers are heard; nil: nowhere yet
	bridge  int            // the index of the one it is bound to
	looked  string         // what the files were like when they were last read
	again   []*names.Claim // are told once more
	failed  string         // what the last look failed with
}

// Answer answers the front of network until ctx ends: it asks all leaves and says what one
// of them knows. What goes wrong meanwhile is written to log.
func (s *Server) Answer(ctx context.Context, network string, log io.Writer) error {
	n := &answerer{server: s, network: network, silent: map[netip.Addr]bool{}, claims: names.NewClaims()}
	d, err := n.reads()
	if err != nil {
		return err
	}
	at := netip.AddrPortFrom(d.Listen[0], spec.NamesPort).String()
	udp, err := net.ListenPacket("udp", at)
	if err != nil {
		return fmt.Errorf("listen for questions: %w", err)
	}
	tcp, err := net.Listen("tcp", at)
	if err != nil {
		return errors.Join(fmt.Errorf("listen for questions: %w", err), udp.Close())
	}
	done, err := n.server.units.Ready(n.server.NamesDaemon(network))
	if err != nil {
		return errors.Join(err, udp.Close(), tcp.Close())
	}
	go n.agree(ctx, log)
	failed := make(chan error, 2)
	go func() { failed <- n.hear(udp, log) }()
	go func() { failed <- n.accept(tcp, log) }()
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	return errors.Join(err, udp.Close(), tcp.Close(), done())
}

// fromHere says whether a question comes from this server itself: what asks an
// address of its own does so from it, and such packets come from nowhere else (the
// kernel takes them for martians).
func fromHere(from, at net.Addr) bool {
	a, err := netip.ParseAddrPort(from.String())
	b, err2 := netip.ParseAddrPort(at.String())
	return err == nil && err2 == nil && a.Addr() == b.Addr()
}

// reads what the network's names are made of. It changes while the process runs.
func (n *answerer) reads() (spec.DHCP, error) {
	text, err := sysfile.ReadIfThere(n.server.process(leaf, n.network).Hosts)
	if err != nil {
		return spec.DHCP{}, err
	}
	d := spec.DHCP{}
	if err := wire.Unmarshal([]byte(sysfile.Spec(text)), &d); err != nil {
		return d, fmt.Errorf("read whom to ask for names of %s: %w", n.network, err)
	}
	if len(d.Listen) == 0 {
		return d, fmt.Errorf("read whom to ask for names of %s: nobody", n.network)
	}
	return d, nil
}

// hear answers datagrams.
func (n *answerer) hear(c net.PacketConn, log io.Writer) error {
	for {
		m := make([]byte, 4096)
		size, from, err := c.ReadFrom(m)
		if err != nil {
			return fmt.Errorf("hear questions: %w", err)
		}
		answers := n.answer
		if !fromHere(from, c.LocalAddr()) {
			a, err := netip.ParseAddrPort(from.String())
			if d, err2 := n.reads(); err != nil || err2 != nil || d.Zone == nil || !slices.Contains(d.Peers, a.Addr().Unmap()) {
				continue
			}
			answers = n.answerPeer
		}
		go func() {
			if answer := answers(m[:size], log); answer != nil {
				_, _ = c.WriteTo(answer, from) // who does not hear it asks again
			}
		}()
	}
}

// accept answers questions over TCP, one per connection.
func (n *answerer) accept(l net.Listener, log io.Writer) error {
	for {
		c, err := l.Accept()
		if err != nil {
			return fmt.Errorf("hear questions: %w", err)
		}
		go func() {
			defer func() { _ = c.Close() }() // all is said
			var size [2]byte
			if !fromHere(c.RemoteAddr(), l.Addr()) || c.SetDeadline(time.Now().Add(namesLate)) != nil {
				return
			}
			if _, err := io.ReadFull(c, size[:]); err != nil {
				return
			}
			m := make([]byte, binary.BigEndian.Uint16(size[:]))
			if _, err := io.ReadFull(c, m); err != nil {
				return
			}
			if answer := n.answer(m, log); answer != nil {
				_, _ = c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)) //nolint:gosec // a datagram's size
			}
		}()
	}
}

// answer is what the leaves say to a question, nil for what is none.
func (n *answerer) answer(m []byte, log io.Writer) []byte {
	q, ok := names.ReadQuestion(m)
	if !ok {
		return nil
	}
	d, err := n.reads()
	if err != nil {
		fmt.Fprintln(log, err)
		return q.Negative(names.ServFail)
	}
	// What servers' names are the front knows. It asks for what they are not.
	is := func(h spec.HostName) bool { return q.Asks(h.Name+"."+d.Domain) || q.Asks(h.Name) }
	if slices.ContainsFunc(d.Hosts, is) {
		return q.Negative(names.NoError)
	}
	host := short(&d, q)
	a, err := n.ask(&d, host, append(d.Listen[:1:1], d.Peers...))
	if err != nil {
		fmt.Fprintln(log, err)
		return q.Negative(names.ServFail)
	}
	return q.Of(host, a)
}

// short is what servers that routes lead to are asked, each of which has a domain of its own: q
// for a container's name alone. It is q for all others.
func short(d *spec.DHCP, q names.Question) names.Question {
	if d.Zone != nil && !q.Reverse() {
		for _, domain := range [...]string{d.Domain, d.Zone.Domain} {
			if host, ok := q.Host(domain); ok {
				return host
			}
		}
	}
	return q
}

// answerPeer is what this server's own leaf says to a question of another server's process.
func (n *answerer) answerPeer(m []byte, log io.Writer) []byte {
	q, ok := names.ReadQuestion(m)
	d, err := n.reads()
	if !ok || err != nil {
		return nil
	}
	a, err := n.ask(&d, q, d.Listen[:1])
	if err != nil {
		fmt.Fprintln(log, err)
	}
	return a
}

// ask asks leaves at once and returns the first answer that is one. The socket is read
// a while longer: a leaf that is late is not silent.
func (n *answerer) ask(d *spec.DHCP, q names.Question, leaves []netip.Addr) ([]byte, error) {
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(d.Listen[0], 0))) // peers know it by that
	if err != nil {
		return nil, fmt.Errorf("ask for a name: %w", err)
	}
	p := names.NewQuery(q, leaves, uint16(rand.Uint32())) //nolint:gosec // any bits will do
	heard := make(chan names.Message, 4*len(leaves))      // two types, twice
	go n.listen(c, d, heard)
	send(c, d, p)
	awaited := n.speaking(leaves)
	repeat, short, long := time.NewTimer(namesAgain), time.NewTimer(silentWait), time.NewTimer(namesWait)
	defer func() { repeat.Stop(); short.Stop(); long.Stop() }()
	patient := true // with those that were silent
	for {
		if answer := p.Verdict(); answer != nil {
			return answer, nil
		}
		if !patient && !slices.ContainsFunc(awaited, p.Open) {
			return n.giveUp(p, leaves), nil
		}
		select {
		case r := <-heard:
			p.Take(r)
		case <-repeat.C:
			send(c, d, p)
		case <-short.C:
			patient = false
		case <-long.C:
			return n.giveUp(p, leaves), nil
		}
	}
}

// send asks the leaves that are still to be heard. What does not go out stays unanswered.
func send(c *net.UDPConn, d *spec.DHCP, p *names.Query) {
	for _, m := range p.Unheard() {
		if portOf(d, m.Leaf) == spec.NamesPort && !routed(m.Leaf) {
			continue
		}
		_, _ = c.WriteToUDPAddrPort(m.Text, netip.AddrPortFrom(m.Leaf, portOf(d, m.Leaf)))
	}
}

// portOf is where a server's leaf answers. What comes by another device than its bridge dnsmasq
// drops: its process asks it.
func portOf(d *spec.DHCP, leaf netip.Addr) uint16 {
	if d.Zone != nil && leaf != d.Listen[0] {
		return spec.NamesPort
	}
	return written.LeafPort
}

// listen hands on what leaves say until they are late, and closes c.
func (n *answerer) listen(c *net.UDPConn, d *spec.DHCP, heard chan<- names.Message) {
	defer func() { _ = c.Close() }() // only read from
	if c.SetReadDeadline(time.Now().Add(namesLate)) != nil {
		return
	}
	for {
		m := make([]byte, 4096)
		size, from, err := c.ReadFromUDPAddrPort(m)
		if err != nil {
			return
		}
		a := from.Addr().Unmap()
		if from.Port() != portOf(d, a) {
			continue
		}
		n.note(a, false)
		select {
		case heard <- names.Message{Leaf: a, Text: m[:size]}:
		default: // nobody listens any more
		}
	}
}

func (n *answerer) note(a netip.Addr, silent bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if silent {
		n.silent[a] = true
	} else {
		delete(n.silent, a)
	}
}

// speaking are those of leaves that answered when they were last asked.
func (n *answerer) speaking(leaves []netip.Addr) []netip.Addr {
	n.mu.Lock()
	defer n.mu.Unlock()
	return spec.Without(leaves, func(a netip.Addr) bool { return n.silent[a] })
}

// giveUp notes who is silent and returns the answer without them.
func (n *answerer) giveUp(p *names.Query, leaves []netip.Addr) []byte {
	for _, a := range leaves {
		if p.Open(a) {
			n.note(a, true)
		}
	}
	return p.Late()
}
