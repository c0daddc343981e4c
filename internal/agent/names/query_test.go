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

// A name directly below a domain is asked for without it, and what is answered to that are the
// addresses of the whole name.
func TestNamesWithoutTheirDomain(t *testing.T) {
	head := []byte{0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0}
	ask := func(name string) Question {
		m := append(bytes.Clone(head), name...)
		q, ok := ReadQuestion(append(m, 0, 0, typeA, 0, 1))
		if !ok {
			t.Fatalf("%q is no question", name)
		}
		return q
	}
	whole := ask("\x02c1\x02n1")
	for name, want := range map[string]bool{"\x02c1\x02N1": true, "\x02c1": false, "\x01a\x02c1\x02n1": false, "\x02n1": false, "": false, "\x02c1\x02n1\x03lan": false} {
		if _, ok := ask(name).Host("n1"); ok != want {
			t.Errorf("%q: %v", name, ok)
		}
	}
	host, ok := whole.Host("n1")
	if !ok || !host.Asks("c1") || !bytes.Equal(host.m, ask("\x02c1").m) {
		t.Errorf("%v, %q", ok, host.m)
	}
	// Two addresses, one whose name is written out, and an alias, which is left out.
	answer := host.Negative(NoError)
	answer[7] = 3
	answer = append(answer, 0xc0, 12, 0, typeA, 0, 1, 0, 0, 0, 60, 0, 4, 10, 0, 0, 1)
	answer = append(answer, 0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 2, 0xc0, 12)
	answer = append(answer, 2, 'c', '1', 0, 0, typeAAAA, 0, 1, 0, 0, 0, 60, 0, 16)
	answer = append(answer, netip.MustParseAddr("fd00::1").AsSlice()...)
	want := whole.Negative(NoError)
	want[7] = 2
	want = append(want, 0xc0, 12, 0, typeA, 0, 1, 0, 0, 0, 60, 0, 4, 10, 0, 0, 1)
	want = append(want, 0xc0, 12, 0, typeAAAA, 0, 1, 0, 0, 0, 60, 0, 16)
	want = append(want, netip.MustParseAddr("fd00::1").AsSlice()...)
	if have := whole.Of(host, answer); !bytes.Equal(have, want) {
		t.Errorf("want %q,\nhave %q", want, have)
	}
	for i := host.end; i < len(answer); i++ { // what is cut off anywhere
		if have := whole.Of(host, answer[:i]); have[7] > 2 || len(have) > len(want) {
			t.Errorf("%d bytes: %q", i, have)
		}
	}
	if have := whole.Of(host, host.Negative(rcodeNXDomain)); !bytes.Equal(have, whole.Negative(rcodeNXDomain)) {
		t.Errorf("nobody's: %q", have)
	}
}
