package explain

import (
	"fmt"
	"net/netip"

	"github.com/flocknet/flock/internal/spec"
)

// speaker says what is said by BGP. The daemon is a process of flock's agent: no command
// starts it, and the nearest is FRR with the same sessions and prefixes.
func (w *writer) speaker() error {
	s := w.own.BGP
	if s == nil {
		return nil
	}
	lines := []string{
		"router bgp " + fmt.Sprint(s.AS), " bgp router-id " + s.RouterID.String(), " no bgp default ipv4-unicast", " no bgp ebgp-requires-policy", " no bgp network import-check",
		" bgp graceful-restart", fmt.Sprintf(" timers bgp %d %d", s.Hold/3, s.Hold),
	}
	if s.ClusterID.IsValid() {
		lines = append(lines, " bgp cluster-id "+s.ClusterID.String())
	}
	for _, n := range s.Neighbors {
		lines = append(lines, frrSession(n)...)
	}
	for _, four := range []bool{true, false} {
		lines = append(lines, frrFamily(s, four)...)
	}
	lines = append(lines, "exit")
	for _, n := range s.Neighbors {
		if n.External {
			lines = append(lines, frrLists(s, n)...)
		}
	}
	for i := range lines {
		lines[i] = "#   " + lines[i]
	}
	w.build("BGP is spoken by a process of flock's agent, which also keeps routes of the server's own from being overruled; its\nroutes have protocol "+num(spec.RouteProtoBGP)+
		" and metric "+num(spec.BGPMetric)+". No command starts it. With FRR (bgpd=yes in /etc/frr/daemons) the same sessions and\nprefixes are, in /etc/frr/frr.conf (passwords are in no cluster file):", lines...)
	return nil
}

// frrSession is a neighbour in FRR's words.
func frrSession(n spec.BGPNeighbor) []string {
	at := " neighbor " + n.Addr.WithZone("").String() + " "
	out := []string{at + "remote-as " + fmt.Sprint(n.AS)}
	if n.Name != "" {
		out = append(out, at+"description "+n.Name)
	}
	if n.Local.IsValid() {
		out = append(out, at+"update-source "+n.Local.WithZone("").String())
	}
	switch {
	case n.TTLSecurity:
		out = append(out, fmt.Sprintf("%sttl-security hops %d", at, max(n.Multihop, 1)))
	case n.Multihop > 0:
		out = append(out, fmt.Sprintf("%sebgp-multihop %d", at, n.Multihop))
	}
	if n.Secret != "" {
		out = append(out, at+"password PASSWORD")
	}
	if n.BFD > 0 {
		out = append(out, at+"bfd")
	}
	return out
}

// frrFamily is what is said in one address family.
func frrFamily(s *spec.BGP, four bool) []string {
	name := map[bool]string{true: "ipv4", false: "ipv6"}[four]
	var out []string
	for _, p := range append(s.Prefixes[:len(s.Prefixes):len(s.Prefixes)], s.Anycast...) {
		if p.Addr().Is4() == four {
			out = append(out, "  network "+p.String())
		}
	}
	for _, n := range s.Neighbors {
		at := "  neighbor " + n.Addr.WithZone("").String() + " "
		if n.Addr.Is4() == four {
			out = append(out, at+"activate")
		} else {
			continue
		}
		if n.Client {
			out = append(out, at+"route-reflector-client")
		}
		if n.NextHopSelf {
			out = append(out, at+"next-hop-self")
		}
		if n.MaxPrefixes > 0 {
			out = append(out, fmt.Sprintf("%smaximum-prefix %d", at, n.MaxPrefixes))
		}
		if n.External {
			out = append(out, at+"prefix-list "+listName(n, "in")+" in", at+"prefix-list "+listName(n, "out")+" out")
		}
	}
	if len(out) == 0 {
		return nil
	}
	return append(append([]string{" address-family " + name + " unicast"}, out...), " exit-address-family")
}

func listName(n spec.BGPNeighbor, way string) string {
	return "flock-" + n.Addr.WithZone("").String() + "-" + way
}

// frrLists are the prefix lists of an external neighbour: what is shared is not learned from
// it, and nothing else is announced to it.
func frrLists(s *spec.BGP, n spec.BGPNeighbor) []string {
	keyword, longest := "ipv6", 128
	every := netip.MustParsePrefix("::/0")
	if n.Addr.Is4() {
		keyword, longest, every = "ip", 32, netip.MustParsePrefix("0.0.0.0/0")
	}
	var out []string
	add := func(way, rule string) {
		out = append(out, keyword+" prefix-list "+listName(n, way)+" "+rule)
	}
	own := ofFamily(s.Own, n.Addr.Is4())
	for _, p := range own {
		add("in", fmt.Sprintf("deny %s le %d", p, longest))
	}
	for _, r := range n.Import {
		if r.Prefix.Addr().Is4() == n.Addr.Is4() {
			add("in", r.String())
		}
	}
	if len(n.Import) == 0 {
		add("in", "deny "+every.String())
		add("in", fmt.Sprintf("permit %s le %d", every, longest))
	}
	for _, r := range n.Export {
		if r.Prefix.Addr().Is4() == n.Addr.Is4() {
			add("out", r.String())
		}
	}
	if len(n.Export) == 0 {
		for _, p := range own {
			add("out", "permit "+p.String())
		}
	}
	return out
}
