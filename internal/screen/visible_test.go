package screen

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestVisible(t *testing.T) {
	for text, want := range map[string]string{
		"plain ünï 漢字 …": "plain ünï 漢字 …", "a\u00a0b": "a\u00a0b", `C:\n`: `C:\n`,
		"\x1b[2J": `\x1b[2J`, "a\nb\r\tc": `a\nb\r\tc`, "a\x00\x7f": `a\x00\x7f`, "\u009b31m": `\u009b31m`, "\x9b31m": `\x9b31m`,
		"\u202etxt.exe": `\u202etxt.exe`, "\u2066\u2069\u200e\u061c": `\u2066\u2069\u200e\u061c`, "a\u200bb\ufeff": `a\u200bb\ufeff`, "\u2028": `\u2028`, "\U000e0041": `\U000e0041`, "\ufffd": "\ufffd",
	} {
		if have := Visible(text); have != want {
			t.Errorf("%q: %s, want %s", text, have, want)
		}
	}
}

func FuzzVisible(f *testing.F) {
	f.Add("\x1b[2J\u202e\xff")
	f.Fuzz(func(t *testing.T, text string) {
		have := Visible(text)
		if !utf8.ValidString(have) || strings.ContainsFunc(have, hidden) || Visible(have) != have {
			t.Errorf("%q: %q", text, have)
		}
	})
}

func TestPartsOfAnError(t *testing.T) {
	two := errors.Join(errors.New("a"), errors.New("b"))
	wrapped := fmt.Errorf("dial: %w: %w", errors.New("unreachable"), errors.New("refused"))
	for _, test := range []struct {
		err  error
		want int
	}{{nil, 0}, {errors.New("a"), 1}, {two, 2}, {wrapped, 1}} {
		if have := len(Parts(test.err)); have != test.want {
			t.Errorf("%v: want %d, have %d", test.err, test.want, have)
		}
	}
}
