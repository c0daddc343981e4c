package capture

// cond is what must hold of a packet: a tree of and, or and not above comparisons.
type cond struct {
	op   int
	a, b *cond // and, or: both; not: a

	// A comparison: what is loaded, with mask, against value.
	load  int
	size  int // bytes: 1, 2 or 4
	at    uint32
	mask  uint32
	test  int
	value uint32
}

// What a cond is.
const (
	opNever = iota
	opAlways
	opAnd
	opOr
	opNot
	opCompare
)

// Where a comparison's value comes from.
const (
	fromStart  = iota // of the packet, at bytes after that
	fromHeader        // at bytes after the IPv4 header, whose place is in header
	fromLength        // the packet's length
)

// How values are compared: the codes of the kernel's jumps (linux, uapi/linux/bpf_common.h).
const (
	testEqual   = 0x10
	testGreater = 0x20
	testAtLeast = 0x30
)

var (
	never  = &cond{op: opNever}
	always = &cond{op: opAlways}
)

func and(a, b *cond) *cond {
	switch {
	case a.op == opNever || b.op == opAlways:
		return a
	case b.op == opNever || a.op == opAlways:
		return b
	}
	return &cond{op: opAnd, a: a, b: b}
}

func or(a, b *cond) *cond {
	switch {
	case a.op == opAlways || b.op == opNever:
		return a
	case b.op == opAlways || a.op == opNever:
		return b
	}
	return &cond{op: opOr, a: a, b: b}
}

func not(a *cond) *cond {
	switch a.op {
	case opNever:
		return always
	case opAlways:
		return never
	case opNot:
		return a.a
	}
	return &cond{op: opNot, a: a}
}

func all(list ...*cond) *cond {
	out := always
	for _, c := range list {
		out = and(out, c)
	}
	return out
}

func anyOf(list ...*cond) *cond {
	out := never
	for _, c := range list {
		out = or(out, c)
	}
	return out
}

// at compares size bytes of the packet, in network order, at an offset.
func at(offset, size int, value uint32) *cond {
	return &cond{op: opCompare, size: size, at: uint32(offset), mask: full(size), test: testEqual, value: value} //nolint:gosec // small
}

func full(size int) uint32 { return uint32(1<<(8*size) - 1) }

func (c *cond) masked(mask uint32) *cond {
	c.mask = mask
	c.value &= mask
	return c
}
