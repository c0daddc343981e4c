package names

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strings"
)

// NoError and ServFail are response codes of DNS (RFC 1035, 4.1.1): the name is there, and
// nobody could find out.
const NoError, ServFail = 0, 2

// Types and response codes of DNS (RFC 1035, RFC 3596) that decide something.
const (
	typeA, typePTR, typeAAAA = 1, 12, 28
	rcodeNXDomain, rcodeMask = 3, 15
	headerSize               = 12
)

// Question is a DNS message that asks one thing.
type Question struct {
	m     []byte
	end   int // of the question in m
	qtype uint16
}

// ReadQuestion reads a DNS message; false: it is no question. Nothing of m is copied.
func ReadQuestion(m []byte) (Question, bool) {
	if len(m) < headerSize || m[2]&0x80 != 0 || binary.BigEndian.Uint16(m[4:]) != 1 {
		return Question{}, false
	}
	at := headerSize
	for at < len(m) && m[at] != 0 {
		if m[at] > 63 { // no name is compressed here
			return Question{}, false
		}
		at += 1 + int(m[at])
	}
	if at+5 > len(m) {
		return Question{}, false
	}
	return Question{m: m, end: at + 5, qtype: binary.BigEndian.Uint16(m[at+1:])}, true
}

// Asks says whether q is about name.
func (q Question) Asks(name string) bool { return isName(q.m[headerSize:q.end-4], name) }

// isName says whether b is name as messages have it.
func isName(b []byte, name string) bool {
	for len(b) > 0 && b[0] != 0 {
		label, rest, _ := strings.Cut(name, ".")
		if len(b) <= int(b[0]) || !strings.EqualFold(string(b[1:1+b[0]]), label) {
			return false
		}
		b, name = b[1+b[0]:], rest
	}
	return name == "" && len(b) == 1
}

// Reverse says whether q asks what an address is called.
func (q Question) Reverse() bool { return q.qtype == typePTR }

// Host is q without domain, which the name that it asks for is directly below of; false: it is not.
func (q Question) Host(domain string) (Question, bool) {
	label := headerSize + 1 + int(q.m[headerSize])
	if label >= q.end-4 || !isName(q.m[label:q.end-4], domain) {
		return q, false
	}
	m := append(append(bytes.Clone(q.m[:label]), 0), q.m[q.end-4:q.end]...)
	clear(m[6:headerSize]) // no records
	return Question{m: m, end: len(m), qtype: q.qtype}, true
}

// Of is an answer to host, which is q without its domain, as one to q: its addresses.
func (q Question) Of(host Question, answer []byte) []byte {
	if host.end == q.end {
		return answer
	}
	const fixed = 10 // type, class, TTL, length
	out, found := q.Negative(answer[3]&rcodeMask), uint16(0)
	for at, n := host.end, binary.BigEndian.Uint16(answer[6:]); n > 0; n-- {
		for at < len(answer) && answer[at] != 0 && answer[at] < 0xc0 {
			at += 1 + int(answer[at])
		}
		if at >= len(answer) {
			break
		}
		if at++; answer[at-1] != 0 { // the rest of the name is elsewhere
			at++
		}
		if at+fixed > len(answer) {
			break
		}
		end := at + fixed + int(binary.BigEndian.Uint16(answer[at+8:]))
		if end > len(answer) {
			break
		}
		if kind := binary.BigEndian.Uint16(answer[at:]); kind == typeA || kind == typeAAAA {
			out, found = append(append(out, 0xc0, headerSize), answer[at:end]...), found+1
		}
		at = end
	}
	binary.BigEndian.PutUint16(out[6:], found)
	return out
}

// like is q with another id and type.
func (q Question) like(id, qtype uint16) []byte {
	m := bytes.Clone(q.m)
	binary.BigEndian.PutUint16(m, id)
	binary.BigEndian.PutUint16(m[q.end-4:], qtype)
	return m
}

