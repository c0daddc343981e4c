package capture

import (
	"errors"
	"fmt"
	"net/netip"
)

// Filter is what somebody wants to see, read from pcap's syntax (pcap-filter(7)), of which it
// knows: host, net, port, portrange and ether host, with src and dst; ip, ip6, arp, rarp, tcp,
// udp, sctp, icmp, icmp6; proto, ether proto, broadcast, multicast, greater and less; and, or,
// not and parentheses. As there, and and or bind alike, and a name or number without a
// qualifier has that of the one before it.
type Filter struct{ build func(link) *cond }

// ParseFilter reads a filter; an empty one takes every packet. resolve knows what names of
// hosts stand for; those that it does not know are an error.
func ParseFilter(text string, resolve func(name string) []netip.Addr) (Filter, error) {
	p := &parser{words: split(text), resolve: resolve}
	if len(p.words) == 0 {
		return Filter{func(link) *cond { return always }}, nil
	}
	f, err := p.expression()
	if err == nil && len(p.words) > 0 {
		err = fmt.Errorf("%q: and or or is missing before it", p.words[0])
	}
	if err != nil {
		return Filter{}, err
	}
	if f.build(ethernet).op == opNever && f.build(bareIP).op == opNever {
		return Filter{}, errors.New("no packet can be like that")
	}
	return f, nil
}

// Without takes packets out of what f takes.
func (f Filter) Without(out ...Filter) Filter {
	return Filter{func(l link) *cond {
		c := f.build(l)
		for _, o := range out {
			c = and(c, not(o.build(l)))
		}
		return c
	}}
}

// Within takes of f's packets only those that other takes, too.
func (f Filter) Within(other Filter) Filter {
	return Filter{func(l link) *cond { return and(f.build(l), other.build(l)) }}
}

// Subnets are IP packets from or to addresses in one of these.
func Subnets(list []netip.Prefix) Filter {
	return Filter{func(l link) *cond {
		four, six := never, never
		for _, p := range list {
			if h := l.header(); p.Addr().Is4() {
				four = or(four, or(words(h+12, p), words(h+16, p)))
			} else {
				six = or(six, or(words(h+8, p), words(h+24, p)))
			}
		}
		return or(and(l.is(typeIP4), four), and(l.is(typeIP6), six))
	}}
}

// tcp are segments from or to a port, from or to one of the addresses.
func tcp(port uint16, addrs []netip.Addr) Filter {
	return Filter{func(l link) *cond {
		h, four, six := l.header(), never, never
		for _, a := range addrs {
			if p := netip.PrefixFrom(a, a.BitLen()); a.Is4() {
				four = or(four, or(words(h+12, p), words(h+16, p)))
			} else {
				six = or(six, or(words(h+8, p), words(h+24, p)))
			}
		}
		return and(l.ports(uint32(port), uint32(port), either, protoTCP), or(and(l.is(typeIP4), four), and(l.is(typeIP6), six)))
	}}
}

// Programs are f for packets with an Ethernet header and for those without, of which the first
// snap bytes are taken. The error is that f is longer than a kernel takes.
func (f Filter) Programs(snap int) (frames, packets []Instruction, err error) {
	if frames, err = program(f.build(ethernet), ethernet.header(), uint32(snap)); err != nil { //nolint:gosec // checked by the command
		return nil, nil, err
	}
	packets, err = program(f.build(bareIP), bareIP.header(), uint32(snap)) //nolint:gosec // checked by the command
	return frames, packets, err
}
