//go:build linux

package nft

import (
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/spec"
	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// dockerUser is Docker's chain for the administrator's own rules: it comes before
// everything that Docker drops, and Docker leaves its content alone.
const dockerUser = "DOCKER-USER"

// libvirtIn is libvirt's chain for what comes in to its guests: it ends with a rejection for
// each bridge, whatever the policy is. The jump to it may stand before that to DOCKER-USER:
// an accept helps at the head of the chain that jumps (bridge_driver_iptables.c, libvirt 9).
const libvirtIn = "LIBVIRT_FWI"

// acceptRule is a rule of ours in somebody else's chain.
type acceptRule struct {
	chain   *nftables.Chain
	network string
	match   match
	of      spec.Forward // what it is for
	damaged bool         // read, and not as written
	handle  uint64
}

func (a acceptRule) same(b acceptRule) bool {
	return sameChain(a.chain, b.chain) && a.network == b.network && a.match == b.match && a.damaged == b.damaged
}

func sameChain(a, b *nftables.Chain) bool {
	return a.Name == b.Name && a.Table.Name == b.Table.Name && a.Table.Family == b.Table.Family
}

// exprs are what iptables-nft writes, so that iptables -S shows the rule: names with their
// NUL and unpadded, a counter, the verdict.
func (a acceptRule) exprs() exprs {
	var out exprs
	for _, side := range []struct {
		key  expr.MetaKey
		name string
	}{{expr.MetaKeyIIFNAME, a.match.in}, {expr.MetaKeyOIFNAME, a.match.out}} {
		if side.name != "" {
			out = append(out, &expr.Meta{Key: side.key, Register: reg}, cmp(expr.CmpOpEq, append([]byte(side.name), 0)))
		}
	}
	if of := a.match.addresses(); of.IsValid() && a.chain.Table.Family == nftables.TableFamilyINet {
		out = append(out, nfproto(of.Addr())...)
	}
	if a.match.src.IsValid() {
		out = append(out, src(a.match.src)...)
	}
	if a.match.dst.IsValid() {
		out = append(out, dst(expr.CmpOpEq, a.match.dst)...)
	}
	if a.match.back {
		out = append(out, established(a.chain)...)
	}
	return append(append(out, &expr.Counter{}), accept()...)
}

// wantedAccepts lists the rules that want's forwards need where chains stand in the way.
func (n *Filters) wantedAccepts(from *ruleset, chains []*nftables.Chain, want *spec.Host) ([]acceptRule, error) {
	if len(want.Forwards) == 0 {
		return nil, nil
	}
	targets, err := forwardTargets(from, chains)
	if err != nil {
		return nil, err
	}
	var out []acceptRule
	for _, f := range want.Forwards {
		for _, m := range n.matches(f, want) {
			for _, ch := range targets {
				if sees(ch.Table.Family, m.addresses()) {
					out = append(out, acceptRule{chain: ch, network: f.Network, match: m, of: f})
				}
			}
		}
	}
	return out, nil
}

// sees says whether tables of family see packets of subnet; an invalid one is any.
func sees(family nftables.TableFamily, subnet netip.Prefix) bool {
	switch family {
	case nftables.TableFamilyIPv4:
		return !subnet.Addr().Is6()
	case nftables.TableFamilyIPv6:
		return !subnet.Addr().Is4()
	}
	return true
}

// forwardTargets are the chains that accepts go into. An accept ends one base
// chain only, so every table with one that drops needs its own: in DOCKER-USER
// where that is consulted, otherwise in the dropping chain itself.
func forwardTargets(from *ruleset, chains []*nftables.Chain) ([]*nftables.Chain, error) {
	var out []*nftables.Chain
	for _, ch := range chains {
		if !consulted(ch) {
			continue
		}
		if ch.Name == dockerUser {
			out = append(out, ch)
			continue
		}
		refuses, err := jumpsTo(from, ch, libvirtIn)
		if err != nil {
			return nil, err
		}
		if refuses {
			out = append(out, ch)
			continue
		}
		if ch.Policy == nil || *ch.Policy != nftables.ChainPolicyDrop {
			continue
		}
		user := slices.ContainsFunc(chains, func(o *nftables.Chain) bool {
			return o.Name == dockerUser && sameChain(o, &nftables.Chain{Name: dockerUser, Table: ch.Table})
		})
		if user {
			// `iptables -F` leaves the policy and an orphaned DOCKER-USER behind.
			jumps, err := jumpsTo(from, ch, dockerUser)
			if err != nil {
				return nil, err
			}
			if jumps {
				continue
			}
		}
		out = append(out, ch)
	}
	return out, nil
}

// consulted says whether ch can hold accepts of ours: DOCKER-USER, or a base chain that
// filters forwarding, of a family that sees IP.
func consulted(ch *nftables.Chain) bool {
	if !seesIP(ch.Table.Family) {
		return false
	}
	if ch.Name == dockerUser {
		return true
	}
	return ch.Type == nftables.ChainTypeFilter && ch.Hooknum != nil && *ch.Hooknum == *nftables.ChainHookForward
}

// seesIP says whether tables of family see IP packets as such.
func seesIP(family nftables.TableFamily) bool {
	return family == nftables.TableFamilyIPv4 || family == nftables.TableFamilyIPv6 || family == nftables.TableFamilyINet
}

func jumpsTo(from *ruleset, ch *nftables.Chain, name string) (bool, error) {
	rules, err := from.of(ch)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(rules, func(r *nftables.Rule) bool {
		return slices.ContainsFunc(r.Exprs, func(e expr.Any) bool {
			v, ok := e.(*expr.Verdict)
			return ok && v.Chain == name
		})
	}), nil
}

// readAccepts finds the rules of ours in chains of others, those that were changed
// by hand included: their comments tell.
func (n *Filters) readAccepts(from *ruleset, chains []*nftables.Chain) ([]acceptRule, error) {
	prefix := spec.Alias(n.server.Cluster, "")
	var out []acceptRule
	for _, ch := range chains {
		if !consulted(ch) {
			continue
		}
		rules, err := from.of(ch)
		if err != nil {
			return nil, err
		}
		for _, r := range rules {
			if network, ours := strings.CutPrefix(commentOf(r), prefix); ours {
				out = append(out, decodeAccept(acceptRule{chain: ch, network: network, handle: r.Handle}, r.Exprs))
			}
		}
	}
	return out, nil
}

// decodeAccept reads what a rule of ours matches.
func decodeAccept(a acceptRule, found exprs) acceptRule {
	have := slices.Clone(found)
	var name *string
	var side *netip.Prefix
	bits := -1
	for i, e := range found {
		switch e := e.(type) {
		case *expr.Meta:
			name, side = nil, nil
			switch e.Key {
			case expr.MetaKeyIIFNAME:
				name = &a.match.in
			case expr.MetaKeyOIFNAME:
				name = &a.match.out
			}
		case *expr.Payload:
			name, side, bits = nil, &a.match.src, -1
			if e.Offset == ip4Dst && e.Len == 4 || e.Offset == ip6Dst && e.Len == 16 {
				side = &a.match.dst
			}
		case *expr.Bitwise:
			bits, _ = net.IPMask(e.Mask).Size()
		case *expr.Cmp:
			addr, ok := netip.AddrFromSlice(e.Data)
			switch {
			case name != nil:
				*name = strings.TrimRight(string(e.Data), "\x00")
			case side != nil && ok:
				if bits < 0 {
					bits = addr.BitLen()
				}
				*side = netip.PrefixFrom(addr, bits)
			}
		case *expr.Ct:
			a.match.back, name, side = true, nil, nil
		case *expr.Match:
			if isEstablished(e) {
				a.match.back, have[i] = true, establishedMatch()
			}
		case *expr.Counter:
			have[i] = &expr.Counter{}
		}
	}
	a.damaged = !reflect.DeepEqual(a.exprs(), have)
	return a
}

// forwardDiff is how the accepts that are there differ from those for the forwards
// that are wanted.
type forwardDiff struct{ missing, extra []spec.Forward }

func (d forwardDiff) none() bool { return len(d.missing)+len(d.extra) == 0 }

// acceptChanges says which accepts in other people's chains are missing for want and
// which of ours are in excess.
func (n *Filters) acceptChanges(from *ruleset, chains []*nftables.Chain, want *spec.Host) (missing, extra []acceptRule, err error) {
	wanted, err := n.wantedAccepts(from, chains, want)
	if err != nil {
		return nil, nil, err
	}
	found, err := n.readAccepts(from, chains)
	if err != nil {
		return nil, nil, err
	}
	missing, extra = compareAccepts(wanted, found)
	return missing, extra, nil
}

// observeForwards compares the accepts in other people's chains.
func (n *Filters) observeForwards(from *ruleset, chains []*nftables.Chain, want *spec.Host) (forwardDiff, error) {
	var d forwardDiff
	missing, extra, err := n.acceptChanges(from, chains, want)
	if err != nil {
		return d, err
	}
	for _, a := range missing {
		d.missing = append(d.missing, a.of)
	}
	for _, a := range extra {
		d.extra = append(d.extra, n.forwardOf(a.match, a.network, want))
	}
	return d, nil
}

// observeLegacy adds the accepts in the iptables before nftables to d, and reports
// the forwards that nothing stands in the way of, and those whose accepts are there
// though nobody wants them.
func (n *Filters) observeLegacy(d forwardDiff, want, have *spec.Host) error {
	missing, extra, err := n.legacyChanges(want)
	if err != nil {
		return err
	}
	for _, r := range missing {
		d.missing = append(d.missing, r.of)
	}
	for _, r := range extra {
		d.extra = append(d.extra, n.forwardOf(r.found, r.network, want))
	}
	d.report(want, have)
	return nil
}

func (d forwardDiff) report(want, have *spec.Host) {
	for _, f := range want.Forwards {
		if !slices.Contains(d.missing, f) {
			have.Forwards = append(have.Forwards, f)
		}
	}
	for _, f := range d.extra {
		if slices.Contains(want.Forwards, f) {
			// In excess for a forward that is wanted: changed, not to be removed.
			have.Forwards = spec.Without(have.Forwards, func(h spec.Forward) bool { return h == f })
		} else if !slices.Contains(have.Forwards, f) {
			have.Forwards = append(have.Forwards, f)
		}
	}
}

// setForwards queues what makes the accepts in other people's chains right. Those
// that are right stay where they are, so that rules an administrator put above
// them stay above.
func (n *Filters) setForwards(c *nftables.Conn, missing, extra []acceptRule) error {
	for _, a := range extra {
		if err := c.DelRule(&nftables.Rule{Table: a.chain.Table, Chain: a.chain, Handle: a.handle}); err != nil {
			return fmt.Errorf("remove an accept from %s %s: %w", a.chain.Table.Name, a.chain.Name, err)
		}
	}
	for _, a := range slices.Backward(missing) {
		c.InsertRule(&nftables.Rule{
			Table: a.chain.Table, Chain: a.chain, Exprs: a.exprs(),
			UserData: comment(spec.Alias(n.server.Cluster, a.network)),
		})
	}
	return nil
}

// compareAccepts says which of wanted are missing and which of found are in
// excess, a second copy included.
func compareAccepts(wanted, found []acceptRule) (missing, extra []acceptRule) {
	extra = slices.Clone(found)
	for _, w := range wanted {
		i := slices.IndexFunc(extra, w.same)
		if i < 0 {
			missing = append(missing, w)
			continue
		}
		extra = slices.Delete(extra, i, i+1)
	}
	return missing, extra
}
