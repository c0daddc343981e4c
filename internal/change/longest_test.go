package change

import (
	"slices"
	"testing"

	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// Who has most to do begins first; equals stay in order.
func TestLongestFirst(t *testing.T) {
	var list []*peer
	for name, steps := range map[string]int{"a": 1, "b": 3, "c": 1, "d": 0} {
		list = append(list, &peer{name: name, plan: &spec.Plan{Steps: make([]spec.Step, steps)}})
	}
	slices.SortFunc(list, func(a, b *peer) int { return slices.Compare([]byte(a.name), []byte(b.name)) })
	servers := map[string]*state.Server{"a": {}, "b": {}, "c": {}, "d": {}}
	var have string
	for _, p := range slices.Concat((&run{c: &state.Cluster{Servers: servers}}).waves(list)...) {
		have += p.name
	}
	if have != "bacd" {
		t.Errorf("want bacd, have %s", have)
	}
}
