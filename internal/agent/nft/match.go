//go:build linux

package nft

import (
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"

	"github.com/flocknet/flock/internal/spec"
)

// match is what an accept in somebody else's chain lets through; zero fields are any. back
// are packets of connections that were let through before.
type match struct {
	in, out  string // devices
	src, dst netip.Prefix
	back     bool
}

// addresses is a prefix that tells whose family m sees, invalid: of both.
func (m match) addresses() netip.Prefix {
	if m.src.IsValid() {
		return m.src
	}
	return m.dst
}

// matches are what f lets through on this server, exactly as wide as its network: among
// its own, out of the server, back, and what is shared. Others of the same server, and
// whoever sends packets to it, are for the rules of those who drop them.
func (n *Filters) matches(f spec.Forward, want *spec.Host) []match {
	switch {
	case f.Link != "":
		return n.linkMatches(f, want)
	case want.BGP != nil && want.BGP.Network == f.Network:
		return n.announcedMatches(f, want)
	}
	return n.poolMatches(f, want)
}

// linkMatches: what is plugged into a bridge, or comes by a tunnel.
func (n *Filters) linkMatches(f spec.Forward, want *spec.Host) []match {
	var out []match
	for _, other := range want.Forwards {
		if other.Network == f.Network && other.Link != "" {
			out = append(out, match{in: f.Link, out: other.Link})
		}
	}
	for _, up := range n.Uplinks {
		out = append(out, match{in: f.Link, out: up})
	}
	out = append(out, match{out: f.Link, back: true})
	for _, k := range want.Keeps {
		if k.Link == f.Link {
			out = append(out, match{in: f.Link, dst: k.Subnet}, match{out: f.Link, src: k.Subnet})
		}
	}
	return out
}

// announcedMatches: a subnet that BGP announces is reached by whoever hears of it, by
// uplinks and networks of ours.
func (n *Filters) announcedMatches(f spec.Forward, want *spec.Host) []match {
	ways := slices.Clone(n.Uplinks)
	for _, other := range want.Forwards {
		if other.Link != "" {
			ways = append(ways, other.Link)
		}
	}
	out := []match{{src: f.Subnet, dst: f.Subnet}}
	for _, way := range ways {
		out = append(out, match{src: f.Subnet, out: way}, match{in: way, dst: f.Subnet})
	}
	out = append(out, around(f.Subnet), match{dst: f.Subnet, back: true})
	return spec.Without(out, func(m match) bool { return m == match{} })
}

// poolMatches: the server's part of a pool and f's subnet, which is the pool or what others
// announce, reach each other; the part reaches the outside.
func (n *Filters) poolMatches(f spec.Forward, want *spec.Host) []match {
	var out []match
	for _, k := range want.Keeps {
		if k.Network != f.Network || k.Link != "" || k.Subnet.Addr().Is6() != f.Subnet.Addr().Is6() {
			continue
		}
		out = append(out, match{src: k.Subnet, dst: f.Subnet})
		if k.Subnet != f.Subnet {
			out = append(out, match{src: f.Subnet, dst: k.Subnet})
		}
		if !f.Subnet.Overlaps(k.Subnet) {
			continue
		}
		for _, up := range n.Uplinks {
			out = append(out, match{src: k.Subnet, out: up})
		}
		out = append(out, around(k.Subnet), match{dst: k.Subnet, back: true})
	}
	return spec.Without(out, func(m match) bool { return m == match{} })
}

// around is what neighbours in an IPv6 subnet ask each other by, where frames of a bridge
// pass the rules for IP too; no router passes it on.
func around(subnet netip.Prefix) match {
	if subnet.Addr().Is4() {
		return match{}
	}
	return match{src: subnet, dst: netip.PrefixFrom(netip.AddrFrom16([16]byte{0xff, 0x02}), 16)}
}

// forwardOf is the forward that an accept of network was for, as far as it tells: one that
// is wanted, if it may have been for that.
func (n *Filters) forwardOf(m match, network string, want *spec.Host) spec.Forward {
	var may []spec.Forward
	for _, name := range []string{m.in, m.out} {
		if name != "" && !slices.Contains(n.Uplinks, name) {
			may = append(may, spec.Forward{Network: network, Link: name})
		}
	}
	for _, p := range []netip.Prefix{m.src, m.dst} {
		if p.IsValid() {
			may = append(may, spec.Forward{Network: network, Subnet: p})
		}
	}
	for _, f := range may {
		if slices.Contains(want.Forwards, f) {
			return f
		}
	}
	if len(may) == 0 {
		return spec.Forward{Network: network}
	}
	return may[0]
}

// Bits of the state of a connection, for both ways to match it (linux, nf_conntrack_common.h).
const ctEstablished, ctRelated = 1 << 1, 1 << 2

// established matches packets of connections that were let through before, as iptables
// writes it where it reads the table too: it reads no table with what it does not know.
func established(ch *nftables.Chain) exprs {
	if ch.Table.Name == "filter" && ch.Table.Family != nftables.TableFamilyINet {
		return exprs{establishedMatch()}
	}
	state := binaryutil.NativeEndian.PutUint32(ctEstablished | ctRelated)
	none := make([]byte, len(state))
	return exprs{
		&expr.Ct{Key: expr.CtKeySTATE, Register: reg},
		&expr.Bitwise{SourceRegister: reg, DestRegister: reg, Len: uint32(len(state)), Mask: state, Xor: none}, cmp(expr.CmpOpNeq, none),
	}
}

func establishedMatch() *expr.Match {
	info := &xt.ConntrackMtinfo3{}
	info.MatchFlags, info.StateMask = uint16(xt.ConntrackState), ctEstablished|ctRelated
	for _, a := range []*net.IP{&info.OrigSrcAddr, &info.OrigDstAddr, &info.ReplSrcAddr, &info.ReplDstAddr} {
		*a = net.IPv6zero
	}
	for _, m := range []*net.IPMask{&info.OrigSrcMask, &info.OrigDstMask, &info.ReplSrcMask, &info.ReplDstMask} {
		*m = make(net.IPMask, net.IPv6len)
	}
	return &expr.Match{Name: "conntrack", Rev: 3, Info: info}
}

func isEstablished(m *expr.Match) bool {
	info, ok := m.Info.(*xt.ConntrackMtinfo3)
	return ok && m.Name == "conntrack" && info.StateMask == ctEstablished|ctRelated && info.MatchFlags == uint16(xt.ConntrackState) && info.InvertFlags == 0
}

// legacy is m as `iptables -S` prints it, with a space at its end.
func (m match) legacy() string {
	var b strings.Builder
	add := func(option, value string) {
		if value != "" {
			b.WriteString(option + " " + value + " ")
		}
	}
	if m.src.IsValid() {
		add("-s", m.src.String())
	}
	if m.dst.IsValid() {
		add("-d", m.dst.String())
	}
	add("-i", m.in)
	add("-o", m.out)
	if m.back {
		b.WriteString("-m conntrack --ctstate RELATED,ESTABLISHED ")
	}
	return b.String()
}

// readLegacy reads the words of such a line. What is no prefix was changed by hand, and goes.
func readLegacy(words []string) match {
	var m match
	for i, w := range words[:len(words)-1] {
		switch value := words[i+1]; w {
		case "-i":
			m.in = value
		case "-o":
			m.out = value
		case "-s":
			m.src, _ = netip.ParsePrefix(value)
		case "-d":
			m.dst, _ = netip.ParsePrefix(value)
		}
	}
	return m
}
