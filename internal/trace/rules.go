package trace

import (
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
}

type chain struct {
	Family      byte
	Table, Name string
	Type        string // "" for a chain that is jumped to
	Hook        int
	Priority    int
	Drop        bool   // its policy
	Device      string // of a netdev chain
	Rules       []rule
}

// rule is one with its expressions.
type rule struct {
	Comment string
	exprs   []expression
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
		c.Hook, c.Device = u32(binary.BigEndian, hook[1]), text(hook[3])
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
	one := rule{Comment: commentOf(a[7])}
	for _, e := range listOf(r.endian, a[4], 0) {
		parts := attrsOf(r.endian, e.value, 0)
		one.exprs = append(one.exprs, expression{text(parts[1]), attrsOf(r.endian, parts[2], 0)})
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
	for _, c := range r.Chains {
		if c.Family == family && c.Table == table && c.Name == name {
			return c
		}
	}
	return nil
}

func (r *rules) set(c *chain, name string) *set {
	for _, s := range r.sets {
		if s.family == c.Family && s.table == c.Table && s.name == name {
			return s
		}
	}
	return nil
}

func (r *rules) sort() {
	slices.SortStableFunc(r.Chains, func(a, b *chain) int { return cmp.Compare(a.Priority, b.Priority) })
}

func (c *chain) String() string {
	return fmt.Sprintf("%s %s %s", familyName(c.Family), c.Table, c.Name)
}

func familyName(f byte) string {
	switch f {
	case tableINet:
		return "inet"
	case afInet:
		return "ip"
	case afInet6:
		return "ip6"
	case afBridge:
		return "bridge"
	}
	return "netdev"
}

// who names whose chain it is, where its table tells.
func (c *chain) who() string {
	switch {
	case strings.HasPrefix(c.Table, "flock-"):
		return "flock's "
	case strings.HasPrefix(c.Name, "DOCKER"), strings.HasPrefix(c.Table, "docker"):
		return "Docker's "
	case c.Table == "firewalld":
		return "firewalld's "
	case strings.HasPrefix(c.Name, "ufw-"):
		return "ufw's "
	case strings.HasPrefix(c.Name, "LIBVIRT"), strings.HasPrefix(c.Table, "libvirt"):
		return "libvirt's "
	}
	return ""
}
