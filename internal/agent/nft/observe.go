//go:build linux

package nft

import (
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/flocknet/flock/internal/spec"
	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// Observe fills have.Gateways, have.Guards, have.Doors, have.NATs, have.Keeps and have.Forwards.
//
// A wanted object is there if its rules are all present, in order and as they
// would be written. One that is damaged in any way is missing; a foreign rule,
// a chain or a flag that does not belong in one of the cluster's tables makes
// all objects of that table missing. An object that nobody wants any more appears
// with what its rules' comments tell: enough to name it in a removal.
//
// The guard before VXLAN inside a mesh has no object of its own in the spec: where
// it differs, a masquerading without a subnet stands for it.
func (n *Filters) Observe(want, have *spec.Host) error {
	generation, err := n.generation()
	if err != nil {
		return err
	}
	n.looked, n.note.sound = generation, ""
	sound := n.note.text(n.counter, generation, want, n.Uplinks)
	if n.note.says(sound) {
		have.Gateways, have.NATs, have.Keeps = slices.Clone(want.Gateways), slices.Clone(want.NATs), slices.Clone(want.Keeps)
		have.Guards, have.Doors = slices.Clone(want.Guards), slices.Clone(want.Doors)
		return n.observeLegacy(forwardDiff{}, want, have)
	}
	objects, err := n.objects(want)
	if err != nil {
		return err
	}
	var forwards forwardDiff
	var seen map[nftables.TableFamily]*foundTable
	err = n.steady(func(_ *nftables.Conn, rules *ruleset) error {
		chains, err := rules.allChains()
		if err != nil {
			return err
		}
		if seen, err = n.readTables(rules, chains, objects); err != nil {
			return err
		}
		forwards, err = n.observeForwards(rules, chains, want)
		return err
	})
	if err != nil {
		return err
	}
	n.report(objects, seen, want, have)
	if n.looked != generation {
		sound = n.note.text(n.counter, n.looked, want, n.Uplinks)
	}
	if forwards.none() && filtersAgree(want, have) {
		n.note.sound = sound
	}
	return n.observeLegacy(forwards, want, have)
}

func (n *Filters) report(objects []object, seen map[nftables.TableFamily]*foundTable, want, have *spec.Host) {
	whole := map[string]bool{}
	for _, o := range objects {
		other, twice := whole[o.tag] // of the other family
		whole[o.tag] = seen[o.family()].holds(o) && (other || !twice)
	}
	for family, t := range seen {
		for tag := range t.rules { // of an object that has none in this family
			ofTag := func(o object) bool { return o.tag == tag && o.family() == family }
			whole[tag] = whole[tag] && slices.ContainsFunc(objects, ofTag)
		}
	}
	for _, g := range want.Gateways {
		if whole[gatewayTag(g.Network, g.Bridge)] {
			have.Gateways = append(have.Gateways, g)
		}
	}
	for _, g := range want.Guards {
		if whole[portsTag(g)] {
			have.Guards = append(have.Guards, g)
		}
	}
	for _, d := range want.Doors {
		if whole[doorTag(d)] {
			have.Doors = append(have.Doors, d)
		}
	}
	for _, t := range want.NATs {
		if whole[natTag(t.Network, t.Bridge, t.Subnet)] {
			have.NATs = append(have.NATs, t)
		}
	}
	for _, t := range want.Keeps {
		if whole[preserveTag(t)] {
			have.Keeps = append(have.Keeps, t)
		}
	}
	n.addStale(objects, seen, have)
	for _, o := range objects {
		if o.guards != "" && !whole[o.tag] {
			unguard(o.network, o.guards, have, want)
		}
	}
}

// foundTable is one of the cluster's tables as found.
type foundTable struct {
	sound bool // has the flags, and no chain or rule that is not ours
	exact bool // has the chains that are wanted, and no other
	rules map[string][]chainRule
	sets  map[string][]nftables.SetElement
}

// holds says whether t, which may be missing, has o exactly.
func (t *foundTable) holds(o object) bool {
	return t != nil && t.sound && sameRules(o.rules, t.rules[o.tag]) && !slices.ContainsFunc(o.sets, func(s *lookupSet) bool {
		found, ok := t.sets[s.name]
		return !ok || !sameElements(s.elements, found)
	})
}

// settled says whether found is all that objects ask for in a family.
func converged(objects []object, family nftables.TableFamily, found *foundTable) bool {
	needed, rules := false, 0
	for _, o := range objects {
		if o.family() != family {
			continue
		}
		if !found.holds(o) {
			return false
		}
		needed = true
		rules += len(o.rules)
	}
	if found == nil || !needed {
		return found == nil && !needed
	}
	for _, list := range found.rules {
		rules -= len(list)
	}
	return rules == 0 && found.exact
}

func (n *Filters) readTables(rules *ruleset, chains []*nftables.Chain, objects []object) (map[nftables.TableFamily]*foundTable, error) {
	tables, err := rules.allTables()
	if err != nil {
		return nil, err
	}
	out := map[nftables.TableFamily]*foundTable{}
	for _, t := range tables {
		if n.owns(t) {
			if out[t.Family], err = n.readTable(rules, t, chains, objects); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

func (n *Filters) readTable(from *ruleset, t *nftables.Table, chains []*nftables.Chain, objects []object) (*foundTable, error) {
	out := &foundTable{rules: map[string][]chainRule{}}
	ours := spec.Without(chains, func(ch *nftables.Chain) bool {
		return ch.Table.Name != t.Name || ch.Table.Family != t.Family
	})
	out.sound = t.Flags == 0 && haveChains(allChains(t.Family), ours)
	wanted := baseChains(t.Family, objects)
	out.exact = len(wanted) == len(ours) && haveChains(wanted, ours)
	asked := map[string]bool{} // sets that rules look things up in, now or as wanted
	for _, s := range setsOf(t.Family, objects) {
		asked[s.name] = true
	}
	for _, ch := range ours {
		rules, err := from.of(ch)
		if err != nil {
			return nil, err
		}
		for _, r := range rules {
			tag := commentOf(r)
			if _, ok := parseTag(tag); !ok {
				out.sound = false
			}
			out.rules[tag] = append(out.rules[tag], chainRule{ch.Name, r.Exprs})
			for _, e := range r.Exprs {
				if l, ok := e.(*expr.Lookup); ok {
					asked[l.SetName] = true
				}
			}
		}
	}
	sets, err := from.setsOf(t)
	if err != nil {
		return nil, err
	}
	out.sets = make(map[string][]nftables.SetElement, len(sets))
	for _, s := range sets {
		out.sets[s.name] = s.elements
		out.sound = out.sound && asked[s.name] // otherwise it is not ours
	}
	return out, nil
}

// haveChains says whether each of these is one of those.
func haveChains(those, these []*nftables.Chain) bool {
	for _, h := range these {
		ok := slices.ContainsFunc(those, func(w *nftables.Chain) bool {
			return h.Name == w.Name && h.Type == w.Type &&
				same(h.Hooknum, w.Hooknum) && same(h.Priority, w.Priority) && same(h.Policy, w.Policy)
		})
		if !ok {
			return false
		}
	}
	return true
}

// same says whether both are there and equal, or neither is.
func same[T comparable](a, b *T) bool { return a == b || a != nil && b != nil && *a == *b }

// sameRules compares chain by chain: the kernel lists chains in its own order.
func sameRules(want, have []chainRule) bool {
	if len(want) != len(have) {
		return false
	}
	return reflect.DeepEqual(byChain(want), byChain(have))
}

// byChain are the rules of each chain, in their order there.
func byChain(rules []chainRule) map[string][]exprs {
	out := map[string][]exprs{}
	for _, r := range rules {
		out[r.chain] = append(out[r.chain], r.exprs)
	}
	return out
}

// addStale reports what the tables hold for objects that are not wanted, so
// that it is seen as something to remove.
func (n *Filters) addStale(objects []object, seen map[nftables.TableFamily]*foundTable, have *spec.Host) {
	wanted, needed := map[string]bool{}, map[nftables.TableFamily]bool{}
	for _, o := range objects {
		wanted[o.tag], needed[o.family()] = true, true
	}
	for _, family := range tableFamilies {
		t := seen[family]
		if t == nil {
			continue
		}
		named := false
		for _, tag := range slices.Sorted(maps.Keys(t.rules)) {
			s, ok := parseTag(tag)
			if !ok || wanted[tag] {
				continue
			}
			named = true
			switch s.kind {
			case gatewayKind:
				have.Gateways = append(have.Gateways, spec.Gateway{Network: s.network, Bridge: s.bridge})
			case natKind:
				have.NATs = append(have.NATs, spec.NAT{Network: s.network, Bridge: s.bridge, Subnet: s.subnet})
			case preserveKind:
				have.Keeps = append(have.Keeps, spec.PreserveSource{Network: s.network, Link: strings.TrimPrefix(s.bridge, anyLink), Subnet: s.subnet})
			case portsKind:
				have.Guards = append(have.Guards, spec.Guard{Network: s.network, Bridge: s.bridge})
			case doorKind:
				port, _ := strconv.ParseUint(s.bridge, 10, 16) // a comment of somebody's else: 0
				have.Doors = append(have.Doors, spec.Door{Network: s.network, Port: uint16(port)})
			case guardKind:
				have.NATs = append(have.NATs, guardAlone(s.network, s.bridge))
			}
		}
		if needed[family] || named {
			continue
		}
		// A table nobody needs, without a rule that tells its object.
		if family == nftables.TableFamilyBridge {
			have.Gateways = append(have.Gateways, spec.Gateway{Network: n.tableName()})
		} else {
			have.NATs = append(have.NATs, spec.NAT{Network: n.tableName()})
		}
	}
}

// unguard makes have differ from want for the sake of a guard that is damaged,
// unless the rest of its network's rules does so already.
func unguard(network, bridge string, have, want *spec.Host) {
	isNAT := func(t spec.NAT) bool { return t.Network == network }
	isGateway := func(g spec.Gateway) bool { return g.Network == network }
	if slices.ContainsFunc(want.NATs, isNAT) {
		if !slices.ContainsFunc(have.NATs, isNAT) {
			return
		}
	} else if slices.ContainsFunc(want.Gateways, isGateway) && !slices.ContainsFunc(have.Gateways, isGateway) {
		return
	}
	have.NATs = append(have.NATs, guardAlone(network, bridge))
}

// guardAlone stands for a guard to be removed or mended.
func guardAlone(network, bridge string) spec.NAT { return spec.NAT{Network: network, Bridge: bridge} }

// Kinds of objects in a rule's comment.
const (
	gatewayKind  = "gateway"
	natKind      = "masquerade"
	portsKind    = "ports"
	doorKind     = "door"
	guardKind    = "dns" // of guards before VXLAN, and those before DNS that former versions made
	preserveKind = "keep"
)

// ownerTag is a rule's comment taken apart: kind, network, bridge (or link) and, for
// masquerading and its exceptions, the subnet.
type ownerTag struct {
	kind, network, bridge string
	subnet                netip.Prefix
}

func gatewayTag(network, bridge string) string { return gatewayKind + " " + network + " " + bridge }
func guardTag(network, bridge string) string   { return guardKind + " " + network + " " + bridge }

func portsTag(g spec.Guard) string { return portsKind + " " + g.Network + " " + g.Bridge }
func doorTag(d spec.Door) string {
	return doorKind + " " + d.Network + " " + strconv.Itoa(int(d.Port))
}

func natTag(network, bridge string, subnet netip.Prefix) string {
	return natKind + " " + network + " " + bridge + " " + subnet.String()
}

// anyLink stands in a comment for no link in particular; no link is called so.
const anyLink = "-"

func preserveTag(k spec.PreserveSource) string {
	link := k.Link
	if link == "" {
		link = anyLink
	}
	return preserveKind + " " + k.Network + " " + link + " " + k.Subnet.String()
}

func parseTag(text string) (ownerTag, bool) {
	words := strings.Split(text, " ")
	if len(words) < 3 {
		return ownerTag{}, false
	}
	t := ownerTag{kind: words[0], network: words[1], bridge: words[2]}
	switch {
	case len(words) == 3 && slices.Contains([]string{gatewayKind, guardKind, portsKind, doorKind}, t.kind):
		return t, true
	case len(words) == 4 && (t.kind == natKind || t.kind == preserveKind):
		subnet, err := netip.ParsePrefix(words[3])
		t.subnet = subnet
		return t, err == nil
	}
	return ownerTag{}, false
}
