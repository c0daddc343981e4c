package network

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/state"
)

// Shares are container subnets behind members: the others get routes to them. They
// exist on the server that shares them, on whatever bridge.

// sharesOf returns what each member shares, in order.
func sharesOf(n *state.Network) (map[string][]netip.Prefix, error) {
	out := map[string][]netip.Prefix{}
	for _, text := range n.Shares {
		s, err := state.ParseShare(text)
		if err != nil {
			return nil, err
		}
		out[s.Server] = append(out[s.Server], s.Subnet)
	}
	for _, list := range out {
		slices.SortFunc(list, netip.Prefix.Compare)
	}
	return out, nil
}

// share is one shared subnet of the cluster.
type share struct {
	network, server string
	subnet          netip.Prefix
}

func (s share) String() string {
	return fmt.Sprintf("%s shares %s in network %s", s.server, s.subnet, s.network)
}

// checkShares refuses shared subnets that cannot be routed to where they are.
func checkShares(c *state.Cluster) error {
	var all []share
	for _, name := range c.NetworkNames() {
		n := c.Networks[name]
		for _, text := range n.Shares {
			parsed, err := state.ParseShare(text)
			if err != nil {
				return err
			}
			s := share{name, parsed.Server, parsed.Subnet}
			if err := checkShare(c, n, s); err != nil {
				return ofNetwork(name, locate("shares", err))
			}
			all = append(all, s)
		}
	}
	slices.SortStableFunc(all, func(a, b share) int { return a.subnet.Compare(b.subnet) })
	for i, s := range all {
		for _, other := range all[:i] {
			if other.subnet.Overlaps(s.subnet) && !apart(c, s, other) {
				return sharedTwice(c, s, other)
			}
		}
	}
	return nil
}

// sharedTwice is the error of two shares that overlap.
func sharedTwice(c *state.Cluster, s, other share) error {
	if s.server != other.server || s.subnet != other.subnet {
		return hint.Errorf("network "+s.network, "share subnets that are apart", "%s overlaps %s: %s", s.subnet, other.subnet, other)
	}
	unshare := "flock delnetwork " + other.network + " subnet "
	if c.Networks[other.network].Type == BGP {
		unshare = "flock delbgp " + other.network + " network "
	}
	return hint.Errorf("network "+s.network, unshare+s.server+":"+s.subnet.String(),
		"%s, and in network %s, whose members would have two ways to it", other, s.network)
}

// apart says whether one subnet shared in two networks never meets on a server
// that is not its own.
func apart(c *state.Cluster, a, b share) bool {
	return a.network != b.network && a.server == b.server && a.subnet == b.subnet && !sharesMember(c.Networks[a.network], c.Networks[b.network], a.server)
}

// sharesMember says whether networks have a member in common other than but.
func sharesMember(a, b *state.Network, but string) bool {
	return slices.ContainsFunc(a.Members, func(m string) bool { return serverOf(m) != but && hasMember(b, serverOf(m)) })
}

// checkShare refuses a shared subnet that does not make sense in its network.
func checkShare(c *state.Cluster, n *state.Network, s share) error {
	p := s.subnet
	switch {
	case !hasMember(n, s.server):
		return hint.Errorf("", joining(n, s.network, s.server), "share %s: %s is not a member of %s", p, s.server, s.network)
	case p.Bits() == 0, p.Addr().IsMulticast(), p.Addr().IsLoopback(), p.Addr().IsLinkLocalUnicast(), p.Addr().Is4In6():
		return hint.Errorf("", "share a subnet that containers can have"+shareSpace.example(c, p), "%s cannot be shared", p)
	case n.Type != BGP && !slices.ContainsFunc(n.Subnets, func(q netip.Prefix) bool { return q.Addr().Is6() == p.Addr().Is6() }):
		next := "create the network with -s for both families"
		if isTunnel(n) {
			next = "make a " + GRE + " tunnel with --addresses for both families"
		}
		return hint.Errorf("", next, "%s: the network has no %s subnet", p, familyName(p.Addr().Is6()))
	}
	if Pooled(n) {
		if err := checkTold(c, n, s); err != nil {
			return err
		}
	}
	for _, u := range uses(c) {
		if u.prefix.Overlaps(p) && !mayShare(c, n, s, u) {
			return hint.Errorf("", "share another subnet", "share %s of %s: it overlaps %s (%s)", p, s.server, u.prefix, u.by)
		}
	}
	for _, m := range n.Members {
		other := c.Servers[serverOf(m)]
		if a, err := netip.ParseAddr(other.Address); err == nil && p.Contains(a.Unmap()) {
			return hint.Errorf("", "share another subnet", "share %s of %s: it contains %s, where %s is reached", p, s.server, a, serverOf(m))
		}
	}
	return nil
}

