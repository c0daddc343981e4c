package capture

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// split cuts text into words and parentheses.
func split(text string) []string {
	for _, mark := range []string{"(", ")", "&&", "||", "!"} {
		text = strings.ReplaceAll(text, mark, " "+mark+" ")
	}
	return strings.Fields(text)
}

// maxDepth is how deep parentheses and nots may nest.
const maxDepth = 100

type parser struct {
	words   []string
	depth   int
	last    qualifiers
	resolve func(string) []netip.Addr
}

// qualifiers are what goes before a name or a number.
type qualifiers struct {
	family uint32 // an Ethernet type; 0: any
	proto  uint32 // above IP; 0: any
	ether  bool
	dir    int
	kind   string // host, net, port, portrange, proto; "": not said
}

func (p *parser) next() string {
	if len(p.words) == 0 {
		return ""
	}
	return strings.ToLower(p.words[0])
}

func (p *parser) take() string { return strings.ToLower(p.raw()) }

// raw takes a word as it was typed: names of members have capitals.
func (p *parser) raw() (w string) {
	if len(p.words) > 0 {
		w, p.words = p.words[0], p.words[1:]
	}
	return w
}

func (p *parser) accept(words ...string) bool {
	if len(p.words) > 0 && slices.Contains(words, p.next()) {
		p.take()
		return true
	}
	return false
}

func (p *parser) expression() (Filter, error) {
	left, err := p.term()
	for err == nil {
		isAnd := slices.Contains([]string{"and", "&&"}, p.next())
		if !isAnd && !p.accept("or", "||") {
			return left, nil
		}
		if isAnd {
			p.take()
		}
		var right Filter
		if right, err = p.term(); err == nil {
			a, b := left.build, right.build
			join := or
			if isAnd {
				join = and
			}
			left = Filter{func(l link) *cond { return join(a(l), b(l)) }}
		}
	}
	return Filter{}, err
}

func (p *parser) term() (Filter, error) {
	if p.depth++; p.depth > maxDepth {
		return Filter{}, fmt.Errorf("more than %d parentheses within each other", maxDepth)
	}
	defer func() { p.depth-- }()
	switch {
	case len(p.words) == 0:
		return Filter{}, errors.New("it ends too early")
	case p.accept("not", "!"):
		f, err := p.term()
		return Filter{func(l link) *cond { return not(f.build(l)) }}, err
	case p.accept("("):
		f, err := p.expression()
		if err == nil && !p.accept(")") {
			err = errors.New("a closing parenthesis is missing")
		}
		return f, err
	}
	return p.primitive()
}

// families and protos are words that stand alone, or before others.
var families = map[string]uint32{"ip": typeIP4, "ip6": typeIP6, "arp": typeARP, "rarp": typeRARP}

var protos = map[string]uint32{"tcp": protoTCP, "udp": protoUDP, "sctp": protoSCTP, "icmp": protoICMP, "icmp6": protoICMP6}

// unknown are words of pcap's that this is not: what is missing is said better than "no host".
var unknown = []string{"vlan", "mpls", "pppoed", "pppoes", "geneve", "vxlan", "gateway", "inbound", "outbound", "ifname", "decnet", "wlan", "protochain", "len"}

func (p *parser) primitive() (Filter, error) {
	switch word := p.next(); {
	case strings.ContainsAny(word, "[]<>=&|"):
		return Filter{}, fmt.Errorf("%q: bytes of packets cannot be compared here", word)
	case slices.Contains(unknown, word):
		return Filter{}, fmt.Errorf("%q is not among what a filter can have here", word)
	case word == "and" || word == "or" || word == "&&" || word == "||" || word == ")":
		return Filter{}, fmt.Errorf("%q: something is missing before it", word)
	case p.accept("greater"):
		n, err := p.number(1 << 31)
		return Filter{func(l link) *cond { return l.length(n) }}, err
	case p.accept("less"):
		n, err := p.number(1 << 31)
		return Filter{func(l link) *cond { return not(l.length(n + 1)) }}, err
	}
	q, said := p.qualifiers()
	if p.accept("broadcast") {
		return cast(q, false)
	}
	if p.accept("multicast") {
		return cast(q, true)
	}
	if !said {
		q = p.last
	}
	if q.kind == "" && q.dir == either && said && (len(p.words) == 0 || slices.Contains([]string{"and", "or", "&&", "||", ")"}, p.next())) {
		return alone(q)
	}
	if len(p.words) == 0 {
		return Filter{}, errors.New("it ends too early")
	}
	if !said && q == (qualifiers{}) {
		q.kind = "host"
	}
	p.last = q
	return p.value(q)
}

// qualifiers takes them in; said says whether there were any.
func (p *parser) qualifiers() (q qualifiers, said bool) {
	before := len(p.words)
	switch word := p.next(); {
	case families[word] != 0:
		q.family = families[p.take()]
	case protos[word] != 0:
		q.proto = protos[p.take()]
	case word == "ether":
		p.take()
		q.ether = true
	}
	for _, side := range []struct {
		word, other string
		dir         int
	}{{"src", "dst", source}, {"dst", "src", target}} {
		if q.dir == either && p.accept(side.word) {
			q.dir = side.dir
			if len(p.words) > 1 && strings.ToLower(p.words[1]) == side.other && slices.Contains([]string{"and", "or"}, p.next()) {
				if q.dir = either; p.take() == "and" {
					q.dir = both
				}
				p.take()
				break
			}
		}
	}
	for _, kind := range []string{"host", "net", "port", "portrange", "proto"} {
		if p.accept(kind) {
			q.kind = kind
			break
		}
	}
	return q, len(p.words) < before
}

// alone is a protocol without more.
func alone(q qualifiers) (Filter, error) {
	if q.ether {
		return Filter{}, errors.New("ether: host, src, dst, proto, broadcast or multicast is missing after it")
	}
	return Filter{func(l link) *cond {
		switch {
		case q.family != 0:
			return l.is(q.family)
		case q.proto == protoICMP:
			return l.proto4(protoICMP)
		case q.proto == protoICMP6:
			return l.proto6(protoICMP6)
		case q.proto != 0:
			return l.proto(q.proto)
		}
		return never
	}}, nil
}

// cast is a broadcast or multicast of Ethernet or IP.
func cast(q qualifiers, multi bool) (Filter, error) {
	switch {
	case q.dir != either || q.kind != "":
		return Filter{}, errors.New("broadcast and multicast have no src, dst or host before them")
	case multi && q.family == typeIP4:
		return Filter{func(l link) *cond {
			return and(l.is(typeIP4), &cond{op: opCompare, size: 1, at: uint32(l.header() + 16), mask: full(1), test: testAtLeast, value: 224}) //nolint:gosec // small
		}}, nil
	case multi && q.family == typeIP6:
		return Filter{func(l link) *cond { return and(l.is(typeIP6), at(l.header()+24, 1, 255)) }}, nil
	case q.family != 0 || q.proto != 0:
		return Filter{}, errors.New("broadcast is ether's, multicast ether's, ip's or ip6's")
	case multi:
		return Filter{func(l link) *cond {
			if l != ethernet {
				return never
			}
			return not(at(0, 1, 0).masked(1))
		}}, nil
	}
	return Filter{func(l link) *cond { return l.mac([6]byte{255, 255, 255, 255, 255, 255}, target) }}, nil
}
