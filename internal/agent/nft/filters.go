//go:build linux

package nft

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/spec"
	"github.com/google/nftables"
)

// Server is the server whose packet filters are meant.
type Server struct {
	Cluster string // whose tables they are
	ProcNet string // where the kernel lists its iptables tables, below /proc

	// Notes is the directory of what later sessions of Program may rely on: below /run, for
	// it holds until the next boot. Without a Program nothing is noted.
	Notes, Program string
}

// Filters are the packet filters of one cluster on a server: gateways, masquerading and the
// guard before VXLAN inside a mesh in two tables of the cluster's own, accepts in tables of
// others. They belong to one goroutine, and to the network namespace of the thread that
// used them first.
type Filters struct {
	Uplinks []string // devices of others that lead out, sorted: set before Observe and Replace
	server  Server
	conn    *nftables.Conn
	seen    *ruleset // of the last look
	counter int      // the socket that tells the generation; 0: not open
	looked  uint32   // generation of before the last look
	held    uint32   // generation that Hold was told of
	bridges *bool    // rules can ask for a frame's bridge; nil: not known yet
	note    filterNote
}

// New returns the packet filters of a server. Sockets are opened when they are needed
// first: Close them.
func New(s Server) *Filters {
	return &Filters{server: s, note: newFilterNote(s)}
}

// Hold remembers what the last Observe saw, for Moved.
func (n *Filters) Hold() { n.held = n.looked }

// Moved says whether anybody has changed a rule since the Observe before Hold, or may have.
func (n *Filters) Moved() bool {
	now, err := n.generation()
	return err != nil || now != n.held
}

// Chains of the cluster's tables.
const (
	preroutingChain  = "prerouting"
	postroutingChain = "postrouting"
	inputChain       = "input"
	forwardChain     = "forward"
)

// object is one object of the spec as rules. The tag is in every rule's
// comment and says which object a rule was made for.
type object struct {
	tag     string
	network string
	bridge  bool   // in the table of the bridge family, otherwise inet
	guards  string // for a guard: the device that it guards
	rules   []chainRule
	sets    []*lookupSet // that the rules look things up in
}

type chainRule struct {
	chain string
	exprs exprs
}

//go:noinline
func (o *object) add(chain string, rules ...exprs) {
	for _, r := range rules {
		o.rules = append(o.rules, chainRule{chain, r})
	}
}

// among is a match of packets to one of list, or to none, and puts what it takes into o.
func (o *object) among(list []netip.Prefix, so bool) exprs {
	match, set := among(list, so)
	if set != nil {
		o.sets = append(o.sets, set)
	}
	return match
}

