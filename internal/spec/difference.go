package spec

import "strings"

// Difference shows the words that differ, with the word before them:
// "mtu 1400 -> 1450".
func Difference(have, want string) string {
	h, w := strings.Fields(have), strings.Fields(want)
	n := 0
	for n < len(h) && n < len(w) && h[n] == w[n] {
		n++
	}
	hEnd, wEnd := len(h), len(w)
	for hEnd > n && wEnd > n && h[hEnd-1] == w[wEnd-1] {
		hEnd, wEnd = hEnd-1, wEnd-1
	}
	if hEnd == n || wEnd == n { // words were added or removed: the word before them is not shown
		return orNone(h[n:hEnd]) + " -> " + orNone(w[n:wEnd])
	}
	return strings.Join(h[max(0, n-1):hEnd], " ") + " -> " + strings.Join(w[n:wEnd], " ")
}

func orNone(words []string) string {
	if len(words) == 0 {
		return "none"
	}
	return strings.Join(words, " ")
}
