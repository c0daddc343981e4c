package edit

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/state"
)

// A wireguard network has roles: one lead server, which joins first and goes with
// the network, clients, and the subnets that they share.

// withRoles finds a network whose members have roles.
func withRoles(c *state.Cluster, name, role string) (*state.Network, error) {
	n, err := networkOf(c, name)
	if err != nil {
		return nil, err
	}
	switch kind := network.KindOf(n); {
	case kind.Roles:
		return n, nil
	case kind.NoRole != nil:
		return nil, kind.NoRole(n, name)
	}
	return nil, hint.Errorf("network "+name, "flock addnetwork "+name+" SERVER...", "%s is a %s network: it has members, no %s", name, n.Type, role)
}

// withShares finds a network whose members share subnets.
func withShares(c *state.Cluster, name string) (*state.Network, error) {
	if n := c.Networks[name]; n != nil && network.KindOf(n).Shares() {
		return n, nil
	}
	return withRoles(c, name, "shared subnets")
}

// meantFirst is the first of words that names a server of the cluster: those before it
// were meant for something else. Without any, a placeholder for advice.
func meantFirst(c *state.Cluster, words []string) string {
	for _, word := range words {
		if name := ground.ServerOf(word); c.Servers[name] != nil || name == network.Local {
			return word
		}
	}
	return "SERVER"
}

// needsRole refuses to treat members of a network with roles as members without.
func needsRole(n *state.Network, verb, name, server string) error {
	if refuse := network.KindOf(n).WithoutRole; refuse != nil {
		return refuse(n, verb, name, server)
	}
	return nil
}

// JoinLead makes member the lead of a network that has none. The lead joins with
// another underlay when it is named again.
func JoinLead(c *state.Cluster, name, member string) error {
	n, err := withRoles(c, name, "lead server")
	if err != nil {
		return err
	}
	server := ground.ServerOf(member)
	if n.Lead != "" && n.Lead != server {
		return hint.Errorf("network "+name, "flock addnetwork "+name+" client "+server,
			"add %s to %s: it has a lead server already, %s", server, name, n.Lead)
	}
	if err := join(c, name, n, []string{member}); err != nil {
		return err
	}
	n.Lead = cmp.Or(n.Lead, ground.ServerOf(n.Members[0]))
	return nil
}

// JoinClients makes members part of a network that has a lead, as Join does.
func JoinClients(c *state.Cluster, name string, members []string) error {
	n, err := withRoles(c, name, "clients")
	if err != nil {
		return err
	}
	if n.Lead == "" {
		return hint.With(fmt.Errorf("add %s to %s: %w", ground.ServerOf(members[0]), name, errNoLead), "network "+name,
			"flock addnetwork "+name+" server SERVER")
	}
	for _, m := range members {
		if ground.ServerOf(m) == n.Lead {
			return hint.Errorf("network "+name, "flock addnetwork "+name+" server "+m, "add %s to %s: it is the lead server there", n.Lead, name)
		}
	}
	return join(c, name, n, members)
}

// LeaveClients takes clients out of a network, with what they share.
func LeaveClients(c *state.Cluster, name string, servers []string) error {
	if isGone(c, name) {
		return nil
	}
	if n := c.Networks[name]; n != nil && !network.KindOf(n).Roles && len(servers) > 0 {
		return hint.Errorf("network "+name, network.LeaveCommand(c, name, servers[0]), "%s is a %s network: it has members, no clients", name, n.Type)
	}
	n, err := withRoles(c, name, "clients")
	if err != nil {
		return err
	}
	return leave(name, n, servers)
}

// ForceOut is LeaveClients for servers that are dead: the lead may be among them, and the
// member that joined next takes its place.
func ForceOut(c *state.Cluster, name string, servers []string) error {
	n, err := withRoles(c, name, "clients")
	if isGone(c, name) || err != nil {
		return LeaveClients(c, name, servers)
	}
	if slices.Contains(servers, n.Lead) {
		n.Lead = ""
		for _, m := range n.Members {
			if server := ground.ServerOf(m); !slices.Contains(servers, server) {
				n.Lead = server
				break
			}
		}
		if n.Lead == "" {
			return hint.Errorf("network "+name, "flock removenetwork "+name, "remove all members of %s: without a lead server there is no network", name)
		}
	}
	return LeaveClients(c, name, servers)
}

