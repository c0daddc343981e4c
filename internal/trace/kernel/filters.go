package kernel

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// filter is one of traffic control.
type filter struct {
	kind           string
	handle         uint32
	chain, pref    int
	protocol       uint16 // of Ethernet
	options        map[uint16][]byte
	actions        []action
	class          uint32
	link, unlinked bool // of u32: leads to other filters, is only led to
}

// action is what a filter does with what it matches.
type action struct {
	kind    string
	options map[uint16][]byte
}

// Verdicts of actions (TC_ACT_).
const (
	actOK      = 0
	actShot    = 2
	actPipe    = 3
	actStolen  = 4
	actQueued  = 5
	actTrap    = 8
	actUnspec  = 0xffffffff
	actSpecial = 0xf0000000
	actGoto    = 0x20000000
)

// Where filters have their actions, and the class that they choose, by kind.
var (
	actionsAt = map[string]uint16{"u32": 7, "flower": 3, "matchall": 2, "basic": 3, "bpf": 1, "fw": 4, "route": 6, "cgroup": 1}
	classAt   = map[string]uint16{"u32": 1, "flower": 1, "matchall": 1, "basic": 1, "bpf": 3, "fw": 1, "route": 1}
)

// filterOf reads a message about a filter; nil: it is about a list of them.
func filterOf(o binary.ByteOrder, b []byte) *filter {
	if len(b) < tcHeader {
		return nil
	}
	a := AttrsOf(o, b, tcHeader)
	info := o.Uint32(b[16:])
	protocol := make([]byte, 2)
	o.PutUint16(protocol, uint16(info)) //nolint:gosec // the lower half
	f := &filter{
		kind: Text(a[1]), handle: o.Uint32(b[8:]), chain: U32(o, a[11]), pref: int(info >> 16),
		protocol: binary.BigEndian.Uint16(protocol), options: AttrsOf(o, a[2], 0),
	}
	const selector, divisor, link, ownTables = 5, 4, 3, 0x800
	if len(a[2]) == 0 || f.kind == "u32" && (f.options[divisor] != nil || f.options[selector] == nil) {
		return nil
	}
	f.class = uint32(U32(o, f.options[classAt[f.kind]])) //nolint:gosec // as the kernel has it
	if f.kind == "u32" {
		f.link, f.unlinked = f.options[link] != nil, f.handle>>20 < ownTables
	}
	for _, one := range listOf(o, f.options[actionsAt[f.kind]], 0) {
		x := AttrsOf(o, one.Value, 0)
		f.actions = append(f.actions, action{Text(x[1]), AttrsOf(o, x[2], 0)})
	}
	return f
}

// classify is what the filters of a hook do: whether they drop, which class they choose (0: none), and
// whether that is sure.
func (w *control) classify(q *queue, h Hook) (o Outcome, class uint32, sure bool) {
	sure = true
	list, chain, seen := w.filters[h], 0, 0
	for i := 0; i < len(list) && seen < mostLooked; i, seen = i+1, seen+1 {
		f := list[i]
		m := f.matches(w.Endian, w.flow)
		if f.chain != chain || m == no {
			continue
		}
		code, certain := f.act(w.Endian)
		if certain = certain && m == yes && sure; !certain {
			sure = false
		}
		switch {
		case code == actShot || code == actStolen || code == actQueued || code == actTrap:
			if certain || !o.May {
				o = Outcome{Drops: certain, May: !certain, Held: w.held(q, h, f, certain)}
			}
			if certain {
				return o, 0, true
			}
		case code == actUnspec || m != yes:
		case code&actSpecial == actGoto && certain:
			chain, i = int(code&^actSpecial), -1
			if seen += len(list); seen > mostLooked>>10 {
				return o, 0, false
			}
		default:
			return o, f.class, sure
		}
	}
	return o, class, sure
}

