package kernel

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// Rules are the packet filters of a server, as nftables hold them (iptables-nft's too).
type Rules struct {
	Endian binary.ByteOrder // of the server
	Chains []*Chain
	Sets   []*Set

	marks    bool // some rule sets marks
	untracks bool // some rule exempts packets from being tracked

	chains map[object]*Chain
	byName map[object]*Set
	looked int // what evaluations have cost, in rules and in 64 bytes of them
}

// Chain is one of a table's.
type Chain struct {
	Family      byte
	Table, Name string
	Type        string // "" for a chain that is jumped to
	Hook        int
	Priority    int
	Drop        bool     // its policy
	Devices     []string // of hooks of devices
	Rules       []rule
}

// rule is one with its expressions.
type rule struct {
	Comment string
	exprs   []expression
	cost    int // of looking at it
}

type expression struct {
	name string
	data map[uint16][]byte
}

// RuleQuestions ask for all chains, rules and sets; Read reads the answers.
func RuleQuestions(o binary.ByteOrder) []string {
	var out []string
	for _, kind := range []uint16{GetChain, GetRule, GetSet} {
		out = append(out, Question(o, kind, Dump, make([]byte, 4)))
	}
	return out
}

// Read reads the answers to RuleQuestions.
func Read(o binary.ByteOrder, answers []string) *Rules {
	r := &Rules{Endian: o}
	for i, take := range []func([]byte){r.TakeChain, r.TakeRule, r.TakeSet} {
		if i < len(answers) {
			list, _ := Messages(answers[i])
			for _, b := range list {
				take(b)
			}
		}
	}
	r.Sort()
	return r
}

// mostSets are the sets that are asked for at once.
const mostSets = 256

// Unread are sets whose elements are not known yet, some of them if there are many, and the question
// for each: ReadSet reads its answer.
func (r *Rules) Unread() (sets []*Set, ask []string) {
	for _, s := range r.Sets {
		if !s.Read && len(sets) < mostSets {
			sets = append(sets, s)
			ask = append(ask, Question(r.Endian, GetSetElem, Dump, []byte{s.Family, 0, 0, 0},
				Attr{Kind: 1, Value: append([]byte(s.Table), 0)}, Attr{Kind: 2, Value: append([]byte(s.Name), 0)}))
		}
	}
	return sets, ask
}

// Set is a named set or map, and those that rules have without a name.
type Set struct {
	Family      byte
	Table, Name string
	intervals   bool
	Read        bool // its elements are known
	elements    []element
}

type element struct {
	key, to []byte
	end     bool
	verdict *verdict
}

// before compares elements of a set of intervals: one ends where the next begins.
func (e element) before(other element) int {
	c := bytes.Compare(e.key, other.key)
	switch {
	case c != 0 || e.end == other.end:
		return c
	case e.end:
		return -1
	}
	return 1
}

// Hooks of netfilter.
const (
	Prerouting = iota
	Input
	Forwarding
	Output
	Postrouting

	// Of one device: of tables of the family netdev, and of inet what comes.
	Ingress
	Egress
)

// Families of tables besides those of addresses.
const (
	tableINet   = 1
	tableNetdev = 5

	inetIngress = 5 // NF_INET_INGRESS
)

// Verdict codes of rules (linux/netfilter/nf_tables.h), and of packets.
const (
	codeDrop     = 0
	codeAccept   = 1
	codeContinue = -1
	codeJump     = -3
	codeGoto     = -4
	codeReturn   = -5

	codeTranslate = 100 // no verdict of the kernel's: the source becomes another one
)

type verdict struct {
	code  int
	chain string
}

// TakeChain takes in a message about a chain.
func (r *Rules) TakeChain(b []byte) {
	if len(b) < 4 {
		return
	}
	a := AttrsOf(r.Endian, b, 4)
	c := &Chain{Family: b[0], Table: Text(a[1]), Name: Text(a[3]), Type: Text(a[7])}
	if hook := AttrsOf(r.Endian, a[4], 0); len(hook) > 0 {
		c.Hook = U32(binary.BigEndian, hook[1])
		if c.Family == tableNetdev || c.Family == tableINet && c.Hook == inetIngress {
			c.hookOfDevices(r.Endian, hook)
		}
		c.Priority = int(int32(U32(binary.BigEndian, hook[2]))) //nolint:gosec // as the kernel has it
	}
	c.Drop = len(a[5]) == 4 && U32(binary.BigEndian, a[5]) == codeDrop
	r.Chains = append(r.Chains, c)
}

// hookOfDevices reads the devices of a hook (NFTA_HOOK_DEV, NFTA_HOOK_DEVS).
func (c *Chain) hookOfDevices(o binary.ByteOrder, hook map[uint16][]byte) {
	if c.Family == tableNetdev && c.Hook == 1 {
		c.Hook = Egress
	} else {
		c.Hook = Ingress
	}
	if len(hook[3]) > 0 {
		c.Devices = append(c.Devices, Text(hook[3]))
	}
	for _, d := range listOf(o, hook[4], 0) {
		c.Devices = append(c.Devices, Text(d.Value))
	}
}

