package network

import (
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/option"
	"github.com/flocknet/flock/internal/state"
)

// Settable refuses keys of options that a network of the kind cannot be given in place, and
// says what to do.
func (k *Kind) Settable(name string, n *state.Network, key string) error {
	at := slices.IndexFunc(option.All(), func(o option.Option) bool { return o.Key == key })
	switch {
	case at < 0:
		return hint.Errorf("", "one of: "+ground.JoinWords(k.Options()), "%q is not an option of a %s network", key, n.Type)
	case !slices.Contains(k.takes, key):
		return k.refusal(n, &option.All()[at])
	case !option.All()[at].Settable():
		text, next := k.elsewhere(key)
		return hint.Errorf(key, Filled(next, name, "SERVER"), "setnetwork does not change %s: %s", key, text)
	}
	return nil
}

// elsewhere says why an option of the kind is none of setnetwork's, and what changes it.
func (k *Kind) elsewhere(key string) (text, next string) {
	switch key {
	case "shares":
		share := "flock addnetwork NAME subnet SERVER:CIDR"
		if k.BGP {
			share = "flock addbgp NAME network SERVER:CIDR"
		}
		return "members share subnets", share + ", or " + strings.Replace(k.commands.unshare, "SHARE", "SERVER:CIDR", 1)
	case "anycast":
		return "members share subnets", "flock addbgp NAME network SERVER:CIDR --anycast"
	case "reflectors":
		return "members are told one by one", "flock addbgp NAME reflector SERVER, or flock delbgp NAME reflector SERVER"
	case "before":
		return "sessions of before end by themselves", "flock apply NAME"
	case "external":
		return "each router has options of its own", "flock addbgp NAME external SERVER PEERIP, with what is another"
	case "lead":
		return "the first member leads as long as there is the network", "flock removenetwork NAME, and flock createnetwork NAME " + k.Name
	case "mesh":
		return "it is between the members alone, and flock chooses it", "flock removenetwork NAME, and flock createnetwork NAME " + k.Name
	}
	return "it says what the network is", k.commands.remove + ", and " + k.Command
}

// Options are the keys of the options that networks of the kind can be given in place,
// sorted.
func (k *Kind) Options() []string {
	var out []string
	for _, o := range option.All() {
		if o.Settable() && slices.Contains(k.takes, o.Key) {
			out = append(out, o.Key)
		}
	}
	slices.Sort(out)
	return out
}
