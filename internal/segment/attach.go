package segment

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/option"
	"github.com/flocknet/flock/internal/prefix"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// Interfaces that containers get. What is written down says which bridge and address;
// MAC and port follow from cluster, server, container and interface, so that a container
// keeps its lease whatever happens to it.

// AttachedAt is the place of an interface among those that containers of s got; -1: it is
// none of them.
func AttachedAt(s *state.Server, container, iface string) int {
	return slices.IndexFunc(s.Attached, func(a state.Attachment) bool { return a.Container == container && a.Interface == iface })
}

// HasBridge says whether a server has a bridge of ours under that name.
func HasBridge(c *state.Cluster, server, bridge string) bool {
	return socketOf(c, server, bridge) != nil
}

// OfBridge is the network whose bridge a server has under that name; "" if it is none of
// ours, OwnSubnet for the server's own.
func OfBridge(c *state.Cluster, server, bridge string) string {
	at := socketOf(c, server, bridge)
	switch {
	case at == nil:
		return ""
	case at.network == SubnetNetwork:
		return ground.OwnSubnet(server)
	}
	return at.network
}

// CheckAttached refuses interfaces of containers that make no sense: their names, their
// bridges, their addresses.
func CheckAttached(c *state.Cluster) error {
	taken := map[netip.Addr]string{}
	for _, server := range c.ServerNames() {
		s := c.Servers[server]
		for i, a := range s.Attached {
			who := server + ":" + a.Container
			if err := checkAttachment(c, server, a); err != nil {
				return ground.Locate("server "+server+", attached", err)
			}
			if first := slices.IndexFunc(s.Attached, func(b state.Attachment) bool { return b.Container == a.Container && b.MAC == a.MAC }); a.MAC != "" && first != i {
				return hint.Errorf("server "+server+", attached", "leave one of them away", "%s has two interfaces with the MAC %s", who, a.MAC)
			}
			if AttachedAt(s, a.Container, a.Interface) != i {
				return hint.Errorf("server "+server+", attached", "leave one of them away", "%s has two interfaces %s", who, a.Interface)
			}
			for _, addr := range a.Addrs {
				if other, twice := taken[addr]; twice {
					return hint.Errorf("server "+server+", attached", "choose another address"+socketOf(c, server, a.Bridge).example(c, addr),
						"%s cannot have %s: it is taken by %s", who, addr, other)
				}
				taken[addr] = who
			}
		}
	}
	return nil
}

// checkAttachment refuses one that makes no sense by itself.
func checkAttachment(c *state.Cluster, server string, a state.Attachment) error {
	if err := spec.CheckContainer(a.Container); err != nil {
		return err
	}
	if !option.IsInterfaceName(a.Interface) || a.Interface == "lo" {
		return hint.Errorf("", "a name like eth1", "%q is not a name for a container's interface", a.Interface)
	}
	if err := checkKnown(a); err != nil {
		return err
	}
	if a.Bridge == "" {
		if len(a.Addrs) > 0 {
			return hint.Errorf("", "name a bridge, IFACE:BRIDGE", "%s %s: an address without a bridge leads nowhere", a.Container, a.Interface)
		}
		return nil
	}
	at := socketOf(c, server, a.Bridge)
	if at == nil {
		return noBridge(c, server, a.Bridge)
	}
	families := map[bool]bool{}
	for _, addr := range a.Addrs {
		if err := at.check(c, addr); err != nil {
			return err
		}
		if err := at.checkAsked(a, addr); err != nil {
			return err
		}
		if families[addr.Is6()] {
			return hint.Errorf("", "give one address of each family", "%s %s: two %s addresses", a.Container, a.Interface, ground.FamilyName(addr.Is6()))
		}
		families[addr.Is6()] = true
	}
	return nil
}

