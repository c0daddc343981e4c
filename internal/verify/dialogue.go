package verify

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/flocknet/flock/internal/capture"
	"github.com/flocknet/flock/internal/spec"
)

// What a new container says on a bridge until it knows an address of a name is said here, by a
// port of the bridge, up to where it would take the address: nobody notes anything of that.

// Ports of DHCP's clients and servers (RFC 2131, RFC 8415) and of DNS, and one to ask DNS from.
const (
	dhcpClient, dhcpServer     = 68, 67
	dhcpv6Client, dhcpv6Server = 546, 547
	dnsPort, askPort           = 53, 40053
)

// Times of a dialogue, in milliseconds: they are what agents were asked to wait, so that a busy
// workstation gives nobody up.
const (
	shortly, longer = 10, 50 // for answers that come at once, and those that do not
	short           = 100    // after that, longer
	patience        = 3000   // for addresses, and for names
	millisecond     = 1_000_000
)

// again are the times at which what was not answered is said again.
var again = []int{0, 300, 800, 1500, 2200}

// side is what one family of addresses comes to.
type side struct {
	subnet   netip.Prefix
	dealt    []netip.Prefix // all subnets of the family that addresses are handed out of
	auto     bool           // the container makes its address itself, of what routers advertise
	ask      netip.Addr     // that DHCP is asked for
	resolver netip.Addr
	right    netip.Addr // of the name

	lease  netip.Addr         // that was offered
	taken  map[netip.Addr]mac // who has ask, or lease
	other  came               // an offer of an address that is not of subnet; from is invalid: there was none
	hop    mac                // the resolver's
	near   bool               // it is known
	told   bool               // the resolver answered
	agrees bool               // rightly
}

// chosen is an address that the resolver may be asked from, unless somebody has it: a DHCP server
// may offer what somebody took by hand. Invalid: there is none of these.
func (d *side) chosen() netip.Addr {
	switch {
	case d.auto:
		return netip.Addr{}
	case d.lease.IsValid() || d.subnet.Addr().Is6():
		return d.lease
	}
	return d.ask
}

// clash says whether an address was offered that somebody has.
func (d *side) clash() bool {
	_, taken := d.taken[d.lease]
	return taken
}

// source is the address that the resolver is asked from; invalid: there is none to be had.
func (d *side) source(own mac) netip.Addr {
	a := d.chosen()
	switch _, taken := d.taken[a]; {
	case a.IsValid() && !taken:
		return a
	case d.auto && d.lease.IsValid():
		return d.lease
	case d.subnet.Addr().Is6():
		return linkLocal(own)
	}
	return netip.Addr{}
}

func linkLocal(own mac) netip.Addr { return withMAC(netip.MustParsePrefix("fe80::/64"), own) }

// Talk has the dialogues of the bridges of a server, two of them at a time: ask sends it a request,
// and begins is told which begin. Err of one is why it ended early; where ends says that no further
// one can be had, its error is returned.
func Talk(list []*Service, ask func(*spec.CaptureRequest) (*spec.CaptureReply, error), begins func(*Service), ends func(error) bool) error {
	var now [2]*Service
	for {
		idle := 0
		for slot, s := range now {
			if s == nil && len(list) > 0 {
				s, list = list[0], list[1:]
				begins(s)
			}
			var q *spec.CaptureRequest
			if s != nil {
				q = s.Ask()
			}
			if q == nil {
				now[slot] = nil
				idle++
				continue
			}
			q.Slot = uint8(slot) //nolint:gosec // 0 or 1
			reply, err := ask(q)
			if err == nil {
				err = s.Take(reply)
			}
			if now[slot] = s; err != nil {
				now[slot], s.Err = nil, err
				if ends(err) {
					return err
				}
			}
			if other := now[1-slot]; other != nil {
				other.pass(int(q.Within / millisecond))
			}
		}
		if idle == len(now) && len(list) == 0 {
			return nil
		}
	}
}

// pass lets milliseconds pass in which the server was asked something else. What came meanwhile is
// read before a time is over.
func (s *Service) pass(ms int) {
	end := patience
	if s.probing {
		end = s.settle
	}
	s.waited = max(s.waited, min(s.waited+ms, end-shortly))
}

// Ask is the next request of the dialogue; nil: it is over.
func (s *Service) Ask() *spec.CaptureRequest {
	r := &spec.CaptureRequest{Within: shortly * millisecond}
	if !s.begun {
		s.begun, r.Bridge, r.Frames = true, s.Bridge, toMAC(s.own)
	}
	if !s.probing && !s.naming && (s.all(func(d *side) bool { return d.lease.IsValid() }) || s.waited >= patience) {
		s.probing = true
		s.anew()
	}
	if s.probing && (s.waited >= s.settle || s.all(func(d *side) bool { return !d.chosen().IsValid() })) {
		s.probing, s.naming = false, true
		s.anew()
	}
	if s.naming && (s.all(func(d *side) bool { return d.told || !d.source(s.own).IsValid() }) || s.waited >= patience) {
		return nil
	}
	if s.said < len(again) && s.waited >= again[s.said] {
		s.said++
		for _, d := range s.sides {
			switch {
			case s.naming && !d.told:
				r.Send = append(r.Send, s.askName(d)...)
			case s.probing && d.chosen().IsValid():
				r.Send = append(r.Send, s.askOwner(d.chosen()))
			case !s.probing && !s.naming && !d.lease.IsValid():
				r.Send = append(r.Send, s.askAddress(d)...)
			}
		}
	}
	if s.waited < short {
		s.waited += shortly
	} else {
		s.waited += longer
		r.Within = longer * millisecond
	}
	return r
}

