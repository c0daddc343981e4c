//go:build linux

package agent

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
)

// Types and response codes of DNS (RFC 1035, RFC 3596) that decide something.
const (
	typeA, typePTR, typeAAAA                              = 1, 12, 28
	rcodeNoError, rcodeServFail, rcodeNXDomain, rcodeMask = 0, 2, 3, 15
	headerSize                                            = 12
)

// question is a DNS message that asks one thing.
type question struct {
	m     []byte
	end   int // of the question in m
	qtype uint16
}

func readQuestion(m []byte) (question, bool) {
	if len(m) < headerSize || m[2]&0x80 != 0 || binary.BigEndian.Uint16(m[4:]) != 1 {
		return question{}, false
	}
	at := headerSize
	for at < len(m) && m[at] != 0 {
		if m[at] > 63 { // no name is compressed here
			return question{}, false
		}
		at += 1 + int(m[at])
	}
	if at+5 > len(m) {
		return question{}, false
	}
	return question{m: m, end: at + 5, qtype: binary.BigEndian.Uint16(m[at+1:])}, true
}

// asks says whether q is about name.
func (q question) asks(name string) bool {
	var b []byte
	for label := range strings.SplitSeq(name, ".") {
		b = append(append(b, byte(len(label))), label...) //nolint:gosec // 63 at most
	}
	return strings.EqualFold(string(append(b, 0)), string(q.m[headerSize:q.end-4]))
}

// like is q with another id and type.
func (q question) like(id, qtype uint16) []byte {
	m := bytes.Clone(q.m)
	binary.BigEndian.PutUint16(m, id)
	binary.BigEndian.PutUint16(m[q.end-4:], qtype)
	return m
}

// negative is an answer to q without records.
func (q question) negative(rcode byte) []byte {
	m := bytes.Clone(q.m[:q.end])
	m[2] |= 0x80           // an answer
	m[3] = 0x80 | rcode    // recursion is available
	clear(m[6:headerSize]) // no records
	return m
}

// reply is a datagram from a leaf.
type reply struct {
	from netip.Addr
	m    []byte
}

// nameQuery is one question to all leaves. Who asks for one type of address is better off
// knowing about the other one: a name that has an address of the other family is
// there, and has none of this family. So both are asked for.
type nameQuery struct {
	q      question
	leaves []netip.Addr
	types  []uint16 // asked for: that of q first
	id     uint16   // of the first; the other has the next
	heard  map[netip.Addr]map[uint16]bool
	found  []byte
	known  netip.Addr // a leaf that knows the name
}

func newNameQuery(q question, leaves []netip.Addr) *nameQuery {
	p := &nameQuery{q: q, leaves: leaves, types: []uint16{q.qtype}, id: uint16(rand.Uint32()), heard: map[netip.Addr]map[uint16]bool{}} //nolint:gosec // any bits will do
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

// send asks those that are still to be heard. What does not go out stays unanswered.
func (p *nameQuery) send(c *net.UDPConn) {
	for _, a := range p.leaves {
		for i, t := range p.types {
			if !p.heard[a][t] {
				_, _ = c.WriteToUDPAddrPort(p.q.like(p.id+uint16(i), t), netip.AddrPortFrom(a, leafPort)) //nolint:gosec // 0 or 1
			}
		}
	}
}

// open says whether a leaf is still to be heard.
func (p *nameQuery) open(a netip.Addr) bool { return len(p.heard[a]) < len(p.types) }

// take notes what a leaf says, if it is about the question.
func (p *nameQuery) take(r reply) {
	if p.heard[r.from] == nil || len(r.m) < p.q.end || r.m[2]&0x80 == 0 {
		return
	}
	i := binary.BigEndian.Uint16(r.m) - p.id
	if int(i) >= len(p.types) || !bytes.Equal(r.m[headerSize:p.q.end], p.q.like(p.id, p.types[i])[headerSize:p.q.end]) {
		return
	}
	p.heard[r.from][p.types[i]] = true
	if r.m[3]&rcodeMask != rcodeNoError {
		return
	}
	p.known = r.from
	if i == 0 && binary.BigEndian.Uint16(r.m[6:]) > 0 {
		p.found = bytes.Clone(r.m)
		copy(p.found, p.q.m[:2])
	}
}

// verdict is the answer as soon as there is no doubt about it, otherwise nil. A name
// belongs to one leaf: what that does not know of it, nobody does.
func (p *nameQuery) verdict() []byte {
	if p.found != nil {
		return p.found
	}
	if p.known.IsValid() && p.heard[p.known][p.q.qtype] {
		return p.q.negative(rcodeNoError)
	}
	for _, a := range p.leaves {
		if p.open(a) {
			return nil
		}
	}
	if len(p.types) > 1 || p.q.qtype == typePTR {
		return p.q.negative(rcodeNXDomain)
	}
	return p.q.negative(rcodeNoError) // the name may have an address
}

// late is the answer when nobody is waited for any more: no such name, which without
// an SOA record nobody remembers (RFC 2308, 5). SERVFAIL would be truer, and dnsmasq
// and resolvers repeat what it answers: 1.6 s in all.
func (p *nameQuery) late() []byte {
	if p.known.IsValid() {
		return p.q.negative(rcodeNoError)
	}
	return p.q.negative(rcodeNXDomain)
}