// noBridge says what a server has instead.
func noBridge(c *state.Cluster, server, bridge string) error {
	next := "flock listnetworks, or flock setsubnet " + server + " 10.1.1.0/24"
	bridges := Bridges(c, server)
	if len(bridges) > 0 {
		next = "one of: " + ground.JoinWords(bridges)
	}
	if n := c.Networks[bridge]; n != nil && slices.Contains(bridges, n.Bridge) {
		return hint.Errorf("", "its bridge is "+n.Bridge, "%s is a network, not a bridge", bridge)
	}
	return hint.Errorf("", next, "%q is no bridge of a network on %s", bridge, server)
}

// Bridges are the bridges of ours that containers on a server can be attached to, those of
// networks by the networks' names, then the server's own.
func Bridges(c *state.Cluster, server string) []string {
	var out []string
	for _, name := range c.NetworkNames() {
		if n := c.Networks[name]; n.Bridge != "" && ground.HasMember(n, server) {
			out = append(out, n.Bridge)
		}
	}
	if OwnBridge(c.Servers[server]).IsValid() {
		out = append(out, SubnetBridge)
	}
	return out
}

// A socket is a bridge on a server, for what is plugged in there.
type socket struct {
	network  string
	subnets  []netip.Prefix
	gateways []netip.Addr   // per subnet
	servers  []netip.Prefix // addresses that no container answers for
	handed   []spec.Range   // by DHCP; a fixed address is none of them
	silent   bool           // flock has no DHCP there
}

// socketOf finds a bridge on a server; nil if there is none of that name.
func socketOf(c *state.Cluster, server, bridge string) *socket {
	if own := OwnBridge(c.Servers[server]); own.IsValid() && bridge == SubnetBridge {
		return &socket{network: SubnetNetwork, subnets: []netip.Prefix{own.Masked()}, gateways: []netip.Addr{own.Addr()}}
	}
	for _, name := range c.NetworkNames() {
		n := c.Networks[name]
		a := n.Allocated[server]
		switch {
		case n.Bridge != bridge || bridge == "" || a == nil:
		case len(a.Subnets) == 0: // members of pools have a subnet each
			return segmentSocket(name, n)
		default:
			at := &socket{network: name, subnets: a.Subnets}
			for _, p := range a.Subnets {
				at.gateways = append(at.gateways, GatewayOf(p))
			}
			return at
		}
	}
	return nil
}

func segmentSocket(name string, n *state.Network) *socket {
	at := &socket{network: name, subnets: n.Subnets, gateways: Gateways(n)}
	at.servers, at.handed = Kept(n)
	at.silent = n.DHCP == state.DHCPOff
	return at
}

// check refuses what cannot be a container's fixed address.
func (s *socket) check(c *state.Cluster, a netip.Addr) error {
	at := slices.IndexFunc(s.subnets, func(p netip.Prefix) bool { return p.Contains(a) })
	refuse := func(format string, args ...any) error {
		return hint.Errorf("", "choose another address"+s.example(c, a), "%s: "+format, append([]any{a}, args...)...)
	}
	switch {
	case len(s.subnets) == 0:
		return hint.Errorf("", "flock setnetwork "+s.network+" -s CIDR, or give the address inside of the container", "%s: network %s has no subnet", a, s.network)
	case !a.IsValid():
		return hint.Errorf("", "an address of "+inWords(s.subnets), "no address")
	case at < 0:
		return refuse("it is outside of %s", inWords(s.subnets))
	case a == s.subnets[at].Addr() || a.Is4() && a == prefix.Last(s.subnets[at]):
		return refuse("no host can have it in %s", s.subnets[at])
	case a == s.gateways[at]:
		return refuse("it is the gateway's")
	case slices.ContainsFunc(s.servers, func(p netip.Prefix) bool { return p.Contains(a) }):
		return refuse("it is kept for servers")
	case !s.fixed(a):
		return refuse("DHCP hands it out")
	}
	return nil
}

// fixed says whether DHCP leaves a alone.
func (s *socket) fixed(a netip.Addr) bool {
	return !slices.ContainsFunc(s.handed, func(r spec.Range) bool { return a.Compare(r.First) >= 0 && a.Compare(r.Last) <= 0 })
}

