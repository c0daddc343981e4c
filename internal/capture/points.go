package capture

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// MostSnap is how many bytes of a packet can be taken: the largest that there is, and headers.
const MostSnap = 256 << 10

// Point is a member's device at which packets are taken, and which of them.
type Point struct {
	Server, Device  string
	Snap            int           // bytes of a packet at most
	Frames, Packets []Instruction // filters for a device with Ethernet headers, and without
}

func (p Point) String() string { return p.Server + ":" + p.Device }

// Points are those of a network's members. Of a layer 2 network the bridge is taken, of others
// the device between members. Where packets go without one, as with routes alone, it is the
// device below, and of its packets those of the network: from and to its subnets, and BGP's own.
// With direct routing it is both.
// text is a filter in which members' names stand for their addresses; snap is how many bytes of
// a packet are taken at most. TCP to and from the port that flock logs in by is not taken, unless
// ssh is set.
func Points(c *state.Cluster, compiled *ground.Compiled, name, text string, snap int, ssh bool) ([]Point, error) {
	filter, err := ParseFilter(text, func(member string) []netip.Addr { return addressesOf(compiled, name, member) })
	if err != nil {
		return nil, hint.With(err, "the filter", "flock capture --help")
	}
	var out []Point
	for _, m := range c.Networks[name].Members {
		server := ground.ServerOf(m)
		host := compiled.Hosts[server]
		if host == nil {
			continue
		}
		at := ground.Membership{Server: server, Network: name}
		own, below := deviceOf(host, name), compiled.Places[at].Interface
		if own == "" && below == "" {
			return nil, hint.Errorf("server "+server, "flock apply "+name, "it is not known which device %s uses on %s", name, server)
		}
		add := func(device string, want Filter) (err error) {
			if !ssh {
				want = want.Without(logins(c, host)...)
			}
			p := Point{Server: server, Device: device, Snap: snap}
			if p.Frames, p.Packets, err = want.Programs(snap); err != nil {
				return hint.With(err, "the filter", "")
			}
			out = append(out, p)
			return nil
		}
		if own != "" {
			err = add(own, filter)
		}
		// Some members, or all, are reached without the tunnel.
		if below != "" && below != own && (own == "" || len(compiled.Direct[at]) > 0) {
			err = cmp.Or(err, add(below, filter.Within(bare(c.Networks[name]))))
		}
		if err != nil {
			return nil, err
		}
	}
	if len(out) == 0 {
		return nil, hint.Errorf("network "+name, "flock addnetwork "+name+" MEMBER", "%s has no members", name)
	}
	return out, nil
}

// deviceOf is the network's own device on a member: the bridge of a tunnel, or a tunnel; "":
// there is none between members.
func deviceOf(h *spec.Host, name string) string {
	tunnel := ""
	for _, l := range h.Links {
		switch {
		case l.Network != name || l.Kind == spec.Bridge:
		case l.Master != "":
			return l.Master
		case tunnel == "":
			tunnel = l.Name
		}
	}
	return tunnel
}

// bare are the packets of a network that has no device between its members.
func bare(n *state.Network) Filter {
	const bgp, bfd = 179, 3784
	subnets := slices.Concat(n.Subnets, n.More)
	for _, a := range n.Allocated {
		subnets = append(subnets, a.Subnets...)
	}
	for _, text := range n.Shares {
		if share, err := state.ParseShare(text); err == nil {
			subnets = append(subnets, share.Subnet)
		}
	}
	of := Subnets(leastOf(subnets))
	if n.AS == 0 {
		return of
	}
	return Filter{func(l link) *cond {
		return anyOf(of.build(l), l.ports(bgp, bgp, either, protoTCP), l.ports(bfd, bfd, either, protoUDP))
	}}
}

// leastOf leaves out subnets that others contain.
func leastOf(list []netip.Prefix) []netip.Prefix {
	slices.SortFunc(list, func(a, b netip.Prefix) int { return a.Bits() - b.Bits() })
	var out []netip.Prefix
	for _, p := range list {
		if !slices.ContainsFunc(out, func(o netip.Prefix) bool { return o.Contains(p.Addr()) }) {
			out = append(out, p)
		}
	}
	return out
}

// Hides is the first of the ports that flock logs in by which a filter names, 0: none. Without
// ssh, Points takes none of the TCP to and from it at the servers' addresses, whoever's it is.
func Hides(c *state.Cluster, text string) uint16 {
	var ports []uint16
	for _, s := range c.Servers {
		ports = append(ports, loginPort(s))
	}
	slices.Sort(ports)
	words, before := split(text), ""
	for _, word := range words {
		low, high, ranged := strings.Cut(word, "-")
		if !ranged {
			high = low
		}
		from, err := portNumber(low, protoTCP)
		to, err2 := portNumber(high, protoTCP)
		if number := slices.Contains([]string{"proto", "greater", "less"}, before); err == nil && err2 == nil && !number {
			for _, port := range ports {
				if min(from, to) <= uint32(port) && uint32(port) <= max(from, to) {
					return port
				}
			}
		}
		before = strings.ToLower(word)
	}
	return 0
}

func loginPort(s *state.Server) uint16 { return cmp.Or(s.Port, 22) }

// logins are the ways of SSH to a server, and past it to those that are reached through others.
func logins(c *state.Cluster, h *spec.Host) []Filter {
	var own []netip.Addr
	for _, a := range h.Addrs {
		own = append(own, a.Prefix.Addr())
	}
	s := c.Servers[h.Server]
	if s != nil && s.Facts != nil {
		for _, i := range s.Facts.Interfaces {
			for _, p := range i.Addrs {
				own = append(own, p.Addr())
			}
		}
	}
	ports := map[uint16][]netip.Addr{}
	for name, other := range c.Servers {
		to := own
		if name != h.Server {
			if to = nil; other.Jump == "" {
				continue
			}
		}
		if a, err := netip.ParseAddr(other.Address); err == nil {
			to = append(slices.Clone(to), a)
		}
		port := loginPort(other)
		ports[port] = append(ports[port], to...)
	}
	var out []Filter
	for port, addrs := range ports {
		slices.SortFunc(addrs, netip.Addr.Compare)
		out = append(out, tcp(port, slices.Compact(addrs)))
	}
	return out
}

// addressesOf are those of a member in the network and below it.
func addressesOf(compiled *ground.Compiled, name, member string) []netip.Addr {
	h := compiled.Hosts[member]
	if h == nil {
		return nil
	}
	var out []netip.Addr
	for _, a := range h.Addrs {
		if slices.ContainsFunc(h.Links, func(l spec.Link) bool { return l.Name == a.Link && l.Network == name }) {
			out = append(out, a.Prefix.Addr())
		}
	}
	if at := compiled.Places[ground.Membership{Server: member, Network: name}].Addr; at.IsValid() {
		out = append(out, at)
	}
	return slices.DeleteFunc(out, func(a netip.Addr) bool { return shared(compiled, name, member, a) })
}

// shared says that other members have the address, too: a gateway's.
func shared(compiled *ground.Compiled, name, member string, a netip.Addr) bool {
	for m := range compiled.Places {
		if m.Network != name || m.Server == member || compiled.Hosts[m.Server] == nil {
			continue
		}
		if slices.ContainsFunc(compiled.Hosts[m.Server].Addrs, func(o spec.Addr) bool { return o.Prefix.Addr() == a }) {
			return true
		}
	}
	return false
}
