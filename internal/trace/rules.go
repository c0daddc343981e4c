package trace

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// rules are the packet filters of a server, as nftables hold them (iptables-nft's too).
type rules struct {
	endian binary.ByteOrder
	Chains []*chain
	sets   []*set

	marks    bool // some rule sets marks
	untracks bool // some rule exempts packets from being tracked

	chains map[object]*chain
	byName map[object]*set
	looked int // what evaluations have cost, in rules and in 64 bytes of them
}

type chain struct {
	Family      byte
	Table, Name string
	Type        string // "" for a chain that is jumped to
	Hook        int
	Priority    int
	Drop        bool // its policy
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

type set struct {
	family      byte
	table, name string
	intervals   bool
	read        bool
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
	prerouting = iota
	input
	forwarding
	output
	postrouting
)

// Families of tables besides those of addresses.
const tableINet = 1

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

func (r *rules) takeChain(b []byte) {
	if len(b) < 4 {
		return
	}
	a := attrsOf(r.endian, b, 4)
	c := &chain{Family: b[0], Table: text(a[1]), Name: text(a[3]), Type: text(a[7])}
	if hook := attrsOf(r.endian, a[4], 0); len(hook) > 0 {
		c.Hook = u32(binary.BigEndian, hook[1])
		c.Priority = int(int32(u32(binary.BigEndian, hook[2]))) //nolint:gosec // as the kernel has it
	}
	c.Drop = len(a[5]) == 4 && u32(binary.BigEndian, a[5]) == codeDrop
	r.Chains = append(r.Chains, c)
}

func (r *rules) takeRule(b []byte) {
	if len(b) < 4 {
		return
	}
	a := attrsOf(r.endian, b, 4)
	c := r.chain(b[0], text(a[1]), text(a[2]))
	if c == nil {
		return
	}
	one := rule{Comment: commentOf(a[7]), cost: len(a[4]) / 64}
	for _, e := range listOf(r.endian, a[4], 0) {
		parts := attrsOf(r.endian, e.value, 0)
		one.exprs = append(one.exprs, expression{text(parts[1]), attrsOf(r.endian, parts[2], 0)})
	}
	r.add(c, one)
}

// add adds a rule to a chain, and notes what it may do to packets before others look at them.
func (r *rules) add(c *chain, one rule) {
	for _, x := range one.exprs {
		target := x.name == "target"
		name := text(x.data[1])
		r.marks = r.marks || target && strings.HasSuffix(name, "MARK") || x.name == "meta" && len(x.data[1]) == 0 && u32(binary.BigEndian, x.data[2]) == 3
		r.untracks = r.untracks || x.name == "notrack" || target && (name == "CT" || name == "NOTRACK")
	}
	c.Rules = append(c.Rules, one)
}

// commentOf reads a rule's comment (NFTNL_UDATA_RULE_COMMENT, 0).
func commentOf(b []byte) string {
	for len(b) >= 2 && len(b) >= 2+int(b[1]) {
		if b[0] == 0 {
			return text(b[2 : 2+int(b[1])])
		}
		b = b[2+int(b[1]):]
	}
	return ""
}

func (r *rules) takeSet(b []byte) {
	const intervalFlag = 4
	if len(b) < 4 {
		return
	}
	a := attrsOf(r.endian, b, 4)
	r.sets = append(r.sets, &set{family: b[0], table: text(a[1]), name: text(a[2]), intervals: u32(binary.BigEndian, a[3])&intervalFlag != 0})
}

func (r *rules) takeElements(s *set, body []byte) {
	const endFlag = 1
	a := attrsOf(r.endian, body, 4)
	for _, e := range listOf(r.endian, a[3], 0) {
		parts := attrsOf(r.endian, e.value, 0)
		one := element{key: attrsOf(r.endian, parts[1], 0)[1], to: attrsOf(r.endian, parts[10], 0)[1], end: u32(binary.BigEndian, parts[3])&endFlag != 0}
		if v, ok := attrsOf(r.endian, parts[2], 0)[2]; ok {
			one.verdict = r.verdict(v)
		}
		s.elements = append(s.elements, one)
	}
}

func (r *rules) verdict(b []byte) *verdict {
	a := attrsOf(r.endian, b, 0)
	return &verdict{int(int32(u32(binary.BigEndian, a[1]))), text(a[2])} //nolint:gosec // as the kernel has it
}

func (r *rules) chain(family byte, table, name string) *chain {
	of := func(c *chain) object { return object{c.Family, c.Table, c.Name} }
	return named(&r.chains, r.Chains, of, object{family, table, name})
}

func (r *rules) set(c *chain, name string) *set {
	of := func(s *set) object { return object{s.family, s.table, s.name} }
	return named(&r.byName, r.sets, of, object{c.Family, c.Table, name})
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

func (r *rules) sort() {
	slices.SortStableFunc(r.Chains, func(a, b *chain) int { return cmp.Compare(a.Priority, b.Priority) })
}

func (c *chain) String() string {
	return fmt.Sprintf("%s %s %s", familyName(c.Family), c.Table, c.Name)
}

// list is the command that shows the chain.
func (c *chain) list() []string {
	return []string{"nft", "list", "chain", familyName(c.Family), c.Table, c.Name}
}

func familyName(f byte) string {
	return cmp.Or(map[byte]string{tableINet: "inet", afInet: "ip", afInet6: "ip6", afBridge: "bridge"}[f], "netdev")
}

// who names whose chain it is, where its name or its table tells, before what it does.
func (c *chain) who() string {
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