// objects turns a spec into rules. Its order is the order in the tables.
func (n *Filters) objects(want *spec.Host) ([]object, error) {
	macs := map[string]net.HardwareAddr{}
	for _, l := range want.Links {
		if l.MAC == "" {
			continue
		}
		mac, err := net.ParseMAC(l.MAC)
		if err != nil {
			return nil, fmt.Errorf("read the MAC of %s: %w", l.Name, err)
		}
		macs[l.Name] = mac
	}
	var out []object
	for _, g := range want.Gateways {
		own, ok := macs[g.Bridge]
		if !ok {
			return nil, fmt.Errorf("set up the gateway of %s: bridge %s has no MAC in the spec", g.Network, g.Bridge)
		}
		o, err := gatewayObject(g, own)
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	for _, g := range want.Guards {
		list, err := n.guardObjects(g)
		if err != nil {
			return nil, err
		}
		out = append(out, list...)
	}
	for _, d := range want.Doors {
		out = append(out, doorObject(d))
	}
	for _, t := range want.NATs {
		out = append(out, natObject(t))
	}
	for _, t := range want.Keeps {
		out = append(out, preserveObject(t))
	}
	return append(out, innerObjects(want)...), nil
}

// Replace makes the cluster's tables and its accepts in other tables what want
// asks for, in one transaction: packets see the old rules or the new ones. Tables
// that nothing is wanted in are gone afterwards; one that is right is left alone.
func (n *Filters) Replace(want *spec.Host) error {
	objects, err := n.objects(want)
	if err != nil {
		return err
	}
	// A foreign rule set can change between the look and the transaction (Docker
	// starts); the kernel then refuses the whole with ENOENT.
	for range 3 {
		err = n.transact(want, objects)
		if !errors.Is(err, syscall.ENOENT) {
			break
		}
	}
	if err == nil {
		return nil
	}
	if why := n.Check(want); why != nil {
		return why
	}
	return fmt.Errorf("write nftables rules: %w", err)
}

func (n *Filters) transact(want *spec.Host, objects []object) error {
	var seen map[nftables.TableFamily]*foundTable
	var missing, extra []acceptRule
	n.seen = nil // whatever was seen before
	err := n.steady(func(_ *nftables.Conn, rules *ruleset) error {
		chains, err := rules.allChains()
		if err != nil {
			return err
		}
		if seen, err = n.readTables(rules, chains, objects); err != nil {
			return err
		}
		missing, extra, err = n.acceptChanges(rules, chains, want)
		return err
	})
	if err != nil {
		return err
	}
	err = n.with(func(c *nftables.Conn) error {
		for _, family := range tableFamilies {
			found := seen[family]
			if converged(objects, family, found) {
				continue
			}
			if found != nil {
				c.DelTable(n.table(family))
			}
			if err := n.build(c, n.table(family), objects); err != nil {
				return err
			}
		}
		if err := n.setForwards(c, missing, extra); err != nil {
			return err
		}
		return c.Flush()
	})
	if err != nil {
		return err
	}
	return n.setLegacy(want)
}

// build adds table with the objects of its family, if there are any.
func (n *Filters) build(c *nftables.Conn, table *nftables.Table, objects []object) error {
	family := table.Family
	if !slices.ContainsFunc(objects, func(o object) bool { return o.family() == family }) {
		return nil
	}
	c.AddTable(table)
	for _, base := range baseChains(family, objects) {
		base.Table = table
		c.AddChain(base)
	}
	for _, s := range setsOf(family, objects) {
		if err := addSet(c, table, s); err != nil {
			return err
		}
	}
	for _, o := range objects {
		if o.family() != family {
			continue
		}
		for _, r := range o.rules {
			c.AddRule(&nftables.Rule{
				Table: table, Chain: &nftables.Chain{Name: r.chain, Table: table},
				Exprs: r.exprs, UserData: comment(o.tag),
			})
		}
	}
	return nil
}

// setsOf are the sets that a table of ours needs, each once.
func setsOf(family nftables.TableFamily, objects []object) []*lookupSet {
	var out []*lookupSet
	for _, o := range objects {
		for _, s := range o.sets {
			if o.family() == family && !slices.ContainsFunc(out, func(h *lookupSet) bool { return h.name == s.name }) {
				out = append(out, s)
			}
		}
	}
	return out
}

// Check tries whether this kernel takes want's rules and says which support is
// missing.
func (n *Filters) Check(want *spec.Host) error {
	objects, err := n.objects(want)
	if err != nil {
		return err
	}
	if n.try(objects, tableFamilies[:]...) == nil {
		return nil
	}
	for _, family := range tableFamilies {
		if err := n.try(objects, family); err != nil {
			return unsupported(family, err)
		}
	}
	return nil
}

// try makes tables under another name and deletes them in the same transaction, so
// that no packet ever meets them. The kernel takes some 10 ms to forget each
// transaction and lets the next one wait for that (linux 6.18,
// nf_tables_trans_destroy_work).
func (n *Filters) try(objects []object, in ...nftables.TableFamily) error {
	return n.with(func(c *nftables.Conn) error {
		for _, family := range in {
			if slices.ContainsFunc(objects, func(o object) bool { return o.family() == family }) {
				// No cluster's name has a colon: this is nobody's table.
				trial := &nftables.Table{Name: n.tableName() + ":trial", Family: family}
				if err := n.build(c, trial, objects); err != nil {
					return err
				}
				c.DelTable(trial)
			}
		}
		return c.Flush()
	})
}

func unsupported(family nftables.TableFamily, err error) error {
	if errors.Is(err, syscall.EPERM) {
		return hint.Errorf("", "run as root", "write nftables rules: %w", err)
	}
	// nf_tables_newtable, nf_tables_newchain and nft_expr_init answer these for a
	// family, a chain type and an expression that they do not have.
	lacks := errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.EAFNOSUPPORT) ||
		errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.EINVAL)
	if !lacks {
		return fmt.Errorf("try nftables rules: %w", err)
	}
	if family == nftables.TableFamilyBridge {
		return hint.Errorf("", "a kernel with CONFIG_NF_TABLES_BRIDGE, uname -r tells the running one",
			"write the gateway's rules: the kernel lacks nftables for bridges: %w", err)
	}
	return hint.Errorf("", "a kernel with CONFIG_NF_TABLES_INET and CONFIG_NFT_MASQ, uname -r tells the running one",
		"write the masquerading rules: the kernel lacks nftables NAT: %w", err)
}

