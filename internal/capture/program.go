package capture

import (
	"errors"
)

// Instruction is one of the kernel's packet filter machine: struct sock_filter's code, jt, jf
// and k in one number, the first in the highest 16 bits.
type Instruction = uint64

func instruction(code uint16, jt, jf uint8, k uint32) Instruction {
	return uint64(code)<<48 | uint64(jt)<<40 | uint64(jf)<<32 | uint64(k)
}

// Codes of instructions (linux, uapi/linux/bpf_common.h and filter.h).
const (
	codeLoad    = 0x20 // ld [k]; with a size below
	codeIndexed = 0x40 // ld [x+k]
	codeLength  = 0x80 // ld #len
	codeHeader  = 0xb1 // ldxb 4*([k]&0xf)
	codeAnd     = 0x54
	codeJump    = 0x05
	codeReturn  = 0x06
)

// codeSize is what a load's code has for a number of bytes.
func codeSize(bytes int) uint16 {
	return map[int]uint16{1: 0x10, 2: 0x08, 4: 0x00}[bytes]
}

// maxProgram is how many instructions the kernel takes (BPF_MAXINSNS).
const maxProgram = 4096

var errLong = errors.New("the filter is too long for a kernel: it comes to more than 4096 instructions")

// program compiles c: the packet, cut to snap bytes, where c holds. header is where an IPv4
// header begins.
func program(c *cond, header int, snap uint32) ([]Instruction, error) {
	g := &generator{header: uint32(header)} //nolint:gosec // 0 or 14
	yes, no := g.label(), g.label()
	g.gen(c, yes, no)
	g.put(yes)
	g.code = append(g.code, line{code: codeReturn, k: snap})
	g.put(no)
	g.code = append(g.code, line{code: codeReturn})
	out, short := g.resolve()
	if !short {
		// A conditional jump reaches 255 instructions; each gets two unconditional ones.
		g.long()
		out, _ = g.resolve()
	}
	if len(out) > maxProgram {
		return nil, errLong
	}
	return out, nil
}

// line is an instruction whose jumps lead to labels.
type line struct {
	code   uint16
	k      uint32
	jumps  bool
	jt, jf int // labels
}

type generator struct {
	header uint32
	code   []line
	place  []int // of each label, in code
}

func (g *generator) label() int {
	g.place = append(g.place, -1)
	return len(g.place) - 1
}

func (g *generator) put(label int) { g.place[label] = len(g.code) }

// gen adds code that goes to yes where c holds, and to no otherwise. It falls through nowhere.
func (g *generator) gen(c *cond, yes, no int) {
	switch c.op {
	case opNever:
		g.jump(no)
	case opAlways:
		g.jump(yes)
	case opAnd:
		next := g.label()
		g.gen(c.a, next, no)
		g.put(next)
		g.gen(c.b, yes, no)
	case opOr:
		next := g.label()
		g.gen(c.a, yes, next)
		g.put(next)
		g.gen(c.b, yes, no)
	case opNot:
		g.gen(c.a, no, yes)
	default:
		g.compare(c, yes, no)
	}
}

func (g *generator) jump(label int) {
	g.code = append(g.code, line{code: codeJump, jumps: true, jt: label, jf: label})
}

func (g *generator) compare(c *cond, yes, no int) {
	switch c.load {
	case fromHeader:
		g.code = append(g.code, line{code: codeHeader, k: g.header}, line{code: codeIndexed | codeSize(c.size), k: c.at})
	case fromLength:
		g.code = append(g.code, line{code: codeLength})
	default:
		g.code = append(g.code, line{code: codeLoad | codeSize(c.size), k: c.at})
	}
	if c.mask != full(c.size) {
		g.code = append(g.code, line{code: codeAnd, k: c.mask})
	}
	g.code = append(g.code, line{code: 0x05 | uint16(c.test), k: c.value, jumps: true, jt: yes, jf: no}) //nolint:gosec // a jump's code
}

// long has every conditional jump lead to unconditional ones, which reach everything.
func (g *generator) long() {
	var out []line
	moved := make([]int, len(g.code)+1)
	for i, l := range g.code {
		moved[i] = len(out)
		if !l.jumps || l.code == codeJump {
			out = append(out, l)
			continue
		}
		yes, no := g.label(), g.label()
		out = append(out, line{code: l.code, k: l.k, jumps: true, jt: yes, jf: no},
			line{code: codeJump, jumps: true, jt: l.jt, jf: l.jt}, line{code: codeJump, jumps: true, jt: l.jf, jf: l.jf})
		g.place[yes], g.place[no] = -(len(out) - 2), -(len(out) - 1) // new places, told from old ones by their sign
	}
	moved[len(g.code)] = len(out)
	for i, at := range g.place {
		if at < 0 {
			g.place[i] = -at
		} else {
			g.place[i] = moved[at]
		}
	}
	g.code = out
}

// resolve makes the program of what was generated; short says that every jump reaches its
// label.
func (g *generator) resolve() (out []Instruction, short bool) {
	short = true
	for i, l := range g.code {
		switch {
		case !l.jumps:
			out = append(out, instruction(l.code, 0, 0, l.k))
		case l.code == codeJump:
			out = append(out, instruction(codeJump, 0, 0, uint32(g.place[l.jt]-i-1))) //nolint:gosec // forward
		default:
			jt, jf := g.place[l.jt]-i-1, g.place[l.jf]-i-1
			short = short && jt < 1<<8 && jf < 1<<8
			out = append(out, instruction(l.code, uint8(jt), uint8(jf), l.k)) //nolint:gosec // checked
		}
	}
	return out, short
}
