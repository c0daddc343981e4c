package edit

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/state"
)

// Replace makes the wish of c that of wish: its servers, networks and options, as
// a file written by hand or an earlier generation has them. What was dealt out to
// a network that stays (subnet, VNI, bridge, members' addresses) is kept where
// wish is silent, and what was seen on the servers is kept always.
//
// Servers that wish does not have are stripped of everything but their entry,
// which is needed to take things off them, and returned, sorted: DelServer them
// afterwards.
func Replace(c, wish *state.Cluster) (gone []string, err error) {
	if wish.Name != "" && c.Name != "" && wish.Name != c.Name {
		return nil, hint.Errorf("cluster "+c.Name, "--cluster "+wish.Name, "the file is cluster %s, not %s", wish.Name, c.Name)
	}
	w := wish.Clone()
	if err := renameAlike(c, w); err != nil {
		return nil, err
	}
	before := c.Clone().Networks
	for name, n := range w.Networks {
		holdDealt(n, c.Networks[name])
	}
	c.Networks = w.Networks
	if c.Servers == nil {
		c.Servers = map[string]*state.Server{}
	}
	for _, name := range c.ServerNames() {
		if w.Servers[name] == nil && (name != network.Local || !isMember(w, network.Local)) {
			c.Servers[name].Subnet, c.Servers[name].Adopt, c.Servers[name].Attached = netip.Prefix{}, "", nil
			gone = append(gone, name)
		}
	}
	for name, s := range w.Servers {
		s.Facts, s.Confirmed = nil, nil
		if old := c.Servers[name]; old != nil {
			s.Facts, s.Confirmed, s.Born = old.Facts, old.Confirmed, cmp.Or(s.Born, old.Born)
		}
		c.Servers[name] = s
	}
	if err := checkOneName(c, w.ServerNames()); err != nil {
		return nil, err
	}
	for _, name := range c.NetworkNames() {
		for _, text := range c.Networks[name].Members {
			m, err := state.ParseMember(text)
			if err != nil {
				return nil, err
			}
			if slices.Contains(gone, m.Server) {
				return nil, ground.OfNetwork(name, hint.Pin(ground.UnknownServer(m.Server), "members"))
			}
			if err := knowServer(c, m.Server); err != nil {
				return nil, ground.OfNetwork(name, hint.Pin(err, "members"))
			}
		}
	}
	if err := network.Complete(c); err != nil {
		return nil, err
	}
	if err := completeWithout(c, gone); err != nil {
		return nil, err
	}
	holdAllSessions(c, before)
	return gone, nil
}

// completeWithout refuses a cluster that makes no sense without servers: one that
// still names them.
func completeWithout(c *state.Cluster, gone []string) error {
	if len(gone) == 0 {
		return nil
	}
	without := c.Clone()
	for _, name := range gone {
		delete(without.Servers, name)
	}
	return network.Complete(without)
}

// renameAlike gives servers of c the names that w has for them: those of one that w has no
// name for, and that is reached as a new one of w.
func renameAlike(c, w *state.Cluster) error {
	for _, now := range w.ServerNames() {
		if c.Servers[now] != nil || now == network.Local {
			continue
		}
		for _, was := range c.ServerNames() {
			if w.Servers[was] == nil && was != network.Local && wayTo(was, c.Servers[was]) == wayTo(now, w.Servers[now]) {
				if err := RenameServer(c, was, now); err != nil {
					return hint.Pin(err, "server "+now)
				}
				break
			}
		}
	}
	return nil
}

// reached is how a server is reached.
type reached struct {
	address, jump string
	port          uint16
}

func wayTo(name string, s *state.Server) reached {
	return reached{cmp.Or(s.Address, name), s.Jump, cmp.Or(s.Port, 22)}
}

// checkOneName refuses servers among names that are reached like another one: one
// machine has one name, each would remove what the other asks for. What only the
// machine itself tells is for whoever talks to it.
func checkOneName(c *state.Cluster, names []string) error {
	first := map[reached]string{}
	for _, name := range c.ServerNames() {
		s := c.Servers[name]
		other, taken := first[wayTo(name, s)]
		switch {
		case !taken:
			first[wayTo(name, s)] = name
		case other == name, s.Address == "": // a name in ssh's config
		case slices.Contains(names, name), slices.Contains(names, other):
			if !slices.Contains(names, name) {
				name, other = other, name
			}
			return hint.Errorf("server "+name, "use "+other+", or flock delserver "+other+" --force, then the same again",
				"%s has the address of server %s (%s)", name, other, s.Address)
		}
	}
	return nil
}

// holdAllSessions keeps the sessions that BGP networks had before beside those that
// they are to have, as far as their members are the same.
func holdAllSessions(c *state.Cluster, before map[string]*state.Network) {
	for _, name := range c.NetworkNames() {
		n, old := c.Networks[name], before[name]
		if !network.KindOf(n).BGP || old == nil || !network.KindOf(old).BGP || n.Before != nil {
			continue
		}
		was := state.Sessions{Mode: old.Mode, Reflectors: slices.DeleteFunc(slices.Clone(old.Reflectors), func(s string) bool { return !ground.HasMember(n, s) })}
		if was.Mode == state.Mesh || len(was.Reflectors) > 0 {
			holdSessions(n, was)
		}
	}
}

func isMember(c *state.Cluster, server string) bool { return len(ground.Networks(c, server)) > 0 }

// holdDealt takes what was dealt out to old into n, as far as n says nothing else.
func holdDealt(n, old *state.Network) {
	both := old != nil && network.KindOf(old).Pooled() && network.KindOf(n).Pooled()
	if old == nil || !both && network.KindOf(old) != network.KindOf(n) {
		return
	}
	if len(n.Subnets) == 0 {
		n.Subnets = slices.Clone(old.Subnets)
	}
	if n.VNI == 0 && network.KindOf(old) == network.KindOf(n) {
		n.VNI = old.VNI
	}
	if len(n.SubnetLens) == 0 && slices.Equal(n.Subnets, old.Subnets) {
		n.SubnetLens = slices.Clone(old.SubnetLens)
	}
	if n.Bridge == "" && !both { // of a pool network it is a wish
		n.Bridge = old.Bridge
	}
	if network.KindOf(n).Encrypted && n.Port == 0 {
		n.Port = old.Port
	}
	if !n.Mesh.IsValid() {
		n.Mesh = old.Mesh
	}
	if n.Lead == "" && ground.HasMember(n, old.Lead) {
		n.Lead = old.Lead
	}
	for i := range n.Externals {
		e := &n.Externals[i]
		if at := network.ExternalAt(old, e.Server, e.Address); at >= 0 && e.Password == "" {
			e.Password = old.Externals[at].Password
		}
	}
	// Addresses out of another subnet are of no use.
	if n.Allocated == nil && slices.Equal(n.Subnets, old.Subnets) {
		n.Allocated = map[string]*state.Allocation{}
		for server, a := range old.Allocated {
			kept := *a
			n.Allocated[server] = &kept
		}
	}
	// Keys change on the servers: what was last heard of them holds.
	for server, a := range n.Allocated {
		if was := old.Allocated[server]; was != nil && was.Key != "" {
			a.Key = was.Key
		}
	}
}
