package screen

import (
	"slices"
	"testing"
)

func TestNamesAreCounted(t *testing.T) {
	want := []string{"", "1", "2", "10", "a", "a1b", "a1b2", "a1b10", "a2", "s", "s01", "s1", "s2", "s9", "s10", "s10x", "s100", "t", "web-2", "web-10"}
	for i, a := range want {
		for j, b := range want {
			if have := ByName(a, b); (have < 0) != (i < j) || (have == 0) != (i == j) {
				t.Errorf("%q and %q: %d", a, b, have)
			}
		}
	}
	have := slices.Clone(want)
	slices.Reverse(have)
	slices.SortFunc(have, ByName)
	if !slices.Equal(want, have) {
		t.Errorf("want %q, have %q", want, have)
	}
}
