package peering

import (
	"strings"
	"testing"
)

func TestParseRule(t *testing.T) {
	for text, want := range map[string]string{
		"10.0.0.0/8": "permit 10.0.0.0/8", "10.0.0.0/8 le 24": "permit 10.0.0.0/8 le 24", " 10.0.0.0/8  ge 16  le 24 ": "permit 10.0.0.0/8 ge 16 le 24",
		"10.0.0.0/8 le 24 ge 16": "permit 10.0.0.0/8 ge 16 le 24", "fd00::/8 le 64": "permit fd00::/8 le 64", "0.0.0.0/0": "permit 0.0.0.0/0",
		"": "", "10.0.0.0": "", "10.0.0.1/8": "", "10.0.0.0/8 le": "", "10.0.0.0/8 le 33": "", "10.0.0.0/8 le 4": "", "10.0.0.0/8 ge 24 le 16": "",
		"10.0.0.0/8 le 24 le 25": "", "10.0.0.0/8 eq 24": "", "10.0.0.0/8 ge x": "", "::ffff:10.0.0.0/104": "", "10.0.0.0/8 ge -1": "",
	} {
		have, err := ParseRule(text)
		if (err == nil) != (want != "") || err == nil && have.String() != want {
			t.Errorf("%q: want %q, have %q, %v", text, want, have, err)
		}
	}
}

// FuzzParseRule holds that what is read is written as it is read again.
func FuzzParseRule(f *testing.F) {
	for _, text := range []string{"10.0.0.0/8 ge 16 le 24", "fd00::/8", "0.0.0.0/0 le 32", "x ge"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseRule(text)
		if err != nil {
			return
		}
		again, err := ParseRule(strings.TrimPrefix(r.String(), "permit "))
		if err != nil || again != r {
			t.Fatalf("%q: %v, again %v, %v", text, r, again, err)
		}
	})
}
