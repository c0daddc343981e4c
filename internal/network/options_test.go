package network

import (
	"slices"
	"testing"

	"github.com/flocknet/flock/internal/option"
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