// act is a filter's verdict, and whether that is sure.
func (f *filter) act(o binary.ByteOrder) (code uint32, sure bool) {
	sure = actionsAt[f.kind] != 0
	if f.kind == "bpf" && len(f.actions) == 0 { // the program's verdict
		return actShot, false
	}
	code = actOK
	for _, a := range f.actions {
		code = actPipe
		switch p := a.options[2]; a.kind {
		case "gact": // struct tc_gact, and at random tc_gact_p
			if code = actOK; len(p) >= 12 {
				code = o.Uint32(p[8:])
			}
			if r := a.options[3]; len(r) >= 8 && o.Uint16(r) != 0 {
				sure = false
				if o.Uint32(r[4:]) == actShot {
					code = actShot
				}
			}
		case "police", "bpf": // beyond a rate, or by a program
			return actShot, false
		case "mirred": // struct tc_mirred
			const egressRedirect, ingressRedirect = 1, 3
			if len(p) >= 24 && slices.Contains([]int{egressRedirect, ingressRedirect}, U32(o, p[20:])) {
				return actStolen, false // by an ifb device it comes back
			}
		}
		if code != actPipe {
			break
		}
	}
	return code, sure
}

// held names a filter that drops, or may.
func (w *control) held(q *queue, h Hook, f *filter, certain bool) *Held {
	way, block := "parent "+handle(h.parent), 0
	switch h.parent {
	case comes:
		way, block = "ingress", q.blocks[0]
	case leaves:
		way, block = "egress", q.blocks[1]
	}
	at := append([]string{"dev", w.dev.Name}, strings.Fields(way)...)
	if block != 0 {
		at = []string{"block", fmt.Sprint(block)}
	}
	out := &Held{Object: "tc filter of " + w.dev.Name, how: fmt.Sprintf("by %s pref %d of %s", f.kind, f.pref, way)}
	if !certain {
		out.next = append([]string{"tc", "-s", "filter", "show"}, at...)
		return out
	}
	out.next = append([]string{"tc", "filter", "del"}, at...)
	if f.chain != 0 {
		out.next = append(out.next, "chain", fmt.Sprint(f.chain))
	}
	protocol := map[uint16]string{3: "all", 0x0800: "ip", 0x86dd: "ipv6"}[f.protocol]
	if protocol == "" {
		protocol = fmt.Sprintf("0x%04x", f.protocol)
	}
	number := fmt.Sprintf("0x%x", f.handle)
	if f.kind == "u32" {
		hash := ""
		if n := f.handle >> 12 & 0xff; n != 0 {
			hash = fmt.Sprintf("%x", n)
		}
		number = fmt.Sprintf("%x:%s:%x", f.handle>>20, hash, f.handle&0xfff)
	}
	out.next = append(out.next, "protocol", protocol, "pref", fmt.Sprint(f.pref), "handle", number, f.kind)
	return out
}

// matches says what is known of whether a filter is for a flow.
func (f *filter) matches(o binary.ByteOrder, flow Flow) int {
	const all = 3 // ETH_P_ALL
	ethernet := uint16(0x0800)
	if flow.Dst.Is6() {
		ethernet = 0x86dd
	}
	if f.protocol != all && f.protocol != ethernet || f.unlinked {
		return no
	}
	switch f.kind {
	case "matchall":
		const flags, notInSoftware = 3, 2
		if U32(o, f.options[flags])&notInSoftware != 0 {
			return maybe
		}
		return yes
	case "u32":
		return f.keys(o, flow)
	case "flower":
		return f.flower(o, flow, ethernet)
	}
	return maybe
}

