package trace

import (
	"bytes"
	"encoding/base64"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/flocknet/flock/internal/trace/kernel"
)

// Answered says whether an answer is among what From's server heard.
func (t *Trace) Answered(heard []string) bool {
	return slices.ContainsFunc(t.sightings(t.From.Server, heard), func(s Sighting) bool { return s.what == isAnswer })
}

// What a sighting is.
const (
	isPacket = 1 + iota
	isAsk
	isAnswer
	isError // an ICMP error about it

	refusal = 1       // the code of an answer that is TCP's RST
	v6      = 1 << 16 // in the code of an error of ICMP for IPv6
)

// Sighting is the packet, a question for a MAC, or an answer, on a device.
type Sighting struct {
	Server, Device string
	Out            bool
	what           int
	from           netip.Addr // of an answer or error
	code           int        // of an ICMP error: type and code
	index          int
}

// sightings reads what a server heard.
func (t *Trace) sightings(server string, list []string) []Sighting {
	var out []Sighting
	f := t.facts(place{server, ""})
	for _, one := range list {
		at := strings.IndexAny(one, "<>")
		if at < 0 {
			continue
		}
		index, _ := strconv.Atoi(one[:at])
		b, err := base64.StdEncoding.DecodeString(one[at+1:])
		if err != nil {
			continue
		}
		s := Sighting{Server: server, Device: f.name(index), Out: one[at] == '>', index: index}
		if s.what, s.from, s.code = t.classify(b); s.what != 0 {
			out = append(out, s)
		}
	}
	return out
}

// classify says what a packet is, by the IP header before the mark: what is outside of that
// does not count. Addresses may be translated on the way, of one end.
func (t *Trace) classify(b []byte) (what int, from netip.Addr, code int) {
	header := headerOf(t.sent.dst)
	behind := 8 // of ICMP's and UDP's header
	if t.Protocol == protoTCP {
		behind = 20
	}
	at, acknowledged := bytes.LastIndex(b, t.sent.mark)-behind-header, false
	if at < 0 && t.Protocol == protoTCP {
		at = bytes.LastIndex(b, t.sent.answer) - 8 - header
		if acknowledged = at >= 0 && len(b) >= at+header+20 && b[at+header+13]&0x10 != 0; !acknowledged {
			at = -1
		}
	}
	if at < 0 {
		if slices.ContainsFunc(t.sent.asks, func(ask []byte) bool { return asksFor(b, ask) }) {
			what, from = isAsk, t.sent.src
		}
		return what, from, 0
	}
	src, dst := addressesOf(b[at:], header)
	if kind, of := icmpError(b[:at], header); kind != 0 {
		return isError, of, kind
	}
	return t.either(src, dst, b[at+header:], acknowledged)
}

// either tells the packet from its answer, by what is behind the IP header: of a server's own
// addresses both have the same ends.
func (t *Trace) either(src, dst netip.Addr, b []byte, acknowledged bool) (what int, from netip.Addr, code int) {
	there, back := dst == t.sent.dst || src == t.sent.src, src == t.sent.dst || dst == t.sent.src
	answers := acknowledged
	switch t.Protocol {
	case protoTCP:
		code = int(b[13] >> 2 & refusal)
	case protoUDP:
		answers = !there
	default:
		answers = b[0] != t.sent.data[0]
	}
	switch {
	case !answers && there:
		return isPacket, src, 0
	case answers && back:
		return isAnswer, src, code
	}
	return 0, from, 0
}

// asksFor says whether b is the question for a MAC that contains ask: of IPv6 one of type 135,
// whose target that is.
func asksFor(b, ask []byte) bool {
	at := bytes.Index(b, ask)
	return at >= 0 && (len(ask) < 20 || at >= 44 && b[at-38] == protoICMP6 && b[at-4] == 135)
}

// addressesOf are those of an IP header of some length.
func addressesOf(b []byte, header int) (src, dst netip.Addr) {
	if header == 40 {
		return kernel.AddrOf(b[8:24]), kernel.AddrOf(b[24:40])
	}
	return kernel.AddrOf(b[12:16]), kernel.AddrOf(b[16:20])
}

// icmpError is the type and code of an ICMP error that ends with b, and who sent it; 0: there is
// none.
func icmpError(b []byte, header int) (code int, from netip.Addr) {
	at := len(b) - header - 8
	if at < 0 {
		return 0, from
	}
	h, kind := b[at:], b[at+header]
	from, _ = addressesOf(h, header)
	is4 := header == 20 && h[0]>>4 == 4 && h[9] == protoICMP && slices.Contains([]byte{3, 11, 12}, kind)
	is6 := header == 40 && h[0]>>4 == 6 && h[6] == protoICMP6 && kind < 128
	if !is4 && !is6 {
		return 0, from
	}
	return header/40*v6 | int(kind)<<8 | int(b[at+header+1]), from
}

// What is a word for a sighting: packet, question (who has the address), answer, error.
func (s Sighting) What() string {
	return [...]string{"", "packet", "question", "answer", "error"}[s.what]
}
