package kernel

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
)

// Flow is a packet before a packet filter.
type Flow struct {
	Src, Dst    netip.Addr // Src is invalid where it is not known
	Proto, Port int        // of IP; TCP's or UDP's that it goes to
	Carries     bool       // another packet: of its connection and mark nothing is known
	In, Out     Device     // empty: none
	Bridged     bool
}

// Device is a network device as rules know it.
type Device struct {
	Index int
	Name  string
}

// Outcome is what filters do with a flow.
type Outcome struct {
	Drops bool   // for sure, or
	May   bool   // if something matches that cannot be known from outside
	Chain *Chain // that does
	rule  *rule  // nil: its policy
	Held  *Held  // what of traffic control does, instead
}

// ByPolicy says whether no rule did, but the policy of the chain.
func (o Outcome) ByPolicy() bool { return o.Chain != nil && o.rule == nil }

// Object is what does, and whose it is where its name says so.
func (o Outcome) Object() (object, who string) {
	if o.Chain == nil {
		return o.Held.Object, ""
	}
	return "chain " + o.Chain.String(), o.Chain.Who()
}

// List is a command that shows what does, or takes a thing of traffic control away.
func (o Outcome) List() []string {
	if o.Chain == nil {
		return o.Held.next
	}
	return o.Chain.List()
}

// How says by what of its chain: its policy, a rule with its comment.
func (o Outcome) How() string {
	switch {
	case o.Chain == nil:
		return o.Held.how
	case o.rule == nil:
		return "by its policy"
	case o.rule.Comment != "":
		return fmt.Sprintf("by a rule (%s)", o.rule.Comment)
	}
	return "by a rule"
}

// Pass evaluates all base chains of a hook. The first that drops for sure decides; otherwise the
// first that may.
func (r *Rules) Pass(hook int, f Flow) Outcome {
	var maybe Outcome
	if r == nil {
		return maybe
	}
	for _, c := range r.Chains {
		if c.Type != "filter" && c.Type != "route" || c.Hook != hook || !c.sees(hook, f) {
			continue
		}
		e := &evaluation{rules: r, flow: f}
		v, unsure := e.run(c, 0)
		if v == codeContinue && c.Drop {
			v = codeDrop
			e.by, e.rule = c, nil
		}
		if v == codeDrop {
			o := Outcome{Drops: !unsure, May: unsure, Chain: e.by, rule: e.rule}
			if o.Drops {
				return o
			}
			if !maybe.May {
				maybe = o
			}
		} else if e.maybe.May && !maybe.May {
			maybe = e.maybe
		}
	}
	return maybe
}

// Translation is what a rule does to the source address of a flow that leaves.
type Translation struct {
	Chain  *Chain     // nil: nothing
	Unsure bool       // it depends on what cannot be known
	Source netip.Addr // invalid: that of the device
}

// Translates says which source address a flow gets.
func (r *Rules) Translates(f Flow) Translation {
	for _, c := range r.Chains {
		if c.Type != "nat" || c.Hook != Postrouting || !sees(c.Family, f) {
			continue
		}
		e := &evaluation{rules: r, flow: f}
		v, unsure := e.run(c, 0)
		if v == codeTranslate {
			return Translation{e.by, unsure, e.source}
		}
	}
	return Translation{}
}

// sees says whether a chain of a hook sees a flow.
func (c *Chain) sees(hook int, f Flow) bool {
	switch hook {
	case Ingress:
		return slices.Contains(c.Devices, f.In.Name)
	case Egress:
		return slices.Contains(c.Devices, f.Out.Name)
	}
	return sees(c.Family, f)
}

func sees(family byte, f Flow) bool {
	if f.Bridged {
		return family == Bridge
	}
	return family == tableINet || family == FamilyOf(f.Dst)
}

// evaluation is one base chain's look at a flow.
type evaluation struct {
	rules  *Rules
	flow   Flow
	regs   [64]byte
	known  [64]bool
	by     *Chain
	rule   *rule
	source netip.Addr // of a translation; invalid: that of the device
	maybe  Outcome    // a drop that depends on what is not known
}

// Bounds of evaluation: chains may lead to each other k^depth times, and are what a server says.
const (
	mostDepth  = 16
	mostLooked = 1 << 25 // of a server: see rules
)

// run is a chain's verdict: drop, accept, return, or continue at its end. Unsure says that a rule
// before it may have decided otherwise.
func (e *evaluation) run(c *Chain, depth int) (code int, unsure bool) {
	for i := range c.Rules {
		one := &c.Rules[i]
		if e.rules.looked += 1 + one.cost; e.rules.looked > mostLooked || depth > mostDepth {
			e.maybe = Outcome{May: true, Chain: c, rule: one}
			return codeAccept, true
		}
		v, matches := e.one(c, one)
		if v == nil || matches == no {
			continue
		}
		code := v.code
		e.by, e.rule = c, one
		if code == codeJump || code == codeGoto {
			to := e.rules.chain(c.Family, c.Table, v.chain)
			if to == nil {
				continue
			}
			sub, more := e.run(to, depth+1)
			unsure = unsure || more
			if sub == codeContinue || sub == codeReturn {
				if v.code == codeGoto && matches == yes {
					return codeContinue, unsure
				}
				continue
			}
			if code = sub; more {
				matches = maybe
			}
		}
		if matches == maybe {
			unsure = true
			if code == codeDrop && !e.maybe.May {
				e.maybe = Outcome{May: true, Chain: e.by, rule: e.rule}
			}
			continue
		}
		switch code {
		case codeDrop, codeAccept, codeTranslate:
			return code, unsure
		case codeReturn:
			return codeContinue, unsure
		}
	}
	return codeContinue, unsure
}

