package screen

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestTableFitsTheTerminal(t *testing.T) {
	tab := Table{Head: []string{"NAME", "OPTIONS", "STATE"}}
	tab.Add("vx1", "vni"+NoBreak+"42 port"+NoBreak+"4789 bridge"+NoBreak+"vxl0", "ready")
	tab.Add("a-name-without-any-blank", "", "pending s1 s2 s3 s4")
	for _, test := range []struct {
		width int
		whole bool
		most  int
	}{{0, false, 80}, {80, false, 80}, {60, false, 60}, {40, false, 40}, {40, true, 46}} {
		var b bytes.Buffer
		tab.Whole = test.whole
		if err := tab.Write(&b, test.width); err != nil {
			t.Fatal(err)
		}
		text := b.String()
		for line := range strings.Lines(text) {
			line = strings.TrimSuffix(line, "\n")
			if n := utf8.RuneCountInString(line); n > test.most || strings.HasSuffix(line, " ") {
				t.Errorf("width %d: line of %d: %q", test.width, n, line)
			}
		}
		if test.width == 0 && strings.Count(text, "\n") != 3 {
			t.Errorf("one row is not one line:\n%s", text)
		}
		if whole := strings.Contains(text, "a-name-without-any-blank"); whole != (test.width != 40 || test.whole) {
			t.Errorf("width %d, whole %v:\n%s", test.width, test.whole, text)
		}
		if !strings.Contains(text, "vni 42") || strings.Contains(text, NoBreak) {
			t.Errorf("words that belong together are apart:\n%s", text)
		}
	}
}
