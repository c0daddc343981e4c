package screen

import "testing"

func TestFoldText(t *testing.T) {
	const text = "One two three\nfour five.\n\n  flock six seven eight nine\n\nFlags:\n  -t, --ten N   eleven twelve thirteen\n"
	const want = "One two\nthree four\nfive.\n\n  flock six seven eight nine\n\nFlags:\n  -t, --ten N   eleven\n      twelve\n      thirteen\n"
	if have := FoldText(text, 12); have != want {
		t.Errorf("want\n%s\nhave\n%s", want, have)
	}
}
