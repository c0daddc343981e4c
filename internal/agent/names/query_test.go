package names

import (
	"bytes"
	"net/netip"
	"testing"
)

// ask1 is a DNS message that asks for a type of name c1.
func ask1(qtype byte) []byte {
	return append([]byte{0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0}, 2, 'c', '1', 0, 0, qtype, 0, 1)
}

func TestQuestionsAreReadWithCare(t *testing.T) {
	whole := ask1(typeA)
	q, ok := ReadQuestion(append(bytes.Clone(whole), 0, 0, 41)) // what follows, such as EDNS
	if !ok || q.qtype != typeA || q.end != len(whole) || !q.Asks("C1") || q.Asks("c1.vxapp") {
		t.Errorf("%v, %+v", ok, q)
	}
	for i := range whole {
		if _, ok := ReadQuestion(whole[:i]); ok {
			t.Errorf("%d bytes are taken for a question", i)
		}
	}
	for at, b := range map[int]byte{2: 0x81, 5: 2, 12: 0xc0, 13: 0} {
		m := bytes.Clone(whole)
		m[at] = b
		if q, ok := ReadQuestion(m); ok && (at != 13 || q.Asks("c1")) {
			t.Errorf("byte %d as %d: is taken for a question", at, b)
		}
	}
}

// What the leaves say decides, whatever the order.
func TestVerdictOfLeaves(t *testing.T) {
	one, two := netip.MustParseAddr("10.0.4.254"), netip.MustParseAddr("10.0.4.253")
	stranger := netip.MustParseAddr("10.0.4.7")
	const refused, yes, nodata = 5, 100, 0
	type says struct {
		from  netip.Addr
		other bool // of the other family
		what  byte
	}
	for name, test := range map[string]struct {
		heard []says
		now   int // code of the answer; -1: none yet, yes: with records
		late  int
	}{
		"nobody yet":               {nil, -1, rcodeNXDomain},
		"known at once":            {[]says{{one, false, yes}}, yes, -1},
		"another family":           {[]says{{one, true, yes}, {one, false, refused}}, NoError, -1},
		"another family, not this": {[]says{{one, true, yes}}, -1, NoError},
		"without such a record":    {[]says{{one, false, nodata}}, NoError, -1},
		"one knows nothing":        {[]says{{one, false, refused}, {one, true, refused}}, -1, rcodeNXDomain},
		"nobody knows":             {[]says{{one, false, refused}, {one, true, refused}, {two, false, refused}, {two, true, refused}}, rcodeNXDomain, -1},
		"a stranger knows":         {[]says{{stranger, false, yes}}, -1, rcodeNXDomain},
		"asked back":               {[]says{{one, false, refused}, {one, false, refused}}, -1, rcodeNXDomain},
	} {
		q, _ := ReadQuestion(ask1(typeAAAA))
		p := NewQuery(q, []netip.Addr{one, two}, 0xffff)
		for _, s := range test.heard {
			qtype, id := uint16(typeAAAA), p.id
			if s.other {
				qtype, id = typeA, p.id+1
			}
			m := q.like(id, qtype)
			m[2] |= 0x80
			if m[3] = s.what; s.what == yes {
				m[3], m[7] = NoError, 1
			}
			p.Take(Message{s.from, m})
		}
		if have := codeOf(p.Verdict()); have != test.now {
			t.Errorf("%s: the verdict is %d, want %d", name, have, test.now)
		}
		if test.late >= 0 && codeOf(p.Late()) != test.late {
			t.Errorf("%s: in the end %d, want %d", name, codeOf(p.Late()), test.late)
		}
	}
}

func codeOf(m []byte) int {
	switch {
	case m == nil:
		return -1
	case m[0] != 0x12 || m[1] != 0x34:
		return -2 // not the id of who asks
	case m[7] > 0:
		return 100
	}
	return int(m[3] & rcodeMask)
}
