package network

import (
	"slices"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/option"
	"github.com/flocknet/flock/internal/state"
)

// Settable refuses keys of options that a network of the kind cannot be given in place.
func (k *Kind) Settable(name string, n *state.Network, key string) error {
	if k.Command != "" {
		return hint.Errorf("", Filled(k.commands.remove+", then "+k.Command, name, "SERVER"), "setnetwork is for networks of createnetwork, and this is a %s network", k.Name)
	}
	at := slices.IndexFunc(option.All(), func(o option.Option) bool { return o.Key == key && o.Help != "" })
	switch {
	case at < 0:
		return hint.Errorf("", "one of: "+ground.JoinWords(k.Options()), "%q is not an option of createnetwork", key)
	case !slices.Contains(k.takes, key):
		return k.refusal(n, &option.All()[at])
	}
	return nil
}

// Options are the keys of the options that networks of the kind can be given by
// createnetwork, sorted.
func (k *Kind) Options() []string {
	var out []string
	for _, o := range option.All() {
		if o.Help != "" && slices.Contains(k.takes, o.Key) {
			out = append(out, o.Key)
		}
	}
	slices.Sort(out)
	return out
}
