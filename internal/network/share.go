package network

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/mesh"
	"github.com/flocknet/flock/internal/option"
	"github.com/flocknet/flock/internal/prefix"
	"github.com/flocknet/flock/internal/state"
)

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
	uses    []ground.Use               // in order of address; they are apart (checkOverlaps)
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

func newGrounds(c *state.Cluster) *grounds {
	g := &grounds{c: c, uses: ground.Uses(c), members: map[string]map[string]bool{}, reached: map[string][]reached{}, dealt: map[string][]dealt{}}
	slices.SortStableFunc(g.uses, ground.ByAddr)
	for name, n := range c.Networks {
		g.members[name] = make(map[string]bool, len(n.Members))
		for _, m := range n.Members {
			server := ground.ServerOf(m)
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

// overlapping are those of list, whose prefixes are in order of address and apart, that
// overlap p.
func overlapping[T any](list []T, prefixOf func(T) netip.Prefix, p netip.Prefix) []T {
	from, _ := slices.BinarySearchFunc(list, p.Masked().Addr(), func(v T, a netip.Addr) int { return prefix.Last(prefixOf(v)).Compare(a) })
	to := from
	for to < len(list) && prefixOf(list[to]).Overlaps(p) {
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
				return ground.OfNetwork(name, ground.Locate("shares", err))
			}
			all = append(all, s)
		}
		for _, p := range n.Anycast {
			if !slices.ContainsFunc(n.Shares, func(text string) bool { return strings.HasSuffix(text, ":"+p.String()) }) {
				return ground.OfNetwork(name, ground.Locate("anycast", hint.Errorf("", "leave it away, or name it in shares too", "%s is no shared subnet", p)))
			}
		}
		for _, text := range n.Forced {
			if !slices.Contains(n.Shares, text) {
				return ground.OfNetwork(name, ground.Locate("forced", hint.Errorf("", "leave it away, or name it in shares too", "%s is no shared subnet", text)))
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
	if s.network == other.network && s.server != other.server && s.subnet == other.subnet && meaning(c.Networks[s.network]).BGP {
		return hint.Errorf("network "+s.network, "flock addbgp "+s.network+" network "+s.server+":"+s.subnet.String()+" --anycast, where both have it",
			"%s overlaps %s: %s", s.subnet, other.subnet, other)
	}
	if s.server != other.server || s.subnet != other.subnet {
		return hint.Errorf("network "+s.network, "share subnets that are apart", "%s overlaps %s: %s", s.subnet, other.subnet, other)
	}
	return hint.Errorf("network "+s.network, unsharing(c.Networks[other.network], other.network, s.server, s.subnet),
		"%s, and in network %s, whose members would have two ways to it", other, s.network)
}

// apart says whether one subnet that is shared twice is meant to be, by anycast, or is
// shared in two networks and never meets on a server that is not its own.
func (g *grounds) apart(a, b share) bool {
	if a.network == b.network && a.server != b.server && a.subnet == b.subnet && slices.Contains(g.c.Networks[a.network].Anycast, a.subnet) {
		return true
	}
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

// bothFamilies is the command that gives the network of s a subnet of the family that it
// shares.
func (g *grounds) bothFamilies(n *state.Network, s share) string {
	back := backendOf(n)
	switch {
	case meaning(n).Tunnel && !slices.Contains(meaning(n).takes, "key"): // IPv4 in IPv4
		return "flock addtunnel " + GRE + " SERVER1 SERVER2 --addresses A/30,B/30,C/126,D/126"
	case meaning(n).Tunnel:
		return ground.Setting(s.network, "--addresses A/30,B/30,C/126,D/126")
	case back == nil:
		return ground.MeshSpace.Resubnet(g.c, s.network, s.subnet)
	case back.V4:
		return "flock changetype " + s.network + " " + VXLANL3 + ", which carries both"
	}
	return ground.PoolSpace.Resubnet(g.c, s.network, s.subnet)
}

// check refuses a shared subnet that does not make sense in its network.
func (g *grounds) check(n *state.Network, s share) error {
	c, p := g.c, s.subnet
	switch {
	case !g.members[s.network][s.server]:
		return hint.Errorf("", Joining(n, s.network, s.server), "share %s: %s is not a member of %s", p, s.server, s.network)
	case p.Bits() == 0, p.Addr().IsMulticast(), p.Addr().IsLoopback(), p.Addr().IsLinkLocalUnicast(), p.Addr().Is4In6():
		return hint.Errorf("", "share a subnet that containers can have"+ground.ShareSpace.Example(c, p), "%s cannot be shared", p)
	case p.Bits() <= ground.Widest && !ground.IsForced(n, state.Share{Server: s.server, Subnet: s.subnet}):
		return hint.Errorf("", "share what is behind "+s.server+" alone; or --force, where this is meant",
			"share %s of %s: what others send to %s would go there", p, s.server, ground.PartOfAll(p))
	case !meaning(n).BGP && !slices.ContainsFunc(n.Subnets, func(q netip.Prefix) bool { return q.Addr().Is6() == p.Addr().Is6() }):
		return hint.Errorf("", g.bothFamilies(n, s), "%s: the network has no %s subnet", p, ground.FamilyName(p.Addr().Is6()))
	}
	if backendOf(n) != nil {
		if err := g.checkTold(n, s); err != nil {
			return err
		}
	}
	for _, u := range overlapping(g.uses, func(u ground.Use) netip.Prefix { return u.Prefix }, p) {
		if !g.mayShare(s, u) {
			return hint.Errorf("", "share another subnet", "share %s of %s: it overlaps %s (%s)", p, s.server, u.Prefix, u.By)
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
func (g *grounds) mayShare(s share, u ground.Use) bool {
	if u.Network == "" {
		return u.Server == s.server
	}
	segment := g.c.Networks[u.Network]
	kind := meaning(segment)
	if kind.pool != nil && (u.Network == s.network || !kind.pool.Routes) {
		return u.Network == s.network || dealtTo(segment, s)
	}
	onBridges := kind.segment || kind.pool != nil
	return u.Network != s.network && !u.Mesh && onBridges && g.members[u.Network][s.server] && !g.sharesMember(s.network, u.Network, s.server)
}

// shareProblems finds shared subnets that hold what the packets travel through.
func (b *builder) shareProblems(name string, ends []*mesh.End) {
	for _, e := range ends {
		for _, p := range e.Shares {
			for _, other := range ends {
				if below := b.underlayPrefix(other); below.IsValid() && below.Overlaps(p) {
					b.Problem(e.Server, name, hint.Errorf("server "+e.Server, unsharing(b.Cluster.Networks[name], name, e.Server, p),
						"%s cannot share %s: %s's underlay %s is in it", e.Server, p, other.Server, below))
					break
				}
			}
		}
	}
}

// underlayPrefix is the subnet of e's underlay address.
func (b *builder) underlayPrefix(e *mesh.End) netip.Prefix {
	for _, i := range b.Cluster.Servers[e.Server].Facts.Interfaces {
		for _, a := range i.Addrs {
			if a.Addr() == e.Addr {
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
	longest := option.MaxSubnetLen4
	if s.subnet.Addr().Is6() {
		longest = option.MaxSubnetLen6
	}
	if s.subnet.Bits() > longest {
		return hint.Errorf("", fmt.Sprintf("a prefix of length %d at most", longest), "%s is too small for a gateway and containers", s.subnet)
	}
	if own := g.c.Servers[s.server].Subnet; n.Bridge != "" && own.IsValid() && own.Overlaps(s.subnet) {
		return hint.Errorf("", "name another subnet", "%s overlaps %s, %s: it cannot be on %s too", s.subnet, own.Masked(), ground.OwnSubnet(s.server), n.Bridge)
	}
	for _, d := range overlapping(g.dealt[s.network], dealt.prefixed, s.subnet) {
		if d.server != s.server || d.subnet != s.subnet {
			return hint.Errorf("", "name another subnet", "%s of %s overlaps %s, which %s was dealt", s.subnet, s.server, d.subnet, d.server)
		}
	}
	return nil
}