func (s *Service) anew() { s.waited, s.said = 0, 0 }

func (s *Service) all(is func(*side) bool) bool {
	return !slices.ContainsFunc(s.sides, func(d *side) bool { return !is(d) })
}

// toMAC is a filter (as of spec.CaptureRequest) that lets frames to one MAC pass.
func toMAC(m mac) []uint64 {
	const loadWord, loadHalf, equal, ret, whole = 0x20 << 48, 0x28 << 48, 0x15 << 48, 0x06 << 48, 1 << 16
	return []uint64{
		loadWord, equal | 3<<32 | uint64(binary.BigEndian.Uint32(m[:])),
		loadHalf | 4, equal | 1<<32 | uint64(binary.BigEndian.Uint16(m[4:])),
		ret | whole, ret,
	}
}

// askAddress is what a client says that wants an address, and whether somebody has the one that
// it would like.
func (s *Service) askAddress(d *side) []string {
	none, all := netip.IPv4Unspecified(), netip.AddrFrom4([4]byte{255, 255, 255, 255})
	if d.subnet.Addr().Is4() {
		m := make([]byte, 240, 300)
		m[0], m[1], m[2] = 1, 1, 6 // a request; Ethernet
		copy(m[4:8], s.own[2:])
		copy(m[28:], s.own[:])
		copy(m[236:], []byte{99, 130, 83, 99})
		m = append(m, 53, 1, 1, 50, 4) // DHCPDISCOVER, and the address (RFC 2132)
		m = append(append(m, d.ask.AsSlice()...), 55, 2, 1, 3, 255)
		return []string{
			s.askOwner(d.ask),
			datagram(everybody, s.own, netip.AddrPortFrom(none, dhcpClient), netip.AddrPortFrom(all, dhcpServer), m[:300]),
		}
	}
	routers, servers, own := netip.MustParseAddr("ff02::2"), netip.MustParseAddr("ff02::1:2"), linkLocal(s.own)
	// Routers know by this (RFC 4861, 4.1) which MAC has the link-local address.
	out := []string{packet(group(routers), s.own, own, routers, protoICMP6, append([]byte{133, 0, 0, 0, 0, 0, 0, 0, 1, 1}, s.own[:]...))}
	if d.auto {
		return out
	}
	m := append([]byte{1}, s.own[3:]...)                        // SOLICIT
	m = append(append(m, 0, 1, 0, 10, 0, 3, 0, 1), s.own[:]...) // whose: a DUID of the MAC
	m = append(m, 0, 8, 0, 2, 0, 0, 0, 3, 0, 40)                // since when; an address for
	m = append(append(m, s.own[2:]...), 0, 0, 0, 0, 0, 0, 0, 0) // an interface
	m = append(append(m, 0, 5, 0, 24), d.ask.AsSlice()...)      // at best this
	m = append(m, 0, 0, 0, 0, 0, 0, 0, 0)                       // for how long does not matter
	return append(out, datagram(group(servers), s.own, netip.AddrPortFrom(own, dhcpv6Client), netip.AddrPortFrom(servers, dhcpv6Server), m))
}

// askOwner asks who has an address, and claims nothing: it comes from no address, or from one of
// this port alone.
func (s *Service) askOwner(a netip.Addr) string {
	from := netip.IPv4Unspecified()
	if a.Is6() {
		from = linkLocal(s.own)
	}
	return askMAC(s.own, from, a)
}

// askName asks for the resolver's MAC, and then it for the name.
func (s *Service) askName(d *side) []string {
	from := d.source(s.own)
	if !from.IsValid() {
		return nil
	}
	if !d.near {
		return []string{askMAC(s.own, from, d.resolver)}
	}
	q := dnsmessage.Message{Header: dnsmessage.Header{ID: s.id(), RecursionDesired: true}}
	name, err := dnsmessage.NewName(s.name + ".")
	if err != nil {
		return nil // none of ours
	}
	q.Questions = []dnsmessage.Question{{Name: name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}}
	if d.right.Is6() {
		q.Questions[0].Type = dnsmessage.TypeAAAA
	}
	text, err := q.Pack()
	if err != nil {
		return nil
	}
	return []string{datagram(d.hop, s.own, netip.AddrPortFrom(from, askPort), netip.AddrPortFrom(d.resolver, dnsPort), text)}
}

// id tells the answers of one dialogue from those of another.
func (s *Service) id() uint16 { return binary.BigEndian.Uint16(s.own[4:]) }