// joining is the command that makes server a member of n.
func joining(n *state.Network, network, server string) string {
	switch {
	case n.Type == BGP:
		return "flock addbgp " + network + " peer " + server
	case isTunnel(n):
		return "flock listnetworks " + network
	}
	if Pooled(n) {
		return "flock addnetwork " + network + " " + server
	}
	return "flock addnetwork " + network + " client " + server
}

// unsharing is the command that ends the sharing of p.
func unsharing(n *state.Network, network, server string, p netip.Prefix) string {
	if n.Type == BGP {
		return "flock delbgp " + network + " network " + server + ":" + p.String()
	}
	return "flock delnetwork " + network + " subnet " + server + ":" + p.String()
}

// mayShare says whether s may lie in what u occupies: the server's own container
// subnet, or a segment it is on that no other member is on.
func mayShare(c *state.Cluster, n *state.Network, s share, u use) bool {
	if u.network == "" {
		return u.server == s.server
	}
	segment := c.Networks[u.network]
	if Pooled(segment) && (u.network == s.network || segment.Type == Alloc) {
		return u.network == s.network || dealtTo(segment, s)
	}
	return u.network != s.network && !u.mesh && !isTunnel(segment) && segment.Type != WireGuard && segment.Type != BGP && hasMember(segment, s.server) && !sharesMember(n, segment, s.server)
}

// shareProblems finds shared subnets that hold what the packets travel through.
func (b *builder) shareProblems(name string, ends []*end) {
	for _, e := range ends {
		for _, p := range e.shares {
			for _, other := range ends {
				if below := b.underlayPrefix(other); below.IsValid() && below.Overlaps(p) {
					b.problem(e.server, name, hint.Errorf("server "+e.server, unsharing(b.c.Networks[name], name, e.server, p),
						"%s cannot share %s: %s's underlay %s is in it", e.server, p, other.server, below))
					break
				}
			}
		}
	}
}

// underlayPrefix is the network that e stands in below.
func (b *builder) underlayPrefix(e *end) netip.Prefix {
	for _, i := range b.c.Servers[e.server].Facts.Interfaces {
		for _, a := range i.Addrs {
			if a.Addr() == e.addr {
				return a.Masked()
			}
		}
	}
	return netip.Prefix{}
}

// dealtTo says whether s is what its server was dealt in a pool network that makes no
// routes: another network may.
func dealtTo(n *state.Network, s share) bool {
	a := n.Allocated[s.server]
	return a != nil && slices.ContainsFunc(a.Subnets, func(p netip.Prefix) bool { return p.Bits() <= s.subnet.Bits() && p.Contains(s.subnet.Addr()) })
}

// checkTold refuses a subnet that a member of a pool network was named for and that
// others have, or that holds no containers.
func checkTold(c *state.Cluster, n *state.Network, s share) error {
	longest := maxSubnetLen4
	if s.subnet.Addr().Is6() {
		longest = maxSubnetLen6
	}
	if s.subnet.Bits() > longest {
		return hint.Errorf("", fmt.Sprintf("a prefix of length %d at most", longest), "%s is too small for a gateway and containers", s.subnet)
	}
	if own := c.Servers[s.server].Subnet; n.Bridge != "" && own.IsValid() && own.Overlaps(s.subnet) {
		return hint.Errorf("", "name another subnet", "%s overlaps %s, %s: it cannot be on %s too", s.subnet, own.Masked(), subnetOf(s.server), n.Bridge)
	}
	for _, server := range slices.Sorted(keys(n.Allocated)) {
		for _, p := range n.Allocated[server].Subnets {
			if p.Overlaps(s.subnet) && (server != s.server || p != s.subnet) {
				return hint.Errorf("", "name another subnet", "%s of %s overlaps %s, which %s was dealt", s.subnet, s.server, p, server)
			}
		}
	}
	return nil
}
