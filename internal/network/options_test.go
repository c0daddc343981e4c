package network

import (
	"slices"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/option"
	"github.com/flocknet/flock/internal/state"
)

// What kinds say that they take is in the table, and every option is some kind's. Who has a
// flag is told how it is read.
func TestEveryOptionIsTaken(t *testing.T) {
	taken := map[string]bool{}
	for _, k := range kinds() {
		for _, key := range k.takes {
			taken[key] = true
			if !slices.ContainsFunc(option.All(), func(o option.Option) bool { return o.Key == key }) {
				t.Errorf("%s takes %s, which is no option", k.Name, key)
			}
		}
	}
	for _, o := range option.All() {
		if !taken[o.Key] {
			t.Errorf("no kind takes %s", o.Key)
		}
	}
}

// Every option of every kind can be given in place, or the answer says why not and what to do.
func TestEveryOptionIsSettableOrSaysWhatIsDone(t *testing.T) {
	settable := map[string]bool{}
	for _, k := range kinds() {
		n := &state.Network{Type: k.Name, Tunnel: k.Tunnel}
		for _, o := range option.All() {
			err := k.Settable("n1", n, o.Key)
			if err == nil {
				settable[o.Key] = true
				continue
			}
			_, next := hint.Of(err)
			if slices.Contains(k.takes, o.Key) && (!strings.HasPrefix(next, "flock ") || strings.Contains(next, "NAME")) || next == "" || len(err.Error()) < len(o.Key) {
				t.Errorf("%s %s: %v, next %q", k.Name, o.Key, err, next)
			}
		}
	}
	for _, o := range option.All() {
		if settable[o.Key] != o.Settable() {
			t.Errorf("%s has a flag: %v, is set: %v", o.Key, o.Settable(), settable[o.Key])
		}
	}
}