// Remains names what is still there: tables of the cluster and its rules in tables
// of others.
func (n *Filters) Remains() ([]string, error) {
	var names []string
	err := n.steady(func(_ *nftables.Conn, rules *ruleset) error {
		names = nil
		tables, err := rules.allTables()
		if err != nil {
			return err
		}
		for _, t := range tables {
			if n.owns(t) {
				names = append(names, "nftables table "+t.Name)
			}
		}
		chains, err := rules.allChains()
		if err != nil {
			return err
		}
		accepts, err := n.readAccepts(rules, chains)
		for _, a := range accepts {
			names = append(names, fmt.Sprintf("nftables rule %d in chain %s", a.handle, a.chain.Name))
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	_, legacy, err := n.legacyChanges(&spec.Host{})
	for _, rule := range legacy {
		names = append(names, "rule of "+rule.program+" in "+rule.chain+": "+rule.match)
	}
	return names, err
}

var tableFamilies = [...]nftables.TableFamily{nftables.TableFamilyBridge, nftables.TableFamilyINet}

func (o *object) family() nftables.TableFamily {
	if o.bridge {
		return nftables.TableFamilyBridge
	}
	return nftables.TableFamilyINet
}

// tablePrefix begins the names of all clusters' tables.
const tablePrefix = "flock-"

func (n *Filters) tableName() string { return tablePrefix + n.server.Cluster }

func (n *Filters) table(family nftables.TableFamily) *nftables.Table {
	return &nftables.Table{Name: n.tableName(), Family: family}
}

func (n *Filters) owns(t *nftables.Table) bool {
	return t.Name == n.tableName() && slices.Contains(tableFamilies[:], t.Family)
}

// baseChains are the chains of a table of ours that holds objects: those that there
// are rules for, because each packet that comes by a chain pays for it, and for an
// empty one too.
func baseChains(family nftables.TableFamily, objects []object) []*nftables.Chain {
	used := map[string]bool{}
	for _, o := range objects {
		for _, r := range o.rules {
			used[r.chain] = used[r.chain] || o.family() == family
		}
	}
	return spec.Without(allChains(family), func(c *nftables.Chain) bool { return !used[c.Name] })
}

// allChains are the chains that a table of ours may have. The bridge's prerouting comes
// before br_netfilter (priority 0), which would send frames to the gateway's MAC
// through IP's hooks as bridged ones.
func allChains(family nftables.TableFamily) []*nftables.Chain {
	accept := nftables.ChainPolicyAccept
	if family == nftables.TableFamilyBridge {
		return []*nftables.Chain{
			{Name: preroutingChain, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityRef(-300), Policy: &accept},
			{Name: postroutingChain, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityRef(0), Policy: &accept},
		}
	}
	return []*nftables.Chain{
		{Name: postroutingChain, Type: nftables.ChainTypeNAT, Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource, Policy: &accept},
		{Name: inputChain, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookInput, Priority: nftables.ChainPriorityFilter, Policy: &accept},
		{Name: forwardChain, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityFilter, Policy: &accept},
		{Name: isolateChain},
		{Name: closedChain},
		{Name: resolveChain, Type: nftables.ChainTypeNAT, Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityNATDest, Policy: &accept},
		{Name: preserveChain, Type: nftables.ChainTypeNAT, Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityRef(*nftables.ChainPriorityNATSource - 1), Policy: &accept},
	}
}
