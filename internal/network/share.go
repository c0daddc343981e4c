package network

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/prefix"
	"github.com/flocknet/flock/internal/spec"
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

// grounds are what shares are checked against, put in order once for all of them.
type grounds struct {
	c       *state.Cluster
	uses    []use                      // in order of address; they are apart (checkOverlaps)
	members map[string]map[string]bool // of a network: servers
	reached map[string][]reached       // of a network: where its members are, in order of address
	dealt   map[string][]dealt         // of a pool network: what was dealt, in order of address; apart
}

// reached is where a server is reached by SSH.
type reached struct {
	addr   netip.Addr
	server string
}

// dealt is a subnet that a member of a pool network has.
type dealt struct {
	subnet netip.Prefix
	server string
}

func (d dealt) prefixed() netip.Prefix { return d.subnet }
func (u use) prefixed() netip.Prefix   { return u.prefix }

func newGrounds(c *state.Cluster) *grounds {
	g := &grounds{c: c, uses: uses(c), members: map[string]map[string]bool{}, reached: map[string][]reached{}, dealt: map[string][]dealt{}}
	slices.SortStableFunc(g.uses, byAddr)
	for name, n := range c.Networks {
		g.members[name] = make(map[string]bool, len(n.Members))
		for _, m := range n.Members {
			server := ServerOf(m)
			g.members[name][server] = true
			if a, err := netip.ParseAddr(c.Servers[server].Address); err == nil && len(n.Shares) > 0 {
				g.reached[name] = append(g.reached[name], reached{a.Unmap(), server})
			}
		}
		slices.SortFunc(g.reached[name], func(a, b reached) int { return a.addr.Compare(b.addr) })
		if len(n.Shares) > 0 {
			g.dealt[name] = subnetsDealt(n)
		}
	}
	return g
}

// overlapping are those of list, in order of address and apart, that overlap p.
func overlapping[T interface{ prefixed() netip.Prefix }](list []T, p netip.Prefix) []T {
	from, _ := slices.BinarySearchFunc(list, p.Masked().Addr(), func(v T, a netip.Addr) int { return prefix.Last(v.prefixed()).Compare(a) })
	to := from
	for to < len(list) && list[to].prefixed().Overlaps(p) {
		to++
	}
	return list[from:to]
}

// checkShares refuses shared subnets that cannot be routed to where they are.
func checkShares(c *state.Cluster) error {
	g := newGrounds(c)
	var all []share
	for _, name := range c.NetworkNames() {
		n := c.Networks[name]
		for _, text := range n.Shares {
			parsed, err := state.ParseShare(text)
			if err != nil {
				return err
			}
			s := share{name, parsed.Server, parsed.Subnet}
			if err := g.check(n, s); err != nil {
				return OfNetwork(name, Locate("shares", err))
			}
			all = append(all, s)
		}
		for _, text := range n.Forced {
			if !slices.Contains(n.Shares, text) {
				return OfNetwork(name, Locate("forced", hint.Errorf("", "leave it away, or name it in shares too", "%s is no shared subnet", text)))
			}
		}
	}
	return g.checkTwice(all)
}

// checkTwice refuses shares that overlap each other. Prefixes nest or are apart: in
// order, a prefix that overlaps another contains it.
func (g *grounds) checkTwice(all []share) error {
	slices.SortStableFunc(all, func(a, b share) int { return prefix.Compare(a.subnet, b.subnet) })
	var around []share
	for _, s := range all {
		for len(around) > 0 && !around[len(around)-1].subnet.Overlaps(s.subnet) {
			around = around[:len(around)-1]
		}
		for _, other := range around {
			if !g.apart(s, other) {
				return sharedTwice(g.c, s, other)
			}
		}
		around = append(around, s)
	}
	return nil
}

// sharedTwice is the error of two shares that overlap.
func sharedTwice(c *state.Cluster, s, other share) error {
	if s.server != other.server || s.subnet != other.subnet {
		return hint.Errorf("network "+s.network, "share subnets that are apart", "%s overlaps %s: %s", s.subnet, other.subnet, other)
	}
	return hint.Errorf("network "+s.network, unsharing(c.Networks[other.network], other.network, s.server, s.subnet),
		"%s, and in network %s, whose members would have two ways to it", other, s.network)
}

// apart says whether one subnet shared in two networks never meets on a server
// that is not its own.
func (g *grounds) apart(a, b share) bool {
	return a.network != b.network && a.server == b.server && a.subnet == b.subnet && !g.sharesMember(a.network, b.network, a.server)
}

// sharesMember says whether networks have a member in common other than but.
func (g *grounds) sharesMember(a, b, but string) bool {
	few, many := g.members[a], g.members[b]
	if len(few) > len(many) {
		few, many = many, few
	}
	for server := range few {
		if server != but && many[server] {
			return true
		}
	}
	return false
}

// widest is the prefix length of subnets that are shared on purpose only (--force), and no
// network's own: IPv6's whole Internet is a /3.
const widest = 3

// partOfAll says how much of its family p is, of widest at most.
func partOfAll(p netip.Prefix) string {
	return [...]string{"all", "half", "a quarter", "an eighth"}[p.Bits()] + " of all addresses"
}