// TakeRule takes in a message about a rule of a chain that is known.
func (r *Rules) TakeRule(b []byte) {
	if len(b) < 4 {
		return
	}
	a := AttrsOf(r.Endian, b, 4)
	c := r.chain(b[0], Text(a[1]), Text(a[2]))
	if c == nil {
		return
	}
	one := rule{Comment: commentOf(a[7]), cost: len(a[4]) / 64}
	for _, e := range listOf(r.Endian, a[4], 0) {
		parts := AttrsOf(r.Endian, e.Value, 0)
		one.exprs = append(one.exprs, expression{Text(parts[1]), AttrsOf(r.Endian, parts[2], 0)})
	}
	r.add(c, one)
}

// add adds a rule to a chain, and notes what it may do to packets before others look at them.
func (r *Rules) add(c *Chain, one rule) {
	for _, x := range one.exprs {
		target := x.name == "target"
		name := Text(x.data[1])
		r.marks = r.marks || target && strings.HasSuffix(name, "MARK") || x.name == "meta" && len(x.data[1]) == 0 && U32(binary.BigEndian, x.data[2]) == 3
		r.untracks = r.untracks || x.name == "notrack" || target && (name == "CT" || name == "NOTRACK")
	}
	c.Rules = append(c.Rules, one)
}

// commentOf reads a rule's comment (NFTNL_UDATA_RULE_COMMENT, 0).
func commentOf(b []byte) string {
	for len(b) >= 2 && len(b) >= 2+int(b[1]) {
		if b[0] == 0 {
			return Text(b[2 : 2+int(b[1])])
		}
		b = b[2+int(b[1]):]
	}
	return ""
}

// TakeSet takes in a message about a set, which has no elements yet.
func (r *Rules) TakeSet(b []byte) {
	const intervalFlag = 4
	if len(b) < 4 {
		return
	}
	a := AttrsOf(r.Endian, b, 4)
	r.Sets = append(r.Sets, &Set{Family: b[0], Table: Text(a[1]), Name: Text(a[2]), intervals: U32(binary.BigEndian, a[3])&intervalFlag != 0})
}

// ReadSet takes in the messages about the elements of a set.
func (r *Rules) ReadSet(s *Set, list [][]byte) {
	s.Read = true
	for _, b := range list {
		r.takeElements(s, b)
	}
	slices.SortStableFunc(s.elements, element.before)
}

func (r *Rules) takeElements(s *Set, body []byte) {
	const endFlag = 1
	a := AttrsOf(r.Endian, body, 4)
	for _, e := range listOf(r.Endian, a[3], 0) {
		parts := AttrsOf(r.Endian, e.Value, 0)
		one := element{key: AttrsOf(r.Endian, parts[1], 0)[1], to: AttrsOf(r.Endian, parts[10], 0)[1], end: U32(binary.BigEndian, parts[3])&endFlag != 0}
		if v, ok := AttrsOf(r.Endian, parts[2], 0)[2]; ok {
			one.verdict = r.verdict(v)
		}
		s.elements = append(s.elements, one)
	}
}

func (r *Rules) verdict(b []byte) *verdict {
	a := AttrsOf(r.Endian, b, 0)
	return &verdict{int(int32(U32(binary.BigEndian, a[1]))), Text(a[2])} //nolint:gosec // as the kernel has it
}

func (r *Rules) chain(family byte, table, name string) *Chain {
	of := func(c *Chain) object { return object{c.Family, c.Table, c.Name} }
	return named(&r.chains, r.Chains, of, object{family, table, name})
}

func (r *Rules) set(c *Chain, name string) *Set {
	of := func(s *Set) object { return object{s.Family, s.Table, s.Name} }
	return named(&r.byName, r.Sets, of, object{c.Family, c.Table, name})
}

// object is what a chain or a set is called by.
type object struct {
	family      byte
	table, name string
}

// named finds one of a list by its name, in an index that is made once: a server decides how
// long the list is.
func named[T any](index *map[object]*T, list []*T, of func(*T) object, name object) *T {
	if *index == nil {
		*index = map[object]*T{}
		for _, one := range list {
			(*index)[of(one)] = one
		}
	}
	return (*index)[name]
}

// Sort puts chains in the order in which packets meet them.
func (r *Rules) Sort() {
	slices.SortStableFunc(r.Chains, func(a, b *Chain) int { return cmp.Compare(a.Priority, b.Priority) })
}

func (c *Chain) String() string {
	return fmt.Sprintf("%s %s %s", familyName(c.Family), c.Table, c.Name)
}

// List is the command that shows the chain.
func (c *Chain) List() []string {
	return []string{"nft", "list", "chain", familyName(c.Family), c.Table, c.Name}
}

func familyName(f byte) string {
	return cmp.Or(map[byte]string{tableINet: "inet", INet: "ip", INet6: "ip6", Bridge: "bridge"}[f], "netdev")
}

// Who names whose chain it is, where its name or its table tells, before what it does.
func (c *Chain) Who() string {
	for _, of := range [][2]string{
		{"flock-", "flock's; "},
		{"DOCKER", "Docker's; "},
		{"docker", "Docker's; "},
		{"firewalld", "firewalld's; "},
		{"ufw-", "ufw's; "},
		{"LIBVIRT", "libvirt's; "},
		{"libvirt", "libvirt's; "},
	} {
		if strings.HasPrefix(c.Table, of[0]) || strings.HasPrefix(c.Name, of[0]) {
			return of[1]
		}
	}
	return ""
}
