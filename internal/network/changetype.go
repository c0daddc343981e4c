package network

import (
	"slices"
	"strconv"
	"strings"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/state"
)

// ChangeType gives a pool network another backend, with the same members, subnets and
// bridge. Options that the new one lacks are dropped, and returned in the words of the
// command line; what it has besides gets its default.
func ChangeType(c *state.Cluster, name, kind string) (dropped []string, err error) {
	n, err := networkOf(c, name)
	if err != nil {
		return nil, err
	}
	next := meaning(&state.Network{Type: kind})
	switch {
	case meaning(n).pool == nil:
		return nil, hint.Errorf("network "+name, "one of "+joinWords(pooledKinds())+" can become another", "change type of %s: it is a network of the type %s", name, n.Type)
	case next.pool == nil:
		return nil, hint.Errorf("network "+name, "one of: "+joinWords(slices.DeleteFunc(pooledKinds(), func(k string) bool { return k == n.Type })),
			"change type of %s: %s has no members with subnets of a pool", name, strconv.Quote(kind))
	case n.Type == kind:
		return nil, nil
	}
	for i := range AllOptions() {
		// A port belongs to its encapsulation: the new one has its own.
		if o := &AllOptions()[i]; o.isSet(n) && (o.Key == "port" || !slices.Contains(next.takes, o.Key)) {
			for _, words := range o.Said(n) {
				dropped = append(dropped, strings.Join(words, " "))
			}
			o.clear(n)
		}
	}
	n.Type = kind
	if err := fillIn(c, name, n); err != nil {
		return nil, hint.With(err, "network "+name, "")
	}
	return dropped, nil
}

// PoolTypes are the types that changetype knows, sorted.
func PoolTypes() []string { return pooledKinds() }
