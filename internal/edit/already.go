package edit

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/option"
	"github.com/flocknet/flock/internal/state"
)

// A script may be run twice. What an edit adds and is there already, with the values that
// are asked for, stays as it is; what it takes out and is not there is gone. Both are no
// error and no change. Where something else is there, the error names the command that
// changes it.

// isGone says whether there is no network of a name, and no server that may be meant.
func isGone(c *state.Cluster, name string) bool {
	return c.Networks[name] == nil && c.Servers[name] == nil
}

// noServer is the error about a server that is not there: nil, unless it is a network.
func noServer(c *state.Cluster, name string) error {
	if c.Networks[name] == nil {
		return nil
	}
	return hint.AsUnknown(hint.Errorf("server "+name, "flock removenetwork "+name+", or flock listservers", "unknown server %s: that is a network", name))
}

// sameServer refuses values that the server of a name does not have.
func sameServer(name string, old, given *state.Server) error {
	other := state.Server{}
	differs := false
	for _, p := range properties() {
		var want, have, zero state.Server
		p.copy(&want, given)
		p.copy(&have, old)
		if !reflect.DeepEqual(want, zero) && !reflect.DeepEqual(want, have) {
			p.copy(&other, given)
			differs = true
		}
	}
	if !differs {
		return nil
	}
	words := []string{"flock", "setserver", name}
	if other.User != "" || other.Address != "" || other.Port != 0 {
		words = append(words, option.Login(given))
	}
	for _, w := range [][2]string{{"-i", other.Identity}, {"-J", other.Jump}, {"--interface", other.Interface}, {"--endpoint", other.Endpoint}} {
		if w[1] != "" {
			words = append(words, w[0], w[1])
		}
	}
	if other.NAT {
		words = append(words, "--nat")
	}
	return hint.Errorf("server "+name, hint.Shell(words...), "add server %s: the name is taken, with other values", name)
}

// sameNetwork refuses a type or options that the network of a name does not have.
func sameNetwork(c *state.Cluster, name, kind string, o option.Options) error {
	n := c.Networks[name]
	if n.Type != kind || n.Tunnel {
		next := "flock listnetworks " + name + ", or another name"
		if to := network.KindOf(&state.Network{Type: kind}); network.KindOf(n).Pooled() && to.Pooled() {
			next = "flock changetype " + name + " " + kind
		}
		return hint.Errorf("network "+name, next, "create network %s: the name is taken, by a %s network", name, n.Type)
	}
	if len(o) == 0 {
		return nil
	}
	trial := c.Clone()
	if _, err := Set(trial, name, o, nil); err != nil {
		return err
	}
	if reflect.DeepEqual(trial.Networks[name], n) {
		return nil
	}
	return hint.Errorf("network "+name, "flock setnetwork "+name+flagsOf(trial.Networks[name], o), "create network %s: the name is taken, with other options", name)
}

// flagsOf are the flags of createnetwork that give n its values of o, with a space before
// each.
func flagsOf(n *state.Network, o option.Options) string {
	var out strings.Builder
	for _, opt := range option.All() {
		if _, given := o[opt.Key]; given {
			for _, value := range opt.Words(n) {
				out.WriteString(" " + hint.Shell(value...))
			}
		}
	}
	return out.String()
}

// sameBGP refuses a first member and options that the network of a name does not have.
func sameBGP(name string, n *state.Network, anchor string, o BGPOptions) error {
	if !network.KindOf(n).BGP {
		return hint.Errorf("network "+name, "flock listnetworks "+name+", or another name", "create network %s: the name is taken, by a %s network", name, n.Type)
	}
	if o.AS != 0 && o.AS != n.AS || o.Mode != "" && o.Mode != n.Mode || o.Hold != nil && int(*o.Hold) != n.Hold || o.BFD != 0 && o.BFD != n.BFD {
		return hint.Errorf("network "+name, "flock setnetwork "+name+o.flags(), "create network %s: the name is taken, with other options", name)
	}
	if !ground.HasMember(n, ground.ServerOf(anchor)) {
		return hint.Errorf("network "+name, "flock addbgp "+name+" peer "+anchor, "create network %s: the name is taken, by a network without %s", name, ground.ServerOf(anchor))
	}
	return nil
}

// flags are those of o, with a space before each.
func (o BGPOptions) flags() string {
	text := ""
	if o.AS != 0 {
		text += " --as " + option.FormatAS(o.AS)
	}
	if o.Mode != "" {
		text += " " + hint.Shell("--mode", o.Mode)
	}
	if o.Hold != nil {
		text += fmt.Sprintf(" --hold %d", *o.Hold)
	}
	if o.BFD != 0 {
		text += fmt.Sprintf(" --bfd=%d", o.BFD)
	}
	return text
}

// sameTunnel refuses a tunnel that is not like the one of its name.
func sameTunnel(name string, old, n *state.Network, o TunnelOptions) error {
	same := network.KindOf(old).Tunnel && old.Type == n.Type && slices.Equal(old.Members, n.Members) &&
		(o.Key == nil || old.Key == n.Key) && (o.TTL == nil || old.TTL == n.TTL) && (len(n.Subnets) == 0 || slices.Equal(old.Subnets, n.Subnets))
	if same {
		for server, a := range n.Allocated {
			same = same && old.Allocated[server] != nil && slices.Equal(old.Allocated[server].Addrs, a.Addrs)
		}
	}
	if same {
		return nil
	}
	next := "flock deltunnel " + name + ", then the same again, or --name with another name"
	switch ends := slices.EqualFunc(old.Members, n.Members, func(a, b string) bool { return ground.ServerOf(a) == ground.ServerOf(b) }); {
	case ends && old.Type == n.Type && network.KindOf(old).Tunnel:
		next = "flock setnetwork " + name + o.flags() + ", or --name with another name"
	case !network.KindOf(old).Tunnel:
		next = "--name with another name, or flock removenetwork " + name
	}
	return hint.Errorf("", next, "the name is taken by another %s network", old.Type)
}

// flags are those of o that setnetwork has, with a space before each.
func (o TunnelOptions) flags() string {
	text := ""
	if o.Local.IsValid() {
		text += " -l " + o.Local.String()
	}
	if o.Remote.IsValid() {
		text += " -r " + o.Remote.String()
	}
	for i, p := range o.Addresses {
		text += map[bool]string{true: " --addresses ", false: ","}[i == 0] + p.String()
	}
	if o.Key != nil {
		text += fmt.Sprintf(" --key %d", *o.Key)
	}
	if o.TTL != nil {
		text += fmt.Sprintf(" --ttl %d", *o.TTL)
	}
	if text == "" {
		text = " --unset local"
	}
	return text
}
