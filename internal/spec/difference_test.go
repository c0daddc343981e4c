package spec

import "testing"

func TestDifferenceShowsWhatDiffers(t *testing.T) {
	for _, c := range []struct{ have, want, text string }{
		{"route x via a dev d", "route x via b dev d", "via a -> b"},
		{"route x via a dev d", "route x via b dev e", "via a dev d -> b dev e"},
		{"route x dev d", "route x dev d onlink", "none -> onlink"},
		{"route x via a dev d", "route x dev d", "via a -> none"},
		{"gateway a filter-dhcp network n", "gateway a network n", "filter-dhcp -> none"},
	} {
		if have := Difference(c.have, c.want); have != c.text {
			t.Errorf("%q, %q: want %q, have %q", c.have, c.want, c.text, have)
		}
	}
}
