package network

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/prefix"
	"github.com/flocknet/flock/internal/state"
)

// CheckServer refuses a server that does not make sense by itself.
func CheckServer(c *state.Cluster, name string, s *state.Server) error {
	if err := state.CheckName("server", name); err != nil {
		return err
	}
	if name != Local && slices.Contains(reserved(), name) {
		return hint.Errorf("", "choose another name", "the name is reserved")
	}
	if name == Local && (s.Address != "" || s.User != "" || s.Port != 0 || s.Identity != "" || s.Jump != "") {
		return hint.Errorf("", "choose another name for a server that is reached by SSH", "the name is reserved for this workstation")
	}
	if err := CheckLogin(s); err != nil {
		return err
	}
	if err := firstBad([]value{
		{"interface", func() error { return text(s.Interface, checkUnderlayOf(name)) }},
		{"endpoint", func() error { return text(s.Endpoint, checkEndpoint) }},
	}); err != nil {
		return err
	}
	if s.Endpoint != "" && s.NAT {
		return hint.Errorf("", "leave one of them away", "--endpoint says that others can start talking to the server, --nat that they cannot")
	}
	if !s.Subnet.IsValid() {
		return nil
	}
	p, gw := s.Subnet.Masked(), s.Subnet.Addr()
	if err := checkSubnet(c, p, ownSpace); err != nil {
		return hint.Pin(err, "subnet")
	}
	if gw == p.Addr() || gw.Is4() && gw == prefix.Last(p) {
		return hint.Errorf("", "flock setsubnet "+name+" "+p.String(), "%s is not an address that the bridge can have in %s", gw, p)
	}
	return nil
}

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

// CheckNetworkName refuses a name that means something else where networks are named.
func CheckNetworkName(name string) error {
	if name == SubnetNetwork {
		return hint.Errorf("", "choose another name", "the name is reserved")
	}
	return nil
}

// UnknownServer is the error about a server that the cluster does not have.
func UnknownServer(name string) error {
	return hint.Errorf("server "+name, "flock addserver "+name+" [USER@]ADDRESS",
		"unknown server %s", name)
}

// BridgeAddr is the address that a server's own bridge has: the first one of subnet
// unless that names another.
func BridgeAddr(subnet netip.Prefix) netip.Prefix {
	if subnet.IsValid() && subnet == subnet.Masked() {
		return netip.PrefixFrom(subnet.Addr().Next(), subnet.Bits())
	}
	return subnet
}

// HasMember says whether server is a member of n.
func HasMember(n *state.Network, server string) bool {
	return slices.ContainsFunc(n.Members, func(m string) bool { return ServerOf(m) == server })
}
