package edit

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/option"
	"github.com/flocknet/flock/internal/prefix"
	"github.com/flocknet/flock/internal/state"
)

// TunnelOptions are what addtunnel takes, in the words of the command line. The zero
// value of each means "not given".
type TunnelOptions struct {
	Name      string         // --name; "": TYPE-SERVER1-SERVER2
	Local     netip.Addr     // -l, address of the first server in the underlay
	Remote    netip.Addr     // -r, of the second
	Addresses []netip.Prefix // --addresses, the first server's and the second's; two more for another family
	Key       *int64         // --key, GRE only
	TTL       *int64         // --ttl
}

// TunnelName is what a tunnel is called that was given no name. First and second are
// members.
func TunnelName(kind, first, second string) string {
	return kind + "-" + ground.ServerOf(first) + "-" + ground.ServerOf(second)
}

// AddTunnel writes a tunnel of a type down between two members (SERVER,
// SERVER:INTERFACE, SERVER:IP).
func AddTunnel(c *state.Cluster, kind, first, second string, o TunnelOptions) error {
	name := cmp.Or(o.Name, TunnelName(kind, first, second))
	if err := addTunnel(c, name, kind, []string{first, second}, o); err != nil {
		return hint.With(fmt.Errorf("add tunnel %s: %w", name, err), "tunnel "+name, "")
	}
	return nil
}

func addTunnel(c *state.Cluster, name, kind string, ends []string, o TunnelOptions) error {
	if !slices.Contains(network.TunnelTypes(), kind) {
		return hint.Errorf("", "one of: "+ground.JoinWords(network.TunnelTypes()), "unknown type %q", kind)
	}
	old := c.Networks[name]
	if old == nil {
		if err := freeName(c, "create network "+name, name); err != nil {
			return err
		}
	}
	n := &state.Network{Type: kind, Tunnel: true}
	for i, where := range []netip.Addr{o.Local, o.Remote} {
		member, err := endMember(c, ends[i], where)
		if err != nil {
			return err
		}
		n.Members = append(n.Members, member)
	}
	if err := setTunnelNumbers(n, o); err != nil {
		return err
	}
	if err := setTunnelAddresses(c, n, o.Addresses); err != nil {
		return err
	}
	if old != nil {
		return sameTunnel(name, old, n, o)
	}
	if c.Networks == nil {
		c.Networks = map[string]*state.Network{}
	}
	c.Networks[name] = n
	if err := network.FillIn(c, name, n); err != nil {
		return err
	}
	return network.CheckNewcomer(c, "network "+name)
}

// endMember is an end as a member, where is its address if that was given apart.
func endMember(c *state.Cluster, text string, where netip.Addr) (string, error) {
	m, err := state.ParseMember(text)
	if err != nil {
		return "", err
	}
	if err := knowServer(c, m.Server); err != nil {
		return "", err
	}
	if !where.IsValid() {
		return m.String(), nil
	}
	if m.Interface != "" || m.Addr.IsValid() {
		return "", hint.Errorf("server "+m.Server, "leave one of them away", "%s and %s both say where the tunnel ends", text, where)
	}
	m, err = state.ParseMember(ground.MemberText(m.Server, where.String()))
	return m.String(), err
}

func setTunnelNumbers(n *state.Network, o TunnelOptions) error {
	for _, v := range []struct {
		check func(int64) error
		value *int64
		set   func(int64)
	}{
		{option.CheckTunnelKey, o.Key, func(v int64) { n.Key = uint32(v) }},
		{option.CheckTTL, o.TTL, func(v int64) { n.TTL = uint8(v) }},
	} {
		if v.value == nil {
			continue
		}
		if err := v.check(*v.value); err != nil {
			return err
		}
		v.set(*v.value)
	}
	return nil
}

// setTunnelAddresses gives the ends the addresses that were asked for.
func setTunnelAddresses(c *state.Cluster, n *state.Network, list []netip.Prefix) error {
	if len(list) == 0 {
		return nil
	}
	next := "--addresses A/30,B/30: the first server's address and the second's" + network.TunnelExample(c, list[0])
	if len(list) != 2 && len(list) != 4 {
		return hint.Errorf("", next, "a tunnel takes two addresses, or four for IPv4 and IPv6, not %d", len(list))
	}
	n.Allocated = map[string]*state.Allocation{}
	ends := []*state.Allocation{{ID: 1}, {ID: 2}}
	for i := 0; i < len(list); i += 2 {
		a, b := list[i], list[i+1]
		if a.Masked() != b.Masked() || a.Addr() == b.Addr() {
			return hint.Errorf("", next, "%s and %s are not two addresses of one subnet", a, b)
		}
		for j, p := range []netip.Prefix{a, b} {
			if !prefix.HostOf(p.Masked(), p.Addr()) {
				return hint.Errorf("", next, "%s is not an address that an end can have in %s", p.Addr(), p.Masked())
			}
			ends[j].Addrs = append(ends[j].Addrs, p.Addr())
		}
		n.Subnets = append(n.Subnets, a.Masked())
	}
	for i, m := range n.Members {
		n.Allocated[ground.ServerOf(m)] = ends[i]
	}
	return nil
}

// DelTunnel takes a tunnel out.
func DelTunnel(c *state.Cluster, name string) error {
	if isGone(c, name) {
		return nil
	}
	n, err := networkOf(c, name)
	switch {
	case err != nil:
		return err
	case !network.KindOf(n).Tunnel:
		return hint.Errorf("network "+name, "flock removenetwork "+name, "%s is a %s network, no tunnel", name, n.Type)
	}
	return Remove(c, name)
}