// Take takes in what came. The error says that its sender is no agent of ours.
func (s *Service) Take(reply *spec.CaptureReply) error {
	packets, err := capture.Unpack(0, capture.Source{Ethernet: true}, reply)
	if err != nil {
		return err
	}
	for _, p := range packets {
		c, ok := received(p.Bytes)
		for _, d := range s.sides {
			if ok && c.from.Is4() == d.subnet.Addr().Is4() {
				s.hear(d, c)
			}
		}
	}
	return nil
}

// hear takes in one packet of a side's family.
func (s *Service) hear(d *side, c came) {
	switch {
	case c.protocol == 0 || c.protocol == protoICMP6 && c.data[0] == 136: // whose MAC it is
		at := c.from
		if c.protocol != 0 && len(c.data) >= 24 {
			at = netip.AddrFrom16([16]byte(c.data[8:24]))
		}
		if !s.naming && c.mac != s.own && (at == d.ask || at == d.lease) {
			d.taken[at] = c.mac
		}
		if at == d.resolver && s.naming && !d.near {
			d.near, d.hop = true, c.mac
			s.anew()
		}
	case s.naming && c.protocol == protoUDP && c.ports == [2]uint16{dnsPort, askPort} && c.from == d.resolver:
		s.hearName(d, c.data)
	case c.protocol == protoUDP && c.ports == [2]uint16{dhcpServer, dhcpClient}:
		s.offer(d, c, offered(c.data, s.own))
	case c.protocol == protoUDP && c.ports == [2]uint16{dhcpv6Server, dhcpv6Client} && !d.auto:
		s.offer(d, c, advertised(c.data, s.own))
	case c.protocol == protoICMP6 && c.data[0] == 134 && d.auto && prefixed(c.data, d.subnet):
		d.lease = withMAC(d.subnet, s.own)
	}
}

// offer takes in the offer of a DHCP server. That of an address outside of those subnets is another's.
func (s *Service) offer(d *side, c came, a netip.Addr) {
	switch {
	case !a.IsValid():
	case !within(d.dealt, netip.PrefixFrom(a, a.BitLen())):
		d.other = c
	case !s.probing && !s.naming && !d.lease.IsValid():
		d.lease = a
	}
}

// hearName takes in an answer of the resolver.
func (s *Service) hearName(d *side, text []byte) {
	var m dnsmessage.Message
	if m.Unpack(text) != nil || !m.Response || m.ID != s.id() {
		return
	}
	d.told = true
	for _, a := range m.Answers {
		switch b := a.Body.(type) {
		case *dnsmessage.AResource:
			d.agrees = d.agrees || netip.AddrFrom4(b.A) == d.right
		case *dnsmessage.AAAAResource:
			d.agrees = d.agrees || netip.AddrFrom16(b.AAAA) == d.right
		}
	}
}

// offered is the address in a DHCPOFFER (RFC 2131) to a client; invalid: it is none.
func offered(m []byte, own mac) netip.Addr {
	if len(m) < 240 || m[0] != 2 || [4]byte(m[4:8]) != [4]byte(own[2:]) {
		return netip.Addr{}
	}
	for o := m[240:]; len(o) >= 2 && o[0] != 255; {
		if o[0] == 0 { // padding
			o = o[1:]
			continue
		}
		if o[0] == 53 && len(o) >= 3 && o[2] == 2 {
			return netip.AddrFrom4([4]byte(m[16:20]))
		}
		o = o[min(len(o), 2+int(o[1])):]
	}
	return netip.Addr{}
}

// advertised is the address in an ADVERTISE (RFC 8415) to a client; invalid: it is none.
func advertised(m []byte, own mac) (a netip.Addr) {
	if len(m) < 4 || m[0] != 2 || [3]byte(m[1:4]) != [3]byte(own[3:]) {
		return a
	}
	options(m[4:], func(kind uint16, o []byte) {
		if kind == 3 && len(o) >= 12 {
			options(o[12:], func(kind uint16, o []byte) {
				if kind == 5 && len(o) >= 24 {
					a = netip.AddrFrom16([16]byte(o))
				}
			})
		}
	})
	return a
}

// options calls each with the options of DHCPv6.
func options(o []byte, each func(kind uint16, o []byte)) {
	for len(o) >= 4 {
		end := min(len(o), 4+int(binary.BigEndian.Uint16(o[2:])))
		each(binary.BigEndian.Uint16(o), o[4:end])
		o = o[end:]
	}
}

// prefixed says whether a router advertisement (RFC 4861, 4.6.2) has hosts make addresses of a
// prefix.
func prefixed(m []byte, p netip.Prefix) bool {
	const autonomous = 0x40
	for o := m[min(len(m), 16):]; len(o) >= 8 && o[1] > 0; o = o[min(len(o), 8*int(o[1])):] {
		if o[0] == 3 && len(o) >= 32 && int(o[2]) == p.Bits() && o[3]&autonomous != 0 && netip.AddrFrom16([16]byte(o[16:32])) == p.Addr() {
			return true
		}
	}
	return false
}
