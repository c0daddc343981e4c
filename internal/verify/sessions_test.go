package verify

import "testing"

// TestHandshake: the end that knows least speaks for a pair.
func TestHandshake(t *testing.T) {
	t.Parallel()
	n := &Network{Name: "wirex"}
	end := func(from, to string, age int) Tried {
		return Tried{Leg: Leg{From: from, To: to}, Handshake: &age}
	}
	for _, test := range []struct {
		ends []Tried
		want string
	}{
		{nil, ""},
		{[]Tried{{}, {}}, ""},
		{[]Tried{end("s1", "s2", 9), end("s2", "s1", 7)}, " They had a handshake 9 s before: their keys are right."},
		{[]Tried{end("s1", "s2", 7), {}}, " They had a handshake 7 s before: their keys are right."},
		{[]Tried{end("s1", "s2", 0), end("s2", "s1", 180)}, " They had a handshake 180 s before: their keys are right."},
		{[]Tried{end("s1", "s2", 181), end("s2", "s1", 5)}, " Their session has expired: the last handshake was 181 s before, and what was sent now brought no new one. If UDP passes (flock probe s1 s2), flock rotatekeys wirex s2 begins anew."},
		{[]Tried{end("s1", "s2", 5), end("s2", "s1", -1)}, " s2 has had no handshake with s1 yet."},
	} {
		if have := n.handshake(test.ends...); have != test.want {
			t.Errorf("%v: %s", test.ends, have)
		}
	}
}
