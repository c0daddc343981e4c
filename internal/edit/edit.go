package edit

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/option"
	"github.com/flocknet/flock/internal/state"
)

// AddServer writes a new server down. The name must be free and not reserved;
// s.Interface, if any, must be an interface name or an address. A server that is there, with
// the values that s has, stays as it is.
func AddServer(c *state.Cluster, name string, s state.Server) error {
	if old := c.Servers[name]; old != nil {
		return sameServer(name, old, &s)
	}
	if err := network.CheckServer(c, name, &s); err != nil {
		return hint.With(fmt.Errorf("add server %s: %w", name, err), "server "+name, "")
	}
	if c.Servers == nil {
		c.Servers = map[string]*state.Server{}
	}
	c.Servers[name] = &s
	return nil
}

// DelServer takes a server out. One that is a member of a network, or its DHCP
// server, is refused unless force, which takes it out of those first. One that is not there
// is no error.
func DelServer(c *state.Cluster, name string, force bool) error {
	if c.Servers[name] == nil {
		return noServer(c, name)
	}
	member := ground.Networks(c, name)
	if len(member) > 0 && !force {
		return hint.Errorf("server "+name, network.LeaveCommand(c, member[0], name),
			"delete server %s: it is a member of %s", name, strings.Join(member, ", "))
	}
	// The workstation can be asked for before it is a server, and so after.
	if handsOut := handingOut(c, name); len(handsOut) > 0 && !force && name != network.Local {
		return hint.Errorf("network "+handsOut[0]+", dhcp-server", "flock delserver "+name+" --force",
			"delete server %s: it is the DHCP server that was asked for (-n) of %s", name, strings.Join(handsOut, ", "))
	}
	if err := leaveAll(c, name); err != nil {
		return err
	}
	for _, of := range handingOut(c, name) {
		c.Networks[of].DHCPServer = ""
	}
	delete(c.Servers, name)
	return nil
}

// handingOut returns the names of the networks that name server for their DHCP
// server, sorted. It need not be a member of them.
func handingOut(c *state.Cluster, server string) []string {
	return slices.DeleteFunc(c.NetworkNames(), func(name string) bool { return c.Networks[name].DHCPServer != server })
}

// Strip takes everything but its entry from a server of the cluster, also what it
// leads: what its removal comes to while it can still be asked.
func Strip(c *state.Cluster, name string) error {
	for _, n := range c.Networks {
		if n.Lead == name {
			n.Lead = "" // the next one, for a plan
		}
	}
	if err := leaveAll(c, name); err != nil {
		return err
	}
	for _, of := range handingOut(c, name) {
		c.Networks[of].DHCPServer = ""
	}
	c.Servers[name].Attached = nil
	return SetSubnet(c, name, netip.Prefix{})
}

// leaveAll takes a server out of its networks.
func leaveAll(c *state.Cluster, name string) error {
	for _, of := range ground.Networks(c, name) {
		if network.KindOf(c.Networks[of]).Tunnel { // with one end it is none
			delete(c.Networks, of)
			continue
		}
		if err := leave(of, c.Networks[of], []string{name}); err != nil {
			return err
		}
	}
	detachLost(c)
	return nil
}

// Create writes a new network of a kind down. One of the kind that is there, with these
// options, stays as it is.
func Create(c *state.Cluster, name, kind string, o option.Options) error {
	if old := c.Networks[name]; old != nil && slices.Contains(network.Created(), kind) {
		return sameNetwork(c, name, kind, o)
	}
	if err := freeName(c, "create network "+name, name); err != nil {
		return err
	}
	if k := network.KindOf(&state.Network{Type: kind}); k.Command != "" {
		text := "create network %s: a %s network begins with its first member"
		if k.Tunnel {
			text = "create network %s: %s is a type of tunnels"
		}
		return hint.Errorf("network "+name, network.Filled(k.Command, name, "SERVER"), text, name, kind)
	}
	if !slices.Contains(network.Created(), kind) {
		next := "one of: " + ground.JoinWords(network.Created())
		if slices.Contains(network.Created(), name) { // the other way round
			next = "flock createnetwork " + kind + " " + name
		}
		return hint.Errorf("network "+name, next, "create network %s: unknown type %q", name, kind)
	}
	n := &state.Network{Type: kind}
	if err := network.Give(n, o); err != nil {
		return hint.With(fmt.Errorf("create network %s: %w", name, err), "network "+name, "")
	}
	if c.Networks == nil {
		c.Networks = map[string]*state.Network{}
	}
	c.Networks[name] = n
	// The new one first: what it clashes with is not to blame.
	if err := network.FillIn(c, name, n); err != nil {
		return ground.OfNetwork(name, err)
	}
	return network.CheckNewcomer(c, "network "+name)
}

// freeName refuses names that a network cannot get. Doing is what for: create network n1.
func freeName(c *state.Cluster, doing, name string) error {
	if err := state.CheckName("network", name); err != nil {
		return hint.With(err, "network "+name, "")
	}
	if c.Networks[name] != nil {
		return hint.Errorf("network "+name, "flock listnetworks "+name, "%s: the name is taken", doing)
	}
	if err := network.CheckNetworkName(name); err != nil {
		return hint.With(fmt.Errorf("%s: %w", doing, err), "network "+name, "")
	}
	return nil
}