// example is an address that can be had instead of a, as a part of advice; "" where none is.
func (s *socket) example(c *state.Cluster, a netip.Addr) string {
	free := s.free(c, a.Is6())
	if !free.IsValid() {
		return ""
	}
	return ", for example " + free.String()
}

// free is an address of a family that a container can have; it is invalid where there is
// none. Servers get theirs from a segment's end, so it is looked for from the beginning;
// elsewhere DHCP begins there, and it is the last one.
func (s *socket) free(c *state.Cluster, is6 bool) netip.Addr {
	taken := map[netip.Addr]bool{}
	for _, server := range c.Servers {
		for _, other := range server.Attached {
			for _, addr := range other.Addrs {
				taken[addr] = true
			}
		}
	}
	for i, p := range s.subnets {
		if p.Addr().Is6() != is6 {
			continue
		}
		try, step, jump := p.Addr().Next(), netip.Addr.Next, func(first, last netip.Addr) netip.Addr { return last }
		if len(s.servers) == 0 {
			try, step, jump = prefix.Last(p), netip.Addr.Prev, func(first, last netip.Addr) netip.Addr { return first }
		}
		for ; p.Contains(try) && try != p.Addr(); try = step(try) {
			hand := slices.IndexFunc(s.handed, func(r spec.Range) bool { return try.Compare(r.First) >= 0 && try.Compare(r.Last) <= 0 })
			kept := slices.IndexFunc(s.servers, func(p netip.Prefix) bool { return p.Contains(try) })
			switch {
			case hand >= 0:
				try = jump(s.handed[hand].First, s.handed[hand].Last)
			case kept >= 0:
				try = jump(s.servers[kept].Masked().Addr(), prefix.Last(s.servers[kept]))
			case !taken[try] && try != s.gateways[i] && (is6 || try != prefix.Last(p)):
				return try
			}
		}
	}
	return netip.Addr{}
}

// Deal chooses an IPv4 address on a bridge of a server for a container that does not ask for
// one. It is invalid where the bridge has none, or none is left.
func Deal(c *state.Cluster, server, bridge string) netip.Addr {
	at := socketOf(c, server, bridge)
	if at == nil {
		return netip.Addr{}
	}
	return at.free(c, false)
}

// Attach adds what containers on server get.
func Attach(b *ground.Builder, server string) {
	h := b.Out.Hosts[server]
	for _, a := range b.Cluster.Servers[server].Attached {
		port, mac := ground.ContainerMAC(b.Cluster.Name, ground.BornAs(b.Cluster, server), a.Container, a.Interface)
		out := spec.Attachment{Container: a.Container, Interface: a.Interface, Host: spec.AttachPrefix + port, MAC: cmp.Or(a.MAC, mac), Moved: a.Moved}
		if a.Bridge != "" {
			at := socketOf(b.Cluster, server, a.Bridge)
			link := slices.IndexFunc(h.Links, func(l spec.Link) bool { return l.Name == a.Bridge && l.Kind == spec.Bridge })
			if at == nil || link < 0 {
				continue // the server takes no part in the network yet
			}
			out.Network, out.Bridge, out.MTU = at.network, a.Bridge, h.Links[link].MTU
			for _, addr := range a.Addrs {
				i := slices.IndexFunc(at.subnets, func(p netip.Prefix) bool { return p.Contains(addr) })
				out.Addrs = append(out.Addrs, netip.PrefixFrom(addr, at.subnets[i].Bits()))
				if !spec.IsGuest(a.Container) { // whose DHCP client is told
					out.Gateways = append(out.Gateways, at.gateways[i])
				}
			}
		}
		h.Attached = append(h.Attached, out)
	}
}

func inWords(list []netip.Prefix) string {
	var out []string
	for _, p := range list {
		out = append(out, p.String())
	}
	return ground.JoinWords(out)
}
