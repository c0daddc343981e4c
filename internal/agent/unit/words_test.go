//go:build linux

package unit

import (
	"strings"
	"testing"
)

func TestLastWords(t *testing.T) {
	for text, want := range map[string]string{
		"": "",
		"\ndnsmasq: failed to bind: Address already in use\nfailed to bind: Address already in use\nFAILED to start up\n": "failed to bind: Address already in use",
		"one\ntwo\n": "one; two",
		strings.Repeat("a", 300) + "\n" + strings.Repeat("b", 300): strings.Repeat("b", 300),
		strings.Repeat("c", 500):                                   strings.Repeat("c", wordsMost),
	} {
		if have := lastWords(text); have != want {
			t.Errorf("%q: want %q, have %q", text, want, have)
		}
	}
}
