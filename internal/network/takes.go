package network

import (
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/option"
	"github.com/flocknet/flock/internal/state"
)

// What is set and not taken is refused here, by what a kind says that it takes.

// lack says in one sentence why networks do not have some options.
type lack struct {
	keys       []string
	next, text string // "%s" in text is the type
}

// refusal is the error of a network that has one of the options.
func (l lack) refusal(n *state.Network) error {
	return hint.Errorf("", l.next, "%s", strings.ReplaceAll(l.text, "%s", n.Type))
}

// lacksOfOthers are for kinds that say nothing else about these options.
func lacksOfOthers() []lack {
	return []lack{
		{[]string{"as", "mode", "hold", "reflectors", "before", "external"}, "leave away: as, mode, hold, reflectors, external", "a %s network speaks no BGP"},
		{[]string{"key", "ttl"}, "leave away: key, ttl", "a %s network has no key and no TTL: tunnels have"},
	}
}

// Takes says whether networks of the kind have the option of a key.
func (k *Kind) Takes(key string) bool { return slices.Contains(k.takes, key) }

// refuse refuses what n says and its kind does not take.
func (k *Kind) refuse(n *state.Network) error {
	for i := range option.All() {
		if o := &option.All()[i]; !slices.Contains(k.takes, o.Key) && o.IsSet(n) {
			return k.refusal(n, o)
		}
	}
	return nil
}

// refusal is the error of a network that has an option which its kind does not take.
func (k *Kind) refusal(n *state.Network, o *option.Option) error {
	for _, l := range slices.Concat(k.lacks, lacksOfOthers()) {
		if slices.Contains(l.keys, o.Key) {
			return l.refusal(n)
		}
	}
	next, text := "leave "+o.Flag()+" away", "%s networks have no %s"
	switch {
	case k.pool != nil:
		if others := poolsTaking(o.Key); len(others) > 0 && !slices.Contains(k.takes, o.Key) {
			next += ", or take the type " + strings.Join(others, " or ")
		}
	case o.Among == option.OfPools, o.Among == option.OfClouds:
		next += ", or take one of: " + ground.JoinWords(slices.Sorted(slices.Values(poolsTaking(o.Key))))
	case o.Among == option.OfMeshes:
		next, text = next+", or create a network of the type "+WireGuard, "a %s network has no %s"
	case o.Among == option.OfSegments && k.segment:
		next, text = next+segmentTaking(o.Key), "a %s network has no %s"
	case o.Among == option.OfSegments:
		next, text = next+segmentTaking(o.Key), "a %s network is layer 3 and has no %s"
	}
	return hint.Errorf(o.Key, next, text, n.Type, o.Flag())
}

// segmentTaking is advice to take a kind of segment that takes an option: l2 if it does, the
// last in the table.
func segmentTaking(key string) string {
	kind := ""
	for _, k := range kinds() {
		if k.segment && slices.Contains(k.takes, key) {
			kind = k.Name
		}
	}
	return ", or create a network of the type " + kind
}

// poolsTaking are the pool kinds that take an option.
func poolsTaking(key string) []string {
	var out []string
	for _, k := range kinds() {
		if k.pool != nil && slices.Contains(k.takes, key) {
			out = append(out, k.Name)
		}
	}
	return out
}
