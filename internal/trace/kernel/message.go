package kernel

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
	Dump     = 0x300 // NLM_F_DUMP: all there are
	GetLink  = 18    // RTM_GETLINK and so on
	GetAddr  = 22
	GetRoute = 26
	GetNeigh = 30
	GetConf  = 82

	GetChain   = nftSubsys | 4 // NFT_MSG_GETCHAIN and so on
	GetRule    = nftSubsys | 7
	GetSet     = nftSubsys | 10
	GetSetElem = nftSubsys | 13

	nlRequest = 1
	nftSubsys = 10 << 8
)

// Families of addresses, and of forwarding entries.
const (
	INet   = 2
	Bridge = 7
	INet6  = 10
)

// EndianOf is the byte order of a server by its architecture, as Go calls it.
func EndianOf(arch string) binary.ByteOrder {
	if slices.Contains([]string{"mips", "mips64", "ppc64", "s390x"}, arch) {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// Attr is an attribute of a message.
type Attr struct {
	Kind  uint16
	Value []byte
}

// Question makes a message: its type and flags, the fixed header, attributes.
func Question(o binary.ByteOrder, kind, flags uint16, header []byte, attrs ...Attr) string {
	m := make([]byte, 16, 64)
	m = append(m, header...)
	for _, a := range attrs {
		at := len(m)
		m = append(m, 0, 0, 0, 0)
		o.PutUint16(m[at:], uint16(4+len(a.Value))) //nolint:gosec // a few bytes
		o.PutUint16(m[at+2:], a.Kind)
		m = append(m, a.Value...)
		for len(m)%4 != 0 {
			m = append(m, 0)
		}
	}
	o.PutUint32(m, uint32(len(m))) //nolint:gosec // a few hundred bytes
	o.PutUint16(m[4:], kind)
	o.PutUint16(m[6:], nlRequest|flags)
	return base64.StdEncoding.EncodeToString(m)
}

// Number is n as four bytes.
func Number(o binary.ByteOrder, n int) []byte {
	b := make([]byte, 4)
	o.PutUint32(b, uint32(n)) //nolint:gosec // indexes of devices
	return b
}

// FamilyOf is the family of an address.
func FamilyOf(a netip.Addr) byte {
	if a.Is6() {
		return INet6
	}
	return INet
}

// Messages takes an answer apart: the messages without their headers, or the number of the
// error.
func Messages(text string) (out [][]byte, errno int) {
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

// AttrsOf takes attributes apart, behind a header of some bytes. Flags of types are taken off.
func AttrsOf(o binary.ByteOrder, b []byte, header int) map[uint16][]byte {
	out := map[uint16][]byte{}
	for _, a := range listOf(o, b, header) {
		out[a.Kind] = a.Value
	}
	return out
}

func listOf(o binary.ByteOrder, b []byte, header int) []Attr {
	var out []Attr
	for b = b[min(len(b), header):]; len(b) >= 4; {
		size := int(o.Uint16(b))
		if size < 4 || size > len(b) {
			break
		}
		out = append(out, Attr{o.Uint16(b[2:]) & 0x3fff, b[4:size]})
		b = b[min(len(b), (size+3)&^3):]
	}
	return out
}

// Text is a string of C.
func Text(b []byte) string { return strings.TrimRight(string(b), "\x00") }

// AddrOf is an address in the order of the network; invalid: it is none.
func AddrOf(b []byte) netip.Addr {
	a, _ := netip.AddrFromSlice(b)
	return a
}

// MACOf is a MAC as ip(8) writes it.
func MACOf(b []byte) string { return strings.ReplaceAll(fmt.Sprintf("% x", b), " ", ":") }

// U32 is a number of four bytes; 0: it is none.
func U32(o binary.ByteOrder, b []byte) int {
	if len(b) < 4 {
		return 0
	}
	return int(o.Uint32(b))
}
