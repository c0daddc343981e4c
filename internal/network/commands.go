package network

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/state"
)

// commands are what networks of a kind are changed by, as advice names them: NAME stands
// for the network, SERVER for a member, SHARE for what it shares.
type commands struct {
	join, leave         string // "" for join: members cannot be added
	joinLead, leaveLead string // of the lead; "": as of all
	joinFirst           string // of the first member; "": as of all
	remove, unshare     string
}

var memberCommands = commands{
	join: "flock addnetwork NAME SERVER", leave: "flock delnetwork NAME SERVER",
	remove: "flock removenetwork NAME", unshare: "flock delnetwork NAME subnet SHARE",
}

// Filled is a command with the names in it.
func Filled(command, name, server string) string {
	return strings.NewReplacer("NAME", name, "SERVER", server).Replace(command)
}

// joinCommand is what the member of server follows; "" for a tunnel, whose ends are
// flags.
func joinCommand(name string, n *state.Network, server string) string {
	of := meaning(n).commands
	command := of.join
	switch {
	case of.joinFirst != "" && len(n.Members) == 1:
		command = of.joinFirst
	case of.joinLead != "" && n.Lead == server:
		command = of.joinLead
	}
	command, _, _ = strings.Cut(command, " SERVER")
	return Filled(command, name, "")
}

// Joining is the command that makes server a member of n.
func Joining(n *state.Network, name, server string) string {
	of := meaning(n).commands
	command := cmp.Or(of.join, "flock listnetworks NAME")
	if of.joinLead != "" && len(n.Members) == 0 {
		command = of.joinLead
	}
	return Filled(command, name, server)
}

// LeaveCommand is the command that takes server out of network.
func LeaveCommand(c *state.Cluster, network, server string) string {
	n := c.Networks[network]
	of := meaning(n).commands
	if of.leaveLead != "" && n.Lead == server {
		return Filled(of.leaveLead, network, server)
	}
	return Filled(of.leave, network, server)
}

// RemoveCommand is the command that removes n.
func RemoveCommand(n *state.Network, name string) string {
	return Filled(meaning(n).commands.remove, name, "")
}

// unsharing is the command that ends the sharing of p.
func unsharing(n *state.Network, name, server string, p netip.Prefix) string {
	command := strings.Replace(meaning(n).commands.unshare, "SHARE", "SERVER:"+p.String(), 1)
	return Filled(command, name, server)
}

// Shown says whether a listing of members has a column that only some kinds have: ADDRESS,
// SUBNET, SHARED, MAC, KEY.
func (k *Kind) Shown(column string) bool {
	if k.columns == nil {
		return column == "ADDRESS"
	}
	return slices.Contains(k.columns, column)
}

// Pooled says whether members are dealt subnets of a pool.
func (k *Kind) Pooled() bool { return k.pool != nil }

// Masquerades says whether containers of n leave by their server's address.
func (k *Kind) Masquerades(n *state.Network) bool {
	return !n.NoMasq && (k.segment || k.pool != nil && n.Bridge != "")
}

// Words are what may follow the network's name in addnetwork, or in delnetwork where leave
// is true; none where servers follow.
func (k *Kind) Words(n *state.Network, leave bool) []string {
	switch {
	case k.Tunnel:
		return []string{"subnet"}
	case !k.Roles:
		return nil
	case leave:
		return []string{"client", "subnet"}
	case n.Lead == "":
		return []string{"server"}
	}
	return []string{"client", "subnet"}
}

// Shares says whether members share subnets by addnetwork.
func (k *Kind) Shares() bool { return k.Tunnel || k.Roles || k.pool != nil }

// JoinsByShare says whether a server that is named with a subnet becomes a member by that.
func (k *Kind) JoinsByShare() bool { return k.pool != nil }
