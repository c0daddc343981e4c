package ground

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/state"
)

// MemberText writes a member as the command line does, IPv6 in brackets.
func MemberText(server, where string) string {
	if a, err := netip.ParseAddr(where); err == nil && a.Is6() {
		return server + ":[" + where + "]"
	}
	return server + ":" + where
}

// Networks returns the names of the networks that server is a member of, sorted.
func Networks(c *state.Cluster, server string) []string { return Memberships(c)[server] }

// Memberships returns, by server, the names of the networks it is a member of,
// sorted. Servers in none are left out.
func Memberships(c *state.Cluster) map[string][]string {
	out := map[string][]string{}
	for _, name := range c.NetworkNames() {
		for _, m := range c.Networks[name].Members {
			out[ServerOf(m)] = append(out[ServerOf(m)], name)
		}
	}
	return out
}

// ServerOf is the server's name in a member or share as written.
func ServerOf(member string) string {
	name, _, _ := strings.Cut(member, ":")
	return name
}

// UnknownServer is the error about a server that the cluster does not have.
func UnknownServer(name string) error {
	return hint.Unknown("server", name, "flock addserver "+name+" [USER@]ADDRESS")
}

// HasMember says whether server is a member of n.
func HasMember(n *state.Network, server string) bool {
	return slices.ContainsFunc(n.Members, func(m string) bool { return ServerOf(m) == server })
}

// DHCPServer is the member that hands out the addresses of a network with single
// DHCP: the one asked for while it is a member, otherwise the first member; "" in
// a network without members or with another DHCP mode.
func DHCPServer(n *state.Network) string {
	if n.DHCP != state.DHCPSingle || len(n.Members) == 0 {
		return ""
	}
	if slices.ContainsFunc(n.Members, func(m string) bool { return ServerOf(m) == n.DHCPServer }) {
		return n.DHCPServer
	}
	return ServerOf(n.Members[0])
}
