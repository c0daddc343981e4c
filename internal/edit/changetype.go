package edit

import (
	"slices"
	"strconv"
	"strings"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/option"
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
	next := network.KindOf(&state.Network{Type: kind})
	switch {
	case !network.KindOf(n).Pooled():
		return nil, hint.Errorf("network "+name, "one of "+ground.JoinWords(network.PoolTypes())+" can become another", "change type of %s: it is a network of the type %s", name, n.Type)
	case !next.Pooled():
		return nil, hint.Errorf("network "+name, "one of: "+ground.JoinWords(slices.DeleteFunc(network.PoolTypes(), func(k string) bool { return k == n.Type })),
			"change type of %s: %s has no members with subnets of a pool", name, strconv.Quote(kind))
	case n.Type == kind:
		return nil, nil
	}
	for i := range option.All() {
		// A port belongs to its encapsulation: the new one has its own.
		if o := &option.All()[i]; o.IsSet(n) && (o.Key == "port" || !next.Takes(o.Key)) {
			for _, words := range o.Said(n) {
				dropped = append(dropped, strings.Join(words, " "))
			}
			o.Clear(n)
		}
	}
	n.Type = kind
	if err := network.FillIn(c, name, n); err != nil {
		return nil, hint.With(err, "network "+name, "")
	}
	return dropped, nil
}
