//go:build linux

package nft

import (
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"github.com/flocknet/flock/internal/spec"
)

// Others finds rules of others about what is forwarded: those that translate
// addresses, and accepts of a forward hook that name a device or an address.
func (n *Filters) Others() ([]OtherRules, error) {
	var out []OtherRules
	err := n.steady(func(_ *nftables.Conn, rules *ruleset) error {
		out = nil
		chains, err := rules.allChains()
		if err != nil {
			return err
		}
		for _, ch := range chains {
			if strings.HasPrefix(ch.Table.Name, tablePrefix) || !seesIP(ch.Table.Family) {
				continue
			}
			list, err := rules.of(ch)
			if err != nil {
				return err
			}
			for _, r := range list {
				if what := forwards(ch, r); what != "" {
					out = append(out, OtherRules{
						What: what + " in " + ch.Table.Name + " " + ch.Name,
						Four: ch.Table.Family != nftables.TableFamilyIPv6, Six: ch.Table.Family != nftables.TableFamilyIPv4,
					})
					break
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	legacy, err := legacyOthers(n.server)
	return append(out, legacy...), err
}

// forwards says what of a rule is about forwarded packets, "" for nothing. Accepts of
// flock's in chains of others bear its mark.
func forwards(ch *nftables.Chain, r *nftables.Rule) string {
	if strings.HasPrefix(commentOf(r), spec.AliasPrefix) {
		return ""
	}
	narrow, accepts := false, false
	for _, e := range r.Exprs {
		switch e := e.(type) {
		case *expr.Masq:
			return "masquerade"
		case *expr.NAT:
			return "address translation"
		case *expr.Target:
			if slices.Contains([]string{"MASQUERADE", "SNAT", "DNAT", "NETMAP"}, e.Name) {
				return strings.ToLower(e.Name)
			}
		case *expr.Meta:
			narrow = narrow || e.Key == expr.MetaKeyIIFNAME || e.Key == expr.MetaKeyOIFNAME || e.Key == expr.MetaKeyIIF || e.Key == expr.MetaKeyOIF
		case *expr.Payload:
			narrow = narrow || e.Base == networkLayer
		case *expr.Verdict:
			accepts = e.Kind == expr.VerdictAccept
		}
	}
	if narrow && accepts && ch.Hooknum != nil && *ch.Hooknum == *nftables.ChainHookForward {
		return "an accept"
	}
	return ""
}

// legacyOthers finds masquerading in the iptables before nftables.
func legacyOthers(s Server) ([]OtherRules, error) {
	var out []OtherRules
	for _, t := range legacyTables {
		program, err := t.find(s, "nat")
		if err != nil || program == "" {
			if err != nil {
				return nil, err
			}
			continue
		}
		list, err := runLegacy(program, "-t", "nat", "-S")
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(list) {
			if _, target, ok := strings.Cut(line, " -j "); ok && slices.Contains([]string{"MASQUERADE", "SNAT", "DNAT", "NETMAP"}, firstWord(target)) {
				out = append(out, OtherRules{What: strings.ToLower(firstWord(target)) + " of " + t.program, Four: !t.six, Six: t.six})
				break
			}
		}
	}
	return out, nil
}

func firstWord(s string) string {
	word, _, _ := strings.Cut(strings.TrimSpace(s), " ")
	return word
}