// header is what is known of a flow's packet from its IP header on.
func header(f Flow) (b []byte, known []bool) {
	b, known = make([]byte, 60), make([]bool, 60)
	put := func(at int, value ...byte) {
		for i, v := range value {
			b[at+i], known[at+i] = v, true
		}
	}
	proto, src, dst, next, first, echo := 9, 12, 16, 20, byte(0x45), byte(8)
	if f.Dst.Is6() {
		proto, src, dst, next, first, echo = 6, 8, 24, 40, 0x60, 128
	}
	put(0, first)
	put(proto, byte(f.Proto))
	put(dst, f.Dst.AsSlice()...)
	if f.Src.IsValid() && f.Src.Is6() == f.Dst.Is6() {
		put(src, f.Src.AsSlice()...)
	}
	if f.Port != 0 {
		put(next+2, byte(f.Port>>8), byte(f.Port))
	} else if f.Proto == protoICMP || f.Proto == protoICMP6 {
		put(next, echo)
	}
	return b, known
}

// keys are the matches of u32 (struct tc_u32_sel).
func (f *filter) keys(o binary.ByteOrder, flow Flow) int {
	const device, mark, flags, flagsAt = 8, 10, 2, 11
	sel, m := f.options[5], yes
	if f.link || f.options[device] != nil || f.options[mark] != nil || U32(o, f.options[flagsAt])&flags != 0 || len(sel) < 16 {
		m = maybe
	}
	b, known := header(flow)
	for i, n := 16, 0; len(sel) >= 16 && n < int(sel[2]) && i+16 <= len(sel); i, n = i+16, n+1 {
		k := sel[i : i+16]                                                 // mask, value, offset, mask of a variable offset
		at, variable := int(int32(o.Uint32(k[8:]))), o.Uint32(k[12:]) != 0 //nolint:gosec // as the kernel has it
		for j := range 4 {
			switch p := at + j; {
			case k[j] == 0:
			case variable || p < 0 || p >= len(b) || !known[p]:
				m = min(m, maybe)
			case b[p]&k[j] != k[4+j]:
				return no
			}
		}
	}
	return m
}

// flower are the matches of flower (TCA_FLOWER_KEY_…).
func (f *filter) flower(o binary.ByteOrder, flow Flow, ethernet uint16) int {
	const class, act, flags, hardware, notInSoftware = 1, 3, 22, 86, 2
	b, known := header(flow)
	src, dst, ports := 12, 16, 20
	if flow.Dst.Is6() {
		src, dst, ports = 8, 24, 40
	}
	proto := []byte{byte(flow.Proto)}
	// Each key that is known of a packet: its bytes, and where its mask is.
	type key struct {
		have []byte
		sure []bool
		mask uint16
	}
	part := func(at, size int, mask uint16) key { return key{b[at : at+size], known[at : at+size], mask} }
	keys := map[uint16]key{
		8: {have: binary.BigEndian.AppendUint16(nil, ethernet)}, 9: {have: proto},
		10: part(src, 4, 11), 12: part(dst, 4, 13),
		19: part(ports+2, 2, 36), 21: part(ports+2, 2, 38), 51: part(ports, 1, 52), 55: part(ports, 1, 56),
	}
	if flow.Dst.Is6() {
		keys[14], keys[16] = part(src, 16, 15), part(dst, 16, 17)
		delete(keys, 10)
		delete(keys, 12)
	}
	read := map[uint16]bool{class: true, act: true, flags: true, hardware: true}
	m := yes
	if U32(o, f.options[flags])&notInSoftware != 0 {
		m = maybe
	}
	for kind, k := range keys {
		want, has := f.options[kind]
		if !has {
			continue
		}
		read[kind], read[k.mask] = true, true
		for i := range min(len(want), len(k.have)) {
			mask := byte(0xff)
			if given := f.options[k.mask]; k.mask != 0 && i < len(given) {
				mask = given[i]
			}
			switch {
			case mask == 0:
			case k.sure != nil && !k.sure[i]:
				m = min(m, maybe)
			case (want[i]^k.have[i])&mask != 0:
				return no
			}
		}
	}
	for kind := range f.options {
		if !read[kind] {
			m = maybe
		}
	}
	return m
}
