//go:build linux

package wg

import (
	"os"
	"testing"
)

// A device under a new name has the pair of before: its public half is seen before anything is
// made, and making a pair takes it over. Without one there it gets a pair of its own.
func TestKeysFollowTheirDevice(t *testing.T) {
	k := NewKeys(t.TempDir(), map[string]bool{})
	was, _, err := k.Public("wg-old", false)
	if err != nil {
		t.Fatal(err)
	}
	k.Former = map[string]string{"wg-new": "wg-old", "wg-other": "wg-none", "wg-bad": "../x"}
	for _, device := range []string{"wg-new", "wg-other", "wg-bad"} {
		there, err := k.Existing([]string{device})
		if err != nil {
			t.Fatal(err)
		}
		public, made, err := k.Public(device, false)
		if err != nil || made == "" || made != k.Files(device)[0] {
			t.Fatalf("%s: made %q, %v", device, made, err)
		}
		if follows := device == "wg-new"; (public == was) != follows || (there[device] == was) != follows {
			t.Errorf("%s: it was %s, is %s, exists %q", device, was, public, there[device])
		}
		if _, err := os.Stat(made); err != nil {
			t.Error(err)
		}
	}
}