// Negative is an answer to q without records.
func (q Question) Negative(rcode byte) []byte {
	m := bytes.Clone(q.m[:q.end])
	m[2] |= 0x80           // an answer
	m[3] = 0x80 | rcode    // recursion is available
	clear(m[6:headerSize]) // no records
	return m
}

// Message is a datagram from a leaf, or for one.
type Message struct {
	Leaf netip.Addr
	Text []byte
}

// Query is one question to all leaves. Who asks for one type of address is better off
// knowing about the other one: a name that has an address of the other family is
// there, and has none of this family. So both are asked for.
type Query struct {
	q      Question
	leaves []netip.Addr
	types  []uint16 // asked for: that of q first
	id     uint16   // of the first; the other has the next
	heard  map[netip.Addr]map[uint16]bool
	found  []byte
	known  netip.Addr // a leaf that knows the name
}

// NewQuery asks leaves what q asks. Its messages have id as theirs, and the one after it.
func NewQuery(q Question, leaves []netip.Addr, id uint16) *Query {
	p := &Query{q: q, leaves: leaves, types: []uint16{q.qtype}, id: id, heard: map[netip.Addr]map[uint16]bool{}}
	switch q.qtype {
	case typeA:
		p.types = append(p.types, typeAAAA)
	case typeAAAA:
		p.types = append(p.types, typeA)
	}
	for _, a := range leaves {
		p.heard[a] = map[uint16]bool{}
	}
	return p
}

// Unheard are the messages that still have no answer, and the leaf that each is for.
func (p *Query) Unheard() []Message {
	var out []Message
	for _, a := range p.leaves {
		for i, t := range p.types {
			if !p.heard[a][t] {
				out = append(out, Message{a, p.q.like(p.id+uint16(i), t)}) //nolint:gosec // 0 or 1
			}
		}
	}
	return out
}

// Open says whether a leaf is still to be heard.
func (p *Query) Open(a netip.Addr) bool { return len(p.heard[a]) < len(p.types) }

// Take notes what a leaf says, if it is about the question.
func (p *Query) Take(r Message) {
	if p.heard[r.Leaf] == nil || len(r.Text) < p.q.end || r.Text[2]&0x80 == 0 {
		return
	}
	i := binary.BigEndian.Uint16(r.Text) - p.id
	if int(i) >= len(p.types) || !bytes.Equal(r.Text[headerSize:p.q.end], p.q.like(p.id, p.types[i])[headerSize:p.q.end]) {
		return
	}
	p.heard[r.Leaf][p.types[i]] = true
	if r.Text[3]&rcodeMask != NoError {
		return
	}
	p.known = r.Leaf
	if i == 0 && binary.BigEndian.Uint16(r.Text[6:]) > 0 {
		p.found = bytes.Clone(r.Text)
		copy(p.found, p.q.m[:2])
	}
}

// Verdict is the answer as soon as there is no doubt about it, otherwise nil. A name
// belongs to one leaf: what that does not know of it, nobody does.
func (p *Query) Verdict() []byte {
	if p.found != nil {
		return p.found
	}
	if p.known.IsValid() && p.heard[p.known][p.q.qtype] {
		return p.q.Negative(NoError)
	}
	for _, a := range p.leaves {
		if p.Open(a) {
			return nil
		}
	}
	if len(p.types) > 1 || p.q.qtype == typePTR {
		return p.q.Negative(rcodeNXDomain)
	}
	return p.q.Negative(NoError) // the name may have an address
}

// Late is the answer when nobody is waited for any more: no such name, which without
// an SOA record nobody remembers (RFC 2308, 5). SERVFAIL would be truer, and dnsmasq
// and resolvers repeat what it answers: 1.6 s in all.
func (p *Query) Late() []byte {
	if p.known.IsValid() {
		return p.q.Negative(NoError)
	}
	return p.q.Negative(rcodeNXDomain)
}
