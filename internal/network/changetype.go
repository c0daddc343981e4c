package network

import (
	"slices"
	"strconv"

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
	next, known := backends()[kind]
	switch {
	case !Pooled(n):
		return nil, hint.Errorf("network "+name, "one of "+joinWords(pooledKinds())+" can become another", "change type of %s: it is a network of the type %s", name, n.Type)
	case !known:
		return nil, hint.Errorf("network "+name, "one of: "+joinWords(slices.DeleteFunc(pooledKinds(), func(k string) bool { return k == n.Type })),
			"change type of %s: %s has no members with subnets of a pool", name, strconv.Quote(kind))
	case n.Type == kind:
		return nil, nil
	}
	if n.VNI != 0 && next.vni == 0 {
		dropped, n.VNI = append(dropped, "vni "+strconv.Itoa(int(n.VNI))), 0
	}
	if n.Port != 0 {
		// A port belongs to its encapsulation: the new one has its own.
		dropped, n.Port = append(dropped, "port "+strconv.Itoa(int(n.Port))), 0
	}
	if n.GBP && next.vni == 0 {
		dropped, n.GBP = append(dropped, "gbp"), false
	}
	if n.Direct && !next.direct {
		dropped, n.Direct = append(dropped, "direct-routing"), false
	}
	n.Type = kind
	if err := kinds()[kind].Complete(c, name, n); err != nil {
		return nil, hint.With(err, "network "+name, "")
	}
	return dropped, Complete(c)
}

// PoolTypes are the types that changetype knows, sorted.
func PoolTypes() []string { return pooledKinds() }