// isForced says whether s was named with --force.
func isForced(n *state.Network, s share) bool {
	return len(n.Forced) > 0 && slices.Contains(n.Forced, state.Share{Server: s.server, Subnet: s.subnet}.String())
}

// shareClaim is what a server that is led to a share of another one's must not have.
func (b *builder) shareClaim(name, server string, p netip.Prefix) spec.Claim {
	return spec.Claim{Network: name, Prefix: p, Shared: !isForced(b.c.Networks[name], share{name, server, p})}
}

// check refuses a shared subnet that does not make sense in its network.
func (g *grounds) check(n *state.Network, s share) error {
	c, p := g.c, s.subnet
	switch {
	case !g.members[s.network][s.server]:
		return hint.Errorf("", joining(n, s.network, s.server), "share %s: %s is not a member of %s", p, s.server, s.network)
	case p.Bits() == 0, p.Addr().IsMulticast(), p.Addr().IsLoopback(), p.Addr().IsLinkLocalUnicast(), p.Addr().Is4In6():
		return hint.Errorf("", "share a subnet that containers can have"+shareSpace.example(c, p), "%s cannot be shared", p)
	case p.Bits() <= widest && !isForced(n, s):
		return hint.Errorf("", "share what is behind "+s.server+" alone; or --force, where this is meant",
			"share %s of %s: what others send to %s would go there", p, s.server, partOfAll(p))
	case !meaning(n).BGP && !slices.ContainsFunc(n.Subnets, func(q netip.Prefix) bool { return q.Addr().Is6() == p.Addr().Is6() }):
		next := "create the network with -s for both families"
		if meaning(n).Tunnel {
			next = "make a " + GRE + " tunnel with --addresses for both families"
		}
		return hint.Errorf("", next, "%s: the network has no %s subnet", p, familyName(p.Addr().Is6()))
	}
	if backendOf(n) != nil {
		if err := g.checkTold(n, s); err != nil {
			return err
		}
	}
	for _, u := range overlapping(g.uses, p) {
		if !g.mayShare(s, u) {
			return hint.Errorf("", "share another subnet", "share %s of %s: it overlaps %s (%s)", p, s.server, u.prefix, u.by)
		}
	}
	at, _ := slices.BinarySearchFunc(g.reached[s.network], p.Addr(), func(r reached, a netip.Addr) int { return r.addr.Compare(a) })
	if rest := g.reached[s.network][at:]; len(rest) > 0 && p.Contains(rest[0].addr) {
		return hint.Errorf("", "share another subnet", "share %s of %s: it contains %s, where %s is reached", p, s.server, rest[0].addr, rest[0].server)
	}
	return nil
}

// mayShare says whether s may lie in what u occupies: the server's own container
// subnet, or a segment it is on that no other member is on.
func (g *grounds) mayShare(s share, u use) bool {
	if u.network == "" {
		return u.server == s.server
	}
	segment := g.c.Networks[u.network]
	kind := meaning(segment)
	if kind.pool != nil && (u.network == s.network || !kind.pool.routes) {
		return u.network == s.network || dealtTo(segment, s)
	}
	onBridges := kind.segment || kind.pool != nil
	return u.network != s.network && !u.mesh && onBridges && g.members[u.network][s.server] && !g.sharesMember(s.network, u.network, s.server)
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

// underlayPrefix is the subnet of e's underlay address.
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

// Dealt says whether s is in what its server was dealt in a pool network.
func Dealt(n *state.Network, s state.Share) bool {
	return dealtTo(n, share{server: s.Server, subnet: s.Subnet})
}

// dealtTo says whether s is what its server was dealt in a pool network that makes no
// routes: another network may.
func dealtTo(n *state.Network, s share) bool {
	a := n.Allocated[s.server]
	return a != nil && slices.ContainsFunc(a.Subnets, func(p netip.Prefix) bool { return p.Bits() <= s.subnet.Bits() && p.Contains(s.subnet.Addr()) })
}

// checkTold refuses a subnet that a member of a pool network was named for and that
// others have, or that holds no containers.
func (g *grounds) checkTold(n *state.Network, s share) error {
	longest := maxSubnetLen4
	if s.subnet.Addr().Is6() {
		longest = maxSubnetLen6
	}
	if s.subnet.Bits() > longest {
		return hint.Errorf("", fmt.Sprintf("a prefix of length %d at most", longest), "%s is too small for a gateway and containers", s.subnet)
	}
	if own := g.c.Servers[s.server].Subnet; n.Bridge != "" && own.IsValid() && own.Overlaps(s.subnet) {
		return hint.Errorf("", "name another subnet", "%s overlaps %s, %s: it cannot be on %s too", s.subnet, own.Masked(), subnetOf(s.server), n.Bridge)
	}
	for _, d := range overlapping(g.dealt[s.network], s.subnet) {
		if d.server != s.server || d.subnet != s.subnet {
			return hint.Errorf("", "name another subnet", "%s of %s overlaps %s, which %s was dealt", s.subnet, s.server, d.subnet, d.server)
		}
	}
	return nil
}
