package edit

import (
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/state"
)

// Change is what setnetwork is told: options, those that get the value that they have by
// themselves, where a tunnel ends, and members' subnets (SERVER:CIDR).
type Change struct {
	Given   map[string]any // option.Options
	Unset   []string       // keys of options; of a tunnel also local, remote
	Ends    TunnelOptions  // Local, Remote, Addresses
	Subnets []string
	Rename  string // "": it keeps its name; stands alone
}

// Apply changes a network as o says. Gone names what containers lose by it.
func (o Change) Apply(c *state.Cluster, name string) (gone []string, err error) {
	n, err := networkOf(c, name)
	if err != nil {
		return nil, err
	}
	if o.Rename == "" {
		return o.apply(c, name, n)
	}
	// Devices that are renamed, and made ready beside others, at one time would leave members apart.
	if len(o.Given)+len(o.Unset)+len(o.Subnets)+len(o.Ends.Addresses) > 0 || o.Ends.Local.IsValid() || o.Ends.Remote.IsValid() {
		return nil, hint.Errorf("network "+name, "flock setnetwork "+name+" --rename "+o.Rename, "--rename stands alone; the rest is another change")
	}
	if err := RenameNetwork(c, name, o.Rename); err != nil {
		return nil, err
	}
	return nil, network.FillIn(c, o.Rename, n)
}

func (o Change) apply(c *state.Cluster, name string, n *state.Network) (gone []string, err error) {
	was := *n
	ends, unset := o.ends(n)
	if ends {
		if err := o.setEnds(c, n); err != nil {
			return nil, hint.With(err, "tunnel "+name, "")
		}
	}
	moved, err := moveParts(name, n, o.Subnets)
	if err != nil {
		return nil, ground.OfNetwork(name, err)
	}
	if len(o.Given)+len(unset) == 0 && (ends || len(o.Subnets) > 0) {
		if err := network.FillIn(c, name, n); err != nil {
			return nil, ground.OfNetwork(name, err)
		}
		return append(goneBy(&was, n), moved...), network.CheckNewcomer(c, "network "+name)
	}
	gone, err = Set(c, name, o.Given, unset)
	if ends {
		gone = goneBy(&was, n)
	}
	return append(gone, moved...), err
}

// ends says whether o changes where a tunnel ends; rest are the options that are unset.
func (o Change) ends(n *state.Network) (ends bool, rest []string) {
	if !network.KindOf(n).Tunnel {
		return o.Ends.Local.IsValid() || o.Ends.Remote.IsValid() || len(o.Ends.Addresses) > 0, o.Unset
	}
	rest = slices.DeleteFunc(slices.Clone(o.Unset), isEnd)
	return o.Ends.Local.IsValid() || o.Ends.Remote.IsValid() || len(o.Ends.Addresses) > 0 || len(rest) < len(o.Unset), rest
}

func isEnd(key string) bool { return key == "local" || key == "remote" }

// setEnds changes where a tunnel's ends are, in the underlay and inside.
func (o Change) setEnds(c *state.Cluster, n *state.Network) error {
	if !network.KindOf(n).Tunnel {
		return hint.Errorf("", "leave -l, -r and --addresses away", "a %s network is no tunnel", n.Type)
	}
	n.Members = slices.Clone(n.Members)
	for i, where := range []netip.Addr{o.Ends.Local, o.Ends.Remote} {
		end := []string{"local", "remote"}[i]
		if !where.IsValid() && !slices.Contains(o.Unset, end) {
			continue
		}
		if where.IsValid() && slices.Contains(o.Unset, end) {
			return hint.Errorf("", "leave one away", "-%s and --unset %s contradict each other", end[:1], end)
		}
		member, err := endMember(c, ground.ServerOf(n.Members[i]), where)
		if err != nil {
			return err
		}
		n.Members[i] = member
	}
	if len(o.Ends.Addresses) == 0 {
		return nil
	}
	n.Subnets = nil
	return setTunnelAddresses(c, n, o.Ends.Addresses)
}

// moveParts gives members of a pool network other subnets in the place of those that they
// were dealt, and names these.
func moveParts(name string, n *state.Network, list []string) (gone []string, err error) {
	if len(list) > 0 && !network.KindOf(n).Pooled() {
		return nil, hint.Errorf("", "flock listnetworks "+name, "members of a %s network have no subnets of their own", n.Type)
	}
	for _, text := range list {
		s, err := state.ParseShare(text)
		if err != nil {
			return nil, err
		}
		a := n.Allocated[s.Server]
		if a == nil {
			return nil, hint.Errorf("", "flock addnetwork "+name+" subnet "+text, "%s is not a member", s.Server)
		}
		at := slices.IndexFunc(n.Subnets, func(p netip.Prefix) bool { return p.Addr().Is6() == s.Subnet.Addr().Is6() })
		if at < 0 {
			return nil, hint.Errorf("", "a subnet of the pools' family", "the network has no %s pool", ground.FamilyName(s.Subnet.Addr().Is6()))
		}
		if err := ground.HostBits(s.Subnet, func(p netip.Prefix) string { return s.Server + ":" + p.String() }); err != nil {
			return nil, err
		}
		old := a.Subnets[at]
		if old == s.Subnet {
			continue
		}
		gone = append(gone, "subnet "+old.String()+" of "+s.Server)
		n.Shares = slices.DeleteFunc(slices.Clone(n.Shares), func(have string) bool { return have == state.Share{Server: s.Server, Subnet: old}.String() })
		a.Subnets = slices.Clone(a.Subnets)
		a.Subnets[at] = s.Subnet
		if !slices.ContainsFunc(ground.Pools(n), func(p netip.Prefix) bool { return p.Bits() <= s.Subnet.Bits() && p.Contains(s.Subnet.Addr()) }) {
			n.Shares = append(n.Shares, s.String()) // it is what the member was named for
		}
	}
	return gone, nil
}
