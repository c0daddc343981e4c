package edit

import (
	"cmp"
	"strings"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/state"
)

// RenameServer gives a server another name, in everything that names it. What follows from
// its first name on the wire stays: MAC addresses. After an error c is as it was.
func RenameServer(c *state.Cluster, name, to string) error {
	s := c.Servers[name]
	if s == nil {
		return ground.UnknownServer(name)
	}
	where := "server " + name
	switch {
	case name == network.Local || to == network.Local:
		return hint.Errorf(where, "another name for another server", "%s is the name of this workstation, and no other server's", network.Local)
	case c.Servers[to] != nil:
		return hint.Errorf(where, "flock listservers", "rename %s: the name %s is taken", name, to)
	}
	if err := network.CheckServer(c, to, s); err != nil {
		return hint.Pin(err, where)
	}
	s.Born = cmp.Or(s.Born, name)
	if s.Born == to {
		s.Born = ""
	}
	if s.Address == "" {
		s.Address = name // which ssh's config knows
	}
	delete(c.Servers, name)
	c.Servers[to] = s
	for _, n := range c.Networks {
		renameIn(n, name, to)
	}
	return nil
}

// renameIn gives a server another name in a network.
func renameIn(n *state.Network, name, to string) {
	whole := func(text *string) {
		if *text == name {
			*text = to
		}
	}
	for _, list := range [][]string{n.Members, n.Shares, n.Forced} {
		for i, text := range list {
			if rest, found := strings.CutPrefix(text, name); found && (rest == "" || rest[0] == ':') {
				list[i] = to + rest
			}
		}
	}
	whole(&n.Lead)
	whole(&n.DHCPServer)
	for i := range n.Reflectors {
		whole(&n.Reflectors[i])
	}
	for i := range n.Moves {
		whole(&n.Moves[i])
	}
	for i := range n.Docker {
		whole(&n.Docker[i])
	}
	if n.Before != nil {
		for i := range n.Before.Reflectors {
			whole(&n.Before.Reflectors[i])
		}
	}
	for i := range n.Externals {
		whole(&n.Externals[i].Server)
	}
	if a := n.Allocated[name]; a != nil {
		delete(n.Allocated, name)
		n.Allocated[to] = a
	}
}

// RenameNetwork gives a network another name. What follows from its first name on the wire
// stays: MAC addresses. After an error c is as it was.
func RenameNetwork(c *state.Cluster, name, to string) error {
	n, err := networkOf(c, name)
	if err != nil {
		return err
	}
	if name == to {
		return nil
	}
	if err := freeName(c, "rename network "+name+" to "+to, to); err != nil {
		return hint.Pin(err, "network "+name)
	}
	n.Born = cmp.Or(n.Born, name)
	if n.Born == to {
		n.Born = ""
	}
	delete(c.Networks, name)
	c.Networks[to] = n
	return nil
}
