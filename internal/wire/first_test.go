package wire

import (
	"strings"
	"testing"
)

func TestPack(t *testing.T) {
	for _, text := range []string{"", "a/b%c", strings.Repeat("x", mostFirst*3/4-10)} {
		packed := Pack(text)
		var have string
		if err := Unmarshal(Unpack(packed), &have); err != nil || have != text {
			t.Errorf("%.20q became %.20q, %v", text, have, err)
		}
	}
	if packed := Pack(strings.Repeat("x", mostFirst)); packed != "" {
		t.Errorf("%d bytes are packed as %d", mostFirst, len(packed))
	}
	if packed := Pack(func() {}); packed != "" {
		t.Errorf("what is no message is packed as %q", packed)
	}
}

// Anybody may have set the variable.
func FuzzUnpack(f *testing.F) {
	f.Add("")
	f.Add("e30")
	f.Add("no base64: /+")
	f.Fuzz(func(t *testing.T, text string) {
		body := Unpack(text)
		if body != nil && len(body) == 0 {
			t.Fatalf("%q is an empty message", text)
		}
		var msg any
		_ = Unmarshal(body, &msg)
	})
}