// Join makes members (SERVER, SERVER:INTERFACE, SERVER:IP) part of a network. A server
// that is a member already keeps its addresses; its underlay becomes what is named now.
func Join(c *state.Cluster, name string, members []string) error {
	if len(c.Networks) == 0 {
		return hint.Unknown("network", name, "flock createnetwork "+name+" vxlan")
	}
	n, err := networkOf(c, name)
	if err != nil {
		return err
	}
	if len(members) > 0 {
		if err := needsRole(n, "addnetwork", name, meantFirst(c, members)); err != nil {
			return err
		}
	}
	return join(c, name, n, members)
}

// JoinMoving is Join for members of a bridge network whose interfaces' addresses, and routes
// by them, move to the bridge.
func JoinMoving(c *state.Cluster, name string, members []string) error {
	if err := Join(c, name, members); err != nil {
		return err
	}
	n := c.Networks[name]
	for _, m := range members {
		if server := ground.ServerOf(m); !slices.Contains(n.Moves, server) {
			n.Moves = append(n.Moves, server)
		}
	}
	return nil
}

func join(c *state.Cluster, name string, n *state.Network, members []string) error {
	at := make(map[string]int, len(n.Members))
	for i, m := range n.Members {
		at[ground.ServerOf(m)] = i
	}
	for _, text := range members {
		m, err := state.ParseMember(text)
		if err != nil {
			return hint.With(err, "network "+name, "")
		}
		if err := knowServer(c, m.Server); err != nil {
			return hint.With(fmt.Errorf("add %s to %s: %w", m.Server, name, err), "network "+name, "")
		}
		if i, in := at[m.Server]; in {
			n.Members[i] = m.String()
			continue
		}
		at[m.Server] = len(n.Members)
		n.Members = append(n.Members, m.String())
	}
	return nil
}

// knowServer refuses a server that the cluster does not have. The workstation
// itself needs no addserver.
func knowServer(c *state.Cluster, name string) error {
	if c.Servers[name] != nil {
		return nil
	}
	if name == network.Local {
		return AddServer(c, network.Local, state.Server{})
	}
	return ground.UnknownServer(name)
}

func networkOf(c *state.Cluster, name string) (*state.Network, error) {
	if n := c.Networks[name]; n != nil {
		return n, nil
	}
	if c.Servers[name] != nil {
		return nil, hint.AsUnknown(hint.Errorf("network "+name, "the network's name first, then the servers'; flock listnetworks", "unknown network %s: that is a server", name))
	}
	return nil, hint.Unknown("network", name, "flock listnetworks")
}

// Leave takes servers out of a network. What was dealt to them is free again. Servers that
// are no members, and a network that is not there, are no error: here and wherever something
// is taken out.
func Leave(c *state.Cluster, name string, servers []string) error {
	if isGone(c, name) {
		return nil
	}
	n, err := networkOf(c, name)
	if err != nil {
		return err
	}
	if len(servers) > 0 {
		if err := needsRole(n, "delnetwork", name, meantFirst(c, servers)); err != nil {
			return err
		}
	}
	if err := leave(name, n, servers); err != nil {
		return err
	}
	detachLost(c)
	return nil
}

func leave(name string, n *state.Network, servers []string) error {
	for i, server := range servers {
		if slices.Contains(servers[:i], server) {
			continue
		}
		at := slices.IndexFunc(n.Members, func(m string) bool { return ground.ServerOf(m) == server })
		if at < 0 {
			continue
		}
		if server == n.Lead {
			return hint.Errorf("network "+name, "flock removenetwork "+name, "remove %s from %s: it is the lead server, which goes only with the network", server, name)
		}
		forgetShares(n, server)
		forgetSpeaker(n, server)
		n.Members = slices.Delete(n.Members, at, at+1)
		n.Docker = slices.DeleteFunc(n.Docker, func(s string) bool { return s == server })
		n.Moves = slices.DeleteFunc(n.Moves, func(s string) bool { return s == server })
		delete(n.Allocated, server)
	}
	return nil
}

// Remove takes a network out, with all its members.
func Remove(c *state.Cluster, name string) error {
	if isGone(c, name) {
		return nil
	}
	if _, err := networkOf(c, name); err != nil {
		return err
	}
	delete(c.Networks, name)
	detachLost(c)
	return nil
}

// SetSubnet gives a server its own container bridge. The bridge has the first
// address of the prefix unless host bits name another; an invalid prefix takes the
// bridge away.
func SetSubnet(c *state.Cluster, server string, subnet netip.Prefix) error {
	return Adopt(c, server, subnet, "")
}

// Adopt is SetSubnet, where bridge, of LXC, Docker or libvirt, has the subnet instead: by the
// configuration of that program.
func Adopt(c *state.Cluster, server string, subnet netip.Prefix, bridge string) error {
	if err := knowServer(c, server); err != nil {
		return err
	}
	c.Servers[server].Subnet, c.Servers[server].Adopt = network.BridgeAddr(subnet), bridge
	detachLost(c)
	return network.CheckNewcomer(c, ground.OwnSubnet(server))
}
