package capture

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// value reads what follows qualifiers.
func (p *parser) value(q qualifiers) (Filter, error) {
	word := p.words[0]
	if slices.Contains([]string{"(", ")", "and", "or", "not", "!", "&&", "||"}, word) {
		return Filter{}, fmt.Errorf("%q: an address or a number is missing before it", word)
	}
	switch {
	case q.ether:
		return p.etherValue(q)
	case q.kind == "port", q.kind == "portrange":
		return p.ports(q)
	case q.kind == "proto":
		return p.protocol(q)
	case q.kind == "" && (families[word] != 0 || protos[word] != 0):
		return Filter{}, fmt.Errorf("%q: and or or is missing before it", word)
	case q.proto != 0:
		return Filter{}, fmt.Errorf("%q: a protocol above IP has ports, and no addresses: %q and %q apart", word, "and", "host")
	}
	return p.address(q)
}

func (p *parser) etherValue(q qualifiers) (Filter, error) {
	word := p.take()
	if q.kind == "proto" {
		if n, ok := families[strings.TrimPrefix(word, `\`)]; ok {
			return Filter{func(l link) *cond { return l.is(n) }}, nil
		}
		n, err := strconv.ParseUint(word, 0, 16)
		if err != nil || n < 1536 {
			return Filter{}, fmt.Errorf("%q is no Ethernet type", word)
		}
		return Filter{func(l link) *cond { return l.is(uint32(n)) }}, nil
	}
	mac, err := net.ParseMAC(word)
	if err != nil || len(mac) != 6 || q.kind != "" && q.kind != "host" {
		return Filter{}, fmt.Errorf("%q is no Ethernet address", word)
	}
	return Filter{func(l link) *cond { return l.mac([6]byte(mac), q.dir) }}, nil
}

func (p *parser) ports(q qualifiers) (Filter, error) {
	if q.family != 0 || q.proto == protoICMP || q.proto == protoICMP6 {
		return Filter{}, fmt.Errorf("%q: ports are of tcp, udp and sctp", p.next())
	}
	word := p.take()
	low, high := word, word
	if q.kind == "portrange" {
		var ranged bool
		if low, high, ranged = strings.Cut(word, "-"); !ranged {
			return Filter{}, fmt.Errorf("%q is no range of ports such as 1000-2000", word)
		}
	}
	from, err := portNumber(low, q.proto)
	if err != nil {
		return Filter{}, err
	}
	to, err := portNumber(high, q.proto)
	if err != nil {
		return Filter{}, err
	}
	from, to = min(from, to), max(from, to)
	protos := []uint32{protoTCP, protoUDP, protoSCTP}
	if q.proto != 0 {
		protos = []uint32{q.proto}
	}
	return Filter{func(l link) *cond { return l.ports(from, to, q.dir, protos...) }}, nil
}

// portNumber knows numbers, and the names that this machine has for ports.
func portNumber(word string, proto uint32) (uint32, error) {
	if n, err := strconv.ParseUint(word, 10, 16); err == nil {
		return uint32(n), nil
	}
	if word != "" && strings.Trim(word, "0123456789") != "" {
		of := []string{"tcp", "udp"}
		if proto == protoUDP {
			of = []string{"udp"}
		}
		for _, network := range of {
			if n, err := net.LookupPort(network, word); err == nil {
				return uint32(n), nil //nolint:gosec // a port
			}
		}
	}
	return 0, fmt.Errorf("%q is no port: 0 to 65535", word)
}

func (p *parser) protocol(q qualifiers) (Filter, error) {
	if q.proto != 0 || q.dir != either {
		return Filter{}, fmt.Errorf("%q: proto is ip's, ip6's or ether's", p.next())
	}
	word := p.take()
	number, ok := protos[strings.TrimPrefix(word, `\`)]
	if !ok {
		n, err := strconv.ParseUint(word, 10, 8)
		if err != nil {
			return Filter{}, fmt.Errorf("%q is no IP protocol: 0 to 255", word)
		}
		number = uint32(n)
	}
	return Filter{func(l link) *cond {
		switch q.family {
		case typeIP4:
			return l.proto4(number)
		case typeIP6:
			return l.proto6(number)
		case 0:
			return l.proto(number)
		}
		return never
	}}, nil
}

// address reads an address, a subnet or a name.
func (p *parser) address(q qualifiers) (Filter, error) {
	word := p.raw()
	prefixes, err := p.prefixes(word, q)
	if err != nil {
		return Filter{}, err
	}
	return Filter{func(l link) *cond {
		out := never
		for _, prefix := range prefixes {
			out = or(out, l.in(prefix, q.dir, q.family))
		}
		return out
	}}, nil
}

func (p *parser) prefixes(word string, q qualifiers) ([]netip.Prefix, error) {
	if strings.Contains(word, "/") && q.kind != "host" {
		prefix, err := netip.ParsePrefix(word)
		if err != nil {
			// As in pcap, 10.1/16 is 10.1.0.0/16.
			short, bits, _ := strings.Cut(word, "/")
			var wide bool
			if prefix, wide = partial(short); !wide {
				return nil, fmt.Errorf("%q is no subnet such as 10.0.4.0/24", word)
			}
			n, err := strconv.ParseUint(bits, 10, 8)
			if err != nil || n > 32 {
				return nil, fmt.Errorf("%q is no subnet such as 10.0.4.0/24", word)
			}
			prefix = netip.PrefixFrom(prefix.Addr(), int(n))
		}
		if prefix != prefix.Masked() {
			return nil, fmt.Errorf("%s has bits beyond its length: %s", word, prefix.Masked())
		}
		return []netip.Prefix{prefix}, nil
	}
	if a, err := netip.ParseAddr(word); err == nil && a.Zone() == "" {
		bits := a.BitLen()
		if q.kind == "net" && p.accept("mask") {
			mask, err := netip.ParseAddr(p.take())
			if err != nil || !mask.Is4() || !a.Is4() {
				return nil, errors.New("a mask is one of IPv4, as 255.255.255.0")
			}
			m := mask.As4()
			var whole bool
			if bits, whole = ones(m); !whole {
				return nil, fmt.Errorf("%s is no mask of a subnet", mask)
			}
		}
		prefix := netip.PrefixFrom(a, bits)
		if prefix != prefix.Masked() {
			return nil, fmt.Errorf("%s has bits beyond its mask: %s", word, prefix.Masked())
		}
		return []netip.Prefix{prefix}, nil
	}
	if q.kind == "net" {
		if prefix, ok := partial(word); ok {
			return []netip.Prefix{prefix}, nil
		}
		return nil, fmt.Errorf("%q is no subnet such as 10.0.4.0/24", word)
	}
	var out []netip.Prefix
	if p.resolve != nil {
		for _, a := range p.resolve(word) {
			out = append(out, netip.PrefixFrom(a, a.BitLen()))
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%q is neither an address nor a member, nor any other word of a filter", word)
	}
	return out, nil
}

// partial reads an IPv4 network of one, two or three numbers, as pcap does: 10.1 is 10.1.0.0/16.
func partial(word string) (netip.Prefix, bool) {
	parts := strings.Split(word, ".")
	if len(parts) > 3 {
		return netip.Prefix{}, false
	}
	var a [4]byte
	for i, part := range parts {
		n, err := strconv.ParseUint(part, 10, 8)
		if err != nil {
			return netip.Prefix{}, false
		}
		a[i] = byte(n)
	}
	return netip.PrefixFrom(netip.AddrFrom4(a), 8*len(parts)), true
}

// ones counts the ones of a mask; whole says that no other follows a zero.
func ones(mask [4]byte) (bits int, whole bool) {
	bits, of := net.IPMask(mask[:]).Size()
	return bits, of != 0
}

func (p *parser) number(most uint64) (uint32, error) {
	word := p.take()
	n, err := strconv.ParseUint(word, 10, 32)
	if err != nil || n > most {
		return 0, fmt.Errorf("%q is no number of bytes", word)
	}
	return uint32(n), nil
}
