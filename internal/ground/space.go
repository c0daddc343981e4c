package ground

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/prefix"
	"github.com/flocknet/flock/internal/state"
)

// Space is what one sort of subnet is for: where the first is dealt from, what must fit
// into it, and how a person says one.
type Space struct {
	v4, v6 netip.Prefix // the first of each family; IPv6 is for advice alone
	holds  string
	Say    func(netip.Prefix) string
}

// ByFlag says a subnet as -s does.
func ByFlag(p netip.Prefix) string { return "-s " + p.String() }

// Subnets are dealt from the first of their space on, going up.
var (
	defaultSubnet  = netip.MustParsePrefix("10.0.4.0/24")
	defaultTunnels = netip.MustParsePrefix("10.0.6.0/30")
	DefaultMesh    = netip.MustParsePrefix("10.0.8.0/24")
	defaultPool    = netip.MustParsePrefix("10.244.0.0/16")

	SegmentSpace = Space{defaultSubnet, netip.MustParsePrefix("fd00:4::/64"), "a gateway, servers and containers", ByFlag}
	MeshSpace    = Space{DefaultMesh, netip.MustParsePrefix("fd00:8::/64"), "the servers of an encrypted network", ByFlag}
	InsideSpace  = Space{DefaultMesh, netip.Prefix{}, "the servers of an encrypted network", func(p netip.Prefix) string { return "mesh = \"" + p.String() + "\" in a file for flock apply -f" }}
	PoolSpace    = Space{defaultPool, netip.MustParsePrefix("fd00:244::/48"), "subnets of members", ByFlag}
	OwnSpace     = Space{defaultSubnet, netip.MustParsePrefix("fd00:4::/64"), "a gateway and containers", netip.Prefix.String}
	ShareSpace   = Space{netip.MustParsePrefix("10.0.10.0/24"), netip.MustParsePrefix("fd00:10::/64"), "containers", netip.Prefix.String}
	TunnelSpace  = Space{defaultTunnels, netip.MustParsePrefix("fd00:6::/126"), "two ends", func(p netip.Prefix) string {
		a := p.Addr()
		if p.Bits() < p.Addr().BitLen()-1 {
			a = a.Next()
		}
		return "--addresses " + netip.PrefixFrom(a, p.Bits()).String() + "," + netip.PrefixFrom(a.Next(), p.Bits()).String()
	}}
)

// FreeSubnet is the first prefix of s that nothing in the cluster uses and no server was
// seen to have a route for. It is private, or an error with a smaller one that is free.
func FreeSubnet(c *state.Cluster, s Space) (netip.Prefix, error) {
	taken := occupied(c, Uses(c))
	if p, ok := prefix.FreeBeside(taken, s.v4); ok {
		return p, nil
	}
	next := "take out a network that is needed no more"
	for bits := s.v4.Bits() + 1; bits <= max(minBits4, s.v4.Bits()+1); bits++ {
		if p, ok := prefix.FreeBeside(taken, netip.PrefixFrom(s.v4.Addr(), bits)); ok {
			next = s.Say(p)
			break
		}
	}
	return netip.Prefix{}, hint.Errorf("", next, "no /%d is free in %s", s.v4.Bits(), JoinWords(texts(prefix.Private())))
}

// Example is Instead, as the end of a sentence; "" where there is none.
func (s Space) Example(c *state.Cluster, refused netip.Prefix) string {
	p, ok := s.Instead(c, refused)
	if !ok {
		return ""
	}
	return ", for example " + p.String()
}

// Instead is a prefix of s that is free, of the family of the one that is refused; ok says
// that there is one.
func (s Space) Instead(c *state.Cluster, refused netip.Prefix) (p netip.Prefix, ok bool) {
	like := s.v4
	if refused.Addr().Is6() && !refused.Addr().Is4In6() && s.v6.IsValid() {
		like = s.v6
	}
	others := Uses(c)
	if at := slices.IndexFunc(others, func(u Use) bool { return u.Prefix == refused }); at >= 0 {
		others = slices.Delete(others, at, at+1)
	}
	return prefix.FreeBeside(occupied(c, others), like)
}

// occupied are prefixes that nothing new may overlap, sorted: uses, what members
// share, and what was seen on servers.
func occupied(c *state.Cluster, uses []Use) []netip.Prefix {
	var out []netip.Prefix
	for _, u := range uses {
		out = append(out, u.Prefix)
	}
	for _, n := range c.Networks {
		for _, text := range n.Shares {
			if s, err := state.ParseShare(text); err == nil {
				out = append(out, s.Subnet)
			}
		}
	}
	for _, s := range c.Servers {
		if s.Facts == nil {
			continue
		}
		out = append(out, s.Facts.Prefixes...)
		for _, i := range s.Facts.Interfaces {
			for _, a := range i.Addrs {
				out = append(out, a.Masked())
			}
		}
	}
	slices.SortFunc(out, prefix.Compare)
	return slices.Compact(out)
}

func texts(list []netip.Prefix) []string {
	var out []string
	for _, p := range list {
		out = append(out, p.String())
	}
	return out
}

// NotePublic notes subnets of the cluster that others have on the Internet.
func (b *Builder) NotePublic() {
	for _, u := range Uses(b.Cluster) {
		if prefix.IsPrivate(u.Prefix) {
			continue
		}
		of := u.Network
		if of == "" {
			of = u.By
		}
		b.Note(of, "%s is public address space: unless it is yours, who has it on the Internet is out of reach from the servers", u.Prefix)
	}
}

// HostBits refuses a prefix that has bits set behind its length. Say is how the person
// says a prefix there.
func HostBits(p netip.Prefix, say func(netip.Prefix) string) error {
	if p == p.Masked() {
		return nil
	}
	return hint.Errorf("", say(p.Masked()), "%s has bits set behind its prefix", p)
}

// ExampleEnds is example for the two ends of a tunnel, in the flag's words.
func (s Space) ExampleEnds(c *state.Cluster, refused netip.Prefix) string {
	p, ok := s.Instead(c, refused)
	if !ok {
		return ""
	}
	return ", for example " + strings.TrimPrefix(s.Say(p), "--addresses ")
}
