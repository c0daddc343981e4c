package peering

import (
	"cmp"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/option"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// ParseRule reads a line of a prefix list, PREFIX[ ge N][ le N], as routers write
// it: without ge and le the prefix alone, with them its parts of that length.
func ParseRule(text string) (spec.PrefixRule, error) {
	const next = "PREFIX, PREFIX le LENGTH, PREFIX ge LENGTH or both, for example \"10.0.0.0/8 ge 16 le 24\""
	bad := func(format string, args ...any) (spec.PrefixRule, error) {
		return spec.PrefixRule{}, hint.Errorf("", next, format, args...)
	}
	words := strings.Fields(text)
	if len(words) == 0 {
		return bad("a prefix list's line is empty")
	}
	p, err := netip.ParsePrefix(words[0])
	switch {
	case err != nil || p.Addr().Is4In6():
		return bad("%q is not a prefix", words[0])
	case p != p.Masked():
		masked := strings.Join(append([]string{p.Masked().String()}, words[1:]...), " ")
		return spec.PrefixRule{}, ground.HostBits(p, func(netip.Prefix) string { return strconv.Quote(masked) })
	}
	r := spec.PrefixRule{Prefix: p}
	for rest := words[1:]; len(rest) > 0; rest = rest[2:] {
		set := map[string]*int{"ge": &r.GE, "le": &r.LE}[rest[0]]
		if set == nil || *set != 0 || len(rest) < 2 {
			return bad("%q is not a line of a prefix list", text)
		}
		n, err := strconv.Atoi(rest[1])
		if err != nil || n < 0 || n > p.Addr().BitLen() {
			return bad("%q: %s is not a prefix length of %s", text, rest[1], ground.FamilyName(p.Addr().Is6()))
		}
		*set = n
	}
	if least, most := r.Lengths(); least < p.Bits() || least > most {
		return bad("%q matches nothing: the lengths go from %d to %d", text, least, most)
	}
	return r, nil
}

func checkRules(flag string, rules []string) error {
	for _, text := range rules {
		if _, err := ParseRule(text); err != nil {
			return fmt.Errorf("%s: %w", flag, err)
		}
	}
	return nil
}

// CheckExternals refuses what no session can be.
func CheckExternals(name string, n *state.Network) error {
	seen := map[string]bool{}
	for _, e := range n.Externals {
		where := "external " + e.Server + " " + e.Address.String()
		if seen[where] {
			return hint.Errorf(where, "leave one of them away", "%s has the external %s twice", e.Server, e.Address)
		}
		seen[where] = true
		if err := checkExternal(name, n, e); err != nil {
			return hint.With(err, where, "")
		}
	}
	return nil
}

func checkExternal(name string, n *state.Network, e state.External) error {
	if !ground.HasMember(n, e.Server) {
		return hint.Errorf("server "+e.Server, "flock addbgp "+name+" peer "+e.Server, "%s is not a member of %s", e.Server, name)
	}
	a := e.Address
	if !a.IsValid() || a.Is4In6() || a.Zone() != "" || !a.IsGlobalUnicast() || a.IsLinkLocalUnicast() {
		return hint.Errorf("", "flock addbgp "+name+" external "+e.Server+" PEERIP --as ASN, with the router's address", "%s is not an address that a router is reached by", a)
	}
	if err := option.CheckAS(e.AS); err != nil {
		return err
	}
	switch {
	case option.CheckHops(e.Multihop) != nil:
		return option.CheckHops(e.Multihop)
	case e.Multihop != 0 && e.AS == n.AS:
		return hint.Errorf("", "leave --multihop away", "AS %d is the network's own: such a session may go any number of hops", e.AS)
	case option.CheckBFD(int64(e.BFD)) != nil:
		return option.CheckBFD(int64(e.BFD))
	case e.BFD != 0 && e.Multihop != 0:
		return hint.Errorf("", "--bfd or --multihop, not both", "BFD watches routers on the server's own subnets: %s is %d hops away", a, e.Multihop)
	case e.TTLSecurity && e.AS == n.AS:
		return hint.Errorf("", "leave --ttl-security away", "AS %d is the network's own: TTL security is for sessions with another", e.AS)
	case option.CheckMaxPrefixes(e.MaxPrefixes) != nil:
		return option.CheckMaxPrefixes(e.MaxPrefixes)
	case option.CheckPreference(int64(e.LocalPref), int64(e.MED), int64(e.Prepend)) != nil:
		return option.CheckPreference(int64(e.LocalPref), int64(e.MED), int64(e.Prepend))
	case e.Prepend != 0 && e.AS == n.AS:
		return hint.Errorf("", "leave --prepend away; --local-pref is what counts within an AS", "AS %d is the network's own: who finds it in a path takes that for a loop", e.AS)
	case option.CheckCommunities(e.Communities) != nil:
		return option.CheckCommunities(e.Communities)
	case e.Password != "" && state.CheckName("password id", e.Password) != nil:
		return hint.Errorf("", "flock addbgp "+name+" external "+e.Server+" "+a.String()+" --password-file FILE", "%q is not the id of a password", e.Password)
	}
	if err := checkRules("--accept", e.Accept); err != nil {
		return err
	}
	return checkRules("--announce", e.Announce)
}

// What makes a router a backup: its routes are preferred less than those of others, and
// the paths that it is told are longer.
const (
	BackupLocalPref = 50
	BackupPrepend   = 3
)

// external is the session of s with e.
func external(b *ground.Builder, g *Group, n *state.Network, s *Speaker, e state.External) (spec.BGPNeighbor, error) {
	out := spec.BGPNeighbor{
		Addr: e.Address, AS: e.AS, External: true, Client: e.AS == n.AS && reflects(n, s.Server),
		BFD: e.BFD, Secret: e.Password, Multihop: e.Multihop, TTLSecurity: e.TTLSecurity, MaxPrefixes: e.MaxPrefixes,
		Drain: e.Shutdown, LocalPref: e.LocalPref, MED: e.MED, Prepend: e.Prepend, Communities: e.Communities,
	}
	if e.Backup {
		out.LocalPref = cmp.Or(out.LocalPref, BackupLocalPref)
		if e.AS != n.AS {
			out.Prepend = cmp.Or(out.Prepend, BackupPrepend)
		}
	}
	for _, text := range e.Accept {
		r, err := ParseRule(text)
		if err != nil {
			return out, err
		}
		out.Import = append(out.Import, r)
	}
	for _, text := range e.Announce {
		r, err := ParseRule(text)
		if err != nil {
			return out, err
		}
		out.Export = append(out.Export, r)
	}
	local, near := b.LocalFor(s.Server, e.Address)
	out.Local = local
	if other := g.At(e.Address); other != "" {
		return out, hint.Errorf("server "+s.Server, "flock delbgp "+g.Network+" external "+s.Server+" "+e.Address.String(), "%s is %s, a member of %s: they talk already", e.Address, other, g.Network)
	}
	if !near && e.BFD != 0 {
		return out, hint.Errorf("server "+s.Server, again(g.Network, n, e)+" --bfd=0",
			"BFD watches routers on the server's own subnets: %s is on none of %s's (%s)", e.Address, s.Server, ground.JoinWords(b.SubnetsOf(s.Server)))
	}
	if !near && e.Multihop == 0 && e.AS != n.AS {
		return out, hint.Errorf("server "+s.Server, again(g.Network, n, e),
			"%s is on none of %s's subnets (%s)", e.Address, s.Server, ground.JoinWords(b.SubnetsOf(s.Server)))
	}
	return out, nil
}

// again is the command that adds a router which is on none of the server's subnets.
func again(network string, n *state.Network, e state.External) string {
	out := "flock addbgp " + network + " external " + e.Server + " " + e.Address.String() + " --as " + option.FormatAS(e.AS)
	if e.AS != n.AS {
		out += " --multihop 2"
	}
	return out
}

// forcedRules are the routes that may take the way to what is protected, on all members:
// what is accepted of routers that were named with --force, and shares that were.
func forcedRules(n *state.Network) []spec.PrefixRule {
	var out []spec.PrefixRule
	for _, e := range n.Externals {
		if !e.Force {
			continue
		}
		for _, text := range e.Accept {
			if r, err := ParseRule(text); err == nil {
				out = append(out, r)
			}
		}
		if len(e.Accept) == 0 {
			out = append(out, spec.PrefixRule{Prefix: netip.PrefixFrom(netip.IPv4Unspecified(), 0), GE: 1},
				spec.PrefixRule{Prefix: netip.PrefixFrom(netip.IPv6Unspecified(), 0), GE: 1})
		}
	}
	for _, text := range n.Forced {
		if s, err := state.ParseShare(text); err == nil {
			out = append(out, spec.PrefixRule{Prefix: s.Subnet})
		}
	}
	return out
}