// What is known of a match.
const (
	no = iota
	maybe
	yes
)

// one evaluates a rule: its verdict (nil: none), and whether it applies.
func (e *evaluation) one(c *Chain, r *rule) (v *verdict, matches int) {
	e.known = [64]bool{}
	matches = yes
	for _, x := range r.exprs {
		found, m := e.loads(x), yes
		if !found {
			var decided *verdict
			if decided, m = e.decides(c, x); decided != nil {
				v = decided
			}
		}
		if matches = min(matches, m); matches == no {
			return v, no
		}
	}
	return v, matches
}

// loads carries an expression out that fills a register; false: it is none.
func (e *evaluation) loads(x expression) bool {
	part := func(i uint16) int { return U32(binary.BigEndian, x.data[i]) }
	switch x.name {
	case "meta":
		if len(x.data[1]) > 0 { // otherwise it sets something
			value, ok := e.meta(part(2))
			e.load(x.data[1], value, ok)
		}
	case "payload":
		if len(x.data[1]) > 0 {
			value, ok := e.payload(part(2), part(3), part(4))
			e.load(x.data[1], value, ok)
		}
	case "ct":
		const state, newConnection = 0, 8
		e.load(x.data[1], Number(e.rules.Endian, newConnection), part(2) == state && e.isNew())
	case "bitwise":
		e.bitwise(x.data)
	case "numgen", "hash", "fib", "socket", "rt", "exthdr", "osf", "tunnel", "xfrm", "byteorder", "inner":
		e.load(x.data[1], make([]byte, 16), false)
	case "counter", "log", "notrack", "quota", "redir", "objref", "dup", "queue", "last":
	default:
		return false
	}
	return true
}

// isNew says whether it is known that a packet begins a connection: one that carries another may
// be of one that the other end began, what is not tracked is of none, as on a bridge without it.
func (e *evaluation) isNew() bool {
	return !e.flow.Carries && !e.flow.Bridged && !e.rules.untracks
}

// decides carries an expression out that matches or has a verdict.
func (e *evaluation) decides(c *Chain, x expression) (*verdict, int) {
	switch x.name {
	case "cmp":
		return nil, e.cmp(x.data)
	case "range":
		return nil, e.within(x.data)
	case "lookup":
		m, v := e.lookup(c, x.data)
		return v, m
	case "match":
		return nil, e.xtMatch(Text(x.data[1]), x.data[3])
	case "immediate":
		data := AttrsOf(e.rules.Endian, x.data[2], 0)
		if b, ok := data[2]; ok {
			return e.rules.verdict(b), yes
		}
		e.load(x.data[1], data[1], true)
		return nil, yes
	case "reject":
		return &verdict{code: codeDrop}, yes
	case "masq":
		e.source = netip.Addr{}
		return &verdict{code: codeTranslate}, yes
	case "nat":
		source, known := e.read(x.data[3], e.flow.Dst.BitLen()/8)
		if e.source = AddrOf(bytes.Clone(source)); !known {
			return &verdict{code: codeTranslate}, maybe
		}
		return &verdict{code: codeTranslate}, yes
	case "target":
		switch Text(x.data[1]) {
		case "REJECT":
			return &verdict{code: codeDrop}, yes
		case "MASQUERADE", "SNAT":
			e.source = netip.Addr{}
			return &verdict{code: codeTranslate}, yes
		}
		return nil, yes
	}
	return nil, maybe
}

// byteOf is a register's first byte among all: four of sixteen bytes, or sixteen of four.
func byteOf(reg []byte) int {
	switch n := U32(binary.BigEndian, reg); {
	case n >= 1 && n <= 4:
		return (n - 1) * 16
	case n >= 8 && n <= 23:
		return (n - 8) * 4
	}
	return 0
}

func (e *evaluation) load(reg, value []byte, known bool) {
	at := byteOf(reg)
	for i := 0; i < (len(value)+3)&^3 && at+i < len(e.regs); i++ {
		e.regs[at+i], e.known[at+i] = 0, known
		if i < len(value) {
			e.regs[at+i] = value[i]
		}
	}
	if len(value) == 0 && at < len(e.regs) {
		e.known[at] = false
	}
}

func (e *evaluation) read(reg []byte, size int) ([]byte, bool) {
	at := byteOf(reg)
	if at+size > len(e.regs) || size == 0 {
		return nil, false
	}
	return e.regs[at : at+size], !slices.Contains(e.known[at:at+size], false)
}