// AddShares lets members share container subnets (SERVER:CIDR). What is shared
// already stays as it is. In a pool network a server that is not a member yet becomes
// one, and the subnet is its own; a member announces it beside its own.
func AddShares(c *state.Cluster, name string, shares []string, force bool) error {
	n, err := withShares(c, name)
	if err != nil {
		return err
	}
	if network.KindOf(n).JoinsByShare() {
		if err := joinTold(c, n, shares); err != nil {
			return hint.With(err, "network "+name, "")
		}
	}
	return addShares(c, n, shares, force)
}

// joinTold makes servers members that a subnet is named for.
func joinTold(c *state.Cluster, n *state.Network, shares []string) error {
	member := make(map[string]bool, len(n.Members))
	for _, m := range n.Members {
		member[ground.ServerOf(m)] = true
	}
	for _, text := range shares {
		s, err := state.ParseShare(text)
		if err != nil {
			return err
		}
		if member[s.Server] {
			continue
		}
		if err := knowServer(c, s.Server); err != nil {
			return err
		}
		member[s.Server] = true
		n.Members = append(n.Members, s.Server)
	}
	return nil
}

func addShares(c *state.Cluster, n *state.Network, shares []string, force bool) error {
	shared := make(map[string]bool, len(n.Shares))
	for _, text := range n.Shares {
		shared[text] = true
	}
	for _, text := range shares {
		s, err := state.ParseShare(text)
		if err != nil {
			return err
		}
		if c.Servers[s.Server] == nil {
			return ground.UnknownServer(s.Server)
		}
		if network.KindOf(n).Pooled() && n.Allocated[s.Server] != nil && slices.Contains(n.Allocated[s.Server].Subnets, s.Subnet) {
			continue // dealt to it
		}
		if text = s.String(); !shared[text] {
			shared[text] = true
			n.Shares = append(n.Shares, text)
		}
		if force && !slices.Contains(n.Forced, text) {
			n.Forced = append(n.Forced, text)
		}
	}
	return nil
}

// DelShares ends the sharing of container subnets (SERVER:CIDR).
func DelShares(c *state.Cluster, name string, shares []string) error {
	if isGone(c, name) {
		return nil
	}
	n, err := withShares(c, name)
	if err != nil {
		return err
	}
	return delShares(name, n, shares)
}

func delShares(name string, n *state.Network, shares []string) error {
	for _, text := range shares {
		s, err := state.ParseShare(text)
		if err != nil {
			return err
		}
		if network.KindOf(n).Pooled() && network.Dealt(n, s) {
			return hint.Errorf("network "+name, "flock delnetwork "+name+" "+s.Server, "%s is the subnet of %s in %s: it goes with the member", s.Subnet, s.Server, name)
		}
		n.Shares = slices.DeleteFunc(n.Shares, func(have string) bool { return have == s.String() })
	}
	unforce(n)
	return nil
}

// forgetShares ends what a server shares in n.
func forgetShares(n *state.Network, server string) {
	n.Shares = slices.DeleteFunc(n.Shares, func(text string) bool { return ground.ServerOf(text) == server })
	unforce(n)
}

// unforce forgets that shares which are none any more were forced, or several members'.
func unforce(n *state.Network) {
	n.Forced = slices.DeleteFunc(n.Forced, func(text string) bool { return !slices.Contains(n.Shares, text) })
	if len(n.Forced) == 0 {
		n.Forced = nil
	}
	n.Anycast = slices.DeleteFunc(n.Anycast, func(p netip.Prefix) bool {
		return !slices.ContainsFunc(n.Shares, func(text string) bool { return strings.HasSuffix(text, ":"+p.String()) })
	})
	if len(n.Anycast) == 0 {
		n.Anycast = nil
	}
}

var errNoLead = errors.New("the network has no lead server yet")
