package trace

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Netlink messages (netlink(7), rtnetlink(7), linux/netfilter/nf_tables.h), made and read here so
// that the agent needs to know none of them. Numbers are in the server's byte order, those of
// nftables in the network's.

// Types and flags of messages.
const (
	nlRequest  = 1
	nlDump     = 0x300
	getLink    = 18
	getAddr    = 22
	getRoute   = 26
	getNeigh   = 30
	getConf    = 82
	nftSubsys  = 10 << 8
	getChain   = nftSubsys | 4
	getRule    = nftSubsys | 7
	getSet     = nftSubsys | 10
	getSetElem = nftSubsys | 13
)

// Families of addresses.
const (
	afInet   = 2
	afBridge = 7
	afInet6  = 10
)

// endianOf is the byte order of a server by its architecture, as Go calls it.
func endianOf(arch string) binary.ByteOrder {
	if slices.Contains([]string{"mips", "mips64", "ppc64", "s390x"}, arch) {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

func (t *Trace) endian(server string) binary.ByteOrder {
	if s := t.c.Servers[server]; s != nil && s.Facts != nil {
		return endianOf(s.Facts.Arch)
	}
	return binary.LittleEndian
}

// attr is an attribute of a message.
type attr struct {
	kind  uint16
	value []byte
}

// question makes a message: its type and flags, the fixed header, attributes.
func question(o binary.ByteOrder, kind, flags uint16, header []byte, attrs ...attr) string {
	m := make([]byte, 16, 64)
	m = append(m, header...)
	for _, a := range attrs {
		at := len(m)
		m = append(m, 0, 0, 0, 0)
		o.PutUint16(m[at:], uint16(4+len(a.value))) //nolint:gosec // a few bytes
		o.PutUint16(m[at+2:], a.kind)
		m = append(m, a.value...)
		for len(m)%4 != 0 {
			m = append(m, 0)
		}
	}
	o.PutUint32(m, uint32(len(m))) //nolint:gosec // a few hundred bytes
	o.PutUint16(m[4:], kind)
	o.PutUint16(m[6:], nlRequest|flags)
	return base64.StdEncoding.EncodeToString(m)
}

func number(o binary.ByteOrder, n int) []byte {
	b := make([]byte, 4)
	o.PutUint32(b, uint32(n)) //nolint:gosec // indexes of devices
	return b
}

func familyOf(a netip.Addr) byte {
	if a.Is6() {
		return afInet6
	}
	return afInet
}

// routeQuestion asks the kernel which way a packet takes (RTM_GETROUTE): one of its own, or with
// In one that came by a device.
type routeQuestion struct {
	From, To netip.Addr
	In       int  // index of the device that it came by; 0: it is the server's own
	Match    bool // which entry of the table matches is asked
}

func (q routeQuestion) message(o binary.ByteOrder) string {
	header := make([]byte, 12)
	header[0], header[1] = familyOf(q.To), byte(q.To.BitLen())
	const fibMatch = 0x2000 // RTM_F_FIB_MATCH
	if q.Match {
		o.PutUint32(header[8:], fibMatch)
	}
	attrs := []attr{{1, q.To.AsSlice()}} // RTA_DST
	if q.From.IsValid() && q.From.Is4() == q.To.Is4() {
		header[2] = byte(q.From.BitLen())
		attrs = append(attrs, attr{2, q.From.AsSlice()}) // RTA_SRC
	}
	if q.In != 0 {
		attrs = append(attrs, attr{3, number(o, q.In)}) // RTA_IIF
	}
	return question(o, getRoute, 0, header, attrs...)
}

// messages takes an answer apart: the messages without their headers, or the number of the
// error.
func messages(text string) (out [][]byte, errno int) {
	if code, failed := strings.CutPrefix(text, "!"); failed {
		errno, _ = strconv.Atoi(code)
		return nil, errno
	}
	for _, part := range strings.Fields(text) {
		if b, err := base64.StdEncoding.DecodeString(part); err == nil {
			out = append(out, b)
		}
	}
	return out, 0
}

// attrsOf takes attributes apart, behind a header of some bytes. Flags of types are taken off.
func attrsOf(o binary.ByteOrder, b []byte, header int) map[uint16][]byte {
	out := map[uint16][]byte{}
	for _, a := range listOf(o, b, header) {
		out[a.kind] = a.value
	}
	return out
}

func listOf(o binary.ByteOrder, b []byte, header int) []attr {
	var out []attr
	for b = b[min(len(b), header):]; len(b) >= 4; {
		size := int(o.Uint16(b))
		if size < 4 || size > len(b) {
			break
		}
		out = append(out, attr{o.Uint16(b[2:]) & 0x3fff, b[4:size]})
		b = b[min(len(b), (size+3)&^3):]
	}
	return out
}

func text(b []byte) string { return strings.TrimRight(string(b), "\x00") }

func addrOf(b []byte) netip.Addr {
	a, _ := netip.AddrFromSlice(b)
	return a
}

func macOf(b []byte) string { return strings.ReplaceAll(fmt.Sprintf("% x", b), " ", ":") }

func u32(o binary.ByteOrder, b []byte) int {
	if len(b) < 4 {
		return 0
	}
	return int(o.Uint32(b))
}
