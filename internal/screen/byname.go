package screen

import (
	"cmp"
	"strings"
)

// ByName sorts names as people do: s2 before s10.
func ByName(a, b string) int {
	x, y := a, b
	for x != "" && y != "" {
		n, m := digitsIn(x), digitsIn(y)
		if n == 0 || m == 0 {
			if x[0] != y[0] {
				return cmp.Compare(x[0], y[0])
			}
			x, y = x[1:], y[1:]
			continue
		}
		p, q := strings.TrimLeft(x[:n], "0"), strings.TrimLeft(y[:m], "0")
		if c := cmp.Or(cmp.Compare(len(p), len(q)), cmp.Compare(p, q)); c != 0 {
			return c
		}
		x, y = x[n:], y[m:]
	}
	// Equal numbers (s1, s01) are sorted as text.
	return cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(a, b))
}

// digitsIn is how many digits s begins with.
func digitsIn(s string) int {
	return len(s) - len(strings.TrimLeft(s, "0123456789"))
}
