//go:build linux

package nft

import (
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"github.com/flocknet/flock/internal/spec"
)

// Chains are all chains, with what becomes of packets in those that can hold accepts of ours.
func (n *Filters) Chains() (out []spec.Chain, err error) {
	err = n.steady(func(_ *nftables.Conn, rules *ruleset) error {
		out = nil
		chains, err := rules.allChains()
		if err != nil {
			return err
		}
		for _, ch := range chains {
			one := spec.Chain{Family: int(ch.Table.Family), Table: ch.Table.Name, Name: ch.Name}
			if consulted(ch) && !strings.HasPrefix(one.Table, tablePrefix) {
				list, err := rules.of(ch)
				if err != nil {
					return err
				}
				one.Forward = ch.Hooknum != nil
				one.Drops = ch.Policy != nil && *ch.Policy == nftables.ChainPolicyDrop
				for _, r := range list {
					one.Refuses = refusesAll(r)
					one.Lets = append(one.Lets, lets(r)...)
					if mark := commentOf(r); strings.HasPrefix(mark, spec.AliasPrefix) && !slices.Contains(one.Accepts, mark) {
						one.Accepts = append(one.Accepts, mark)
					}
				}
			}
			out = append(out, one)
		}
		return nil
	})
	return out, err
}

// lets are the devices and prefixes that a rule accepts packets of. A prefix that ends with a byte
// is compared without a mask (nft(8) writes it so): then what is compared has that length.
func lets(r *nftables.Rule) (out []string) {
	if len(r.Exprs) == 0 {
		return nil
	}
	if v, ok := r.Exprs[len(r.Exprs)-1].(*expr.Verdict); !ok || v.Kind != expr.VerdictAccept {
		return nil
	}
	name, bits := false, 0
	for _, e := range r.Exprs {
		switch e := e.(type) {
		case *expr.Meta:
			name, bits = e.Key == expr.MetaKeyIIFNAME || e.Key == expr.MetaKeyOIFNAME, 0
		case *expr.Payload:
			name, bits = false, 0
			if e.Base == networkLayer {
				bits = int(e.Len) * 8
			}
		case *expr.Bitwise:
			bits, _ = net.IPMask(e.Mask).Size()
		case *expr.Cmp:
			size := 4
			if bits > 32 {
				size = 16
			}
			a, _ := netip.AddrFromSlice(append(slices.Clone(e.Data), make([]byte, max(size-len(e.Data), 0))...))
			switch {
			case name:
				out = append(out, strings.TrimRight(string(e.Data), "\x00"))
			case bits > 0:
				out = append(out, netip.PrefixFrom(a, bits).String())
			}
		}
	}
	return out
}

// refusesAll says whether a rule drops or rejects whatever comes to it.
func refusesAll(r *nftables.Rule) (refuses bool) {
	for _, e := range r.Exprs {
		switch e := e.(type) {
		case *expr.Counter, *expr.Log:
		case *expr.Reject:
			refuses = true
		case *expr.Verdict:
			refuses = e.Kind == expr.VerdictDrop
		case *expr.Target:
			refuses = e.Name == "REJECT"
		default:
			return false
		}
	}
	return refuses
}
