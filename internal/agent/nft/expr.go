//go:build linux

package nft

import (
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// The words that rules are written in: each is what `nft --debug=netlink` shows
// for the same words of the nft language, so that `nft list ruleset` reads well.
// They are not inlined: there are hundreds of them, and the program goes to every server (20 KB).
// What has many values looks them up in a set (set.go), whose name and content can be
// read back and compared like the rules.

// reg is NFT_REG_1, the 16-byte register that everything goes through.
const reg = unix.NFT_REG_1

// Offsets in bytes within the header that the payload base names.
const (
	etherDst, etherSrc, etherTypeAt = 0, 6, 12
	arpSenderMAC, arpSenderIP       = 8, 14 // RFC 826, Ethernet and IPv4
	arpTargetIP                     = 24
	ip4Src, ip4Dst                  = 12, 16
	ip6Src, ip6Dst                  = 8, 24
	dportAt                         = 2
	icmpSum, ndTarget               = 2, 8   // RFC 4861 §4.3, §4.4
	ndOption, ndOptionMAC           = 24, 26 // the first option of a neighbour message
)

const (
	linkLayer      = expr.PayloadBaseLLHeader
	networkLayer   = expr.PayloadBaseNetworkHeader
	transportLayer = expr.PayloadBaseTransportHeader
)

// ICMPv6 types (RFC 4861 §4).
const (
	routerSolicit, routerAdvert = 133, 134
	nbrSolicit, nbrAdvert       = 135, 136
)

type exprs = []expr.Any

//go:noinline
func rule(parts ...exprs) exprs { return slices.Concat(parts...) }

//go:noinline
func cmp(op expr.CmpOp, data []byte) expr.Any {
	return &expr.Cmp{Op: op, Register: reg, Data: data}
}

// ifname is the padded form that nft writes; of a name that ends with a star what names
// begin with.
func ifname(name string) []byte {
	if begin, star := strings.CutSuffix(name, "*"); star {
		return []byte(begin)
	}
	b := make([]byte, unix.IFNAMSIZ)
	copy(b[:unix.IFNAMSIZ-1], name)
	return b
}

//go:noinline
func iif(op expr.CmpOp, name string) exprs {
	return exprs{&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: reg}, cmp(op, ifname(name))}
}

//go:noinline
func oif(op expr.CmpOp, name string) exprs {
	return exprs{&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: reg}, cmp(op, ifname(name))}
}

//go:noinline
func field(base expr.PayloadBase, offset int, op expr.CmpOp, data []byte) exprs {
	return exprs{load(base, offset, len(data)), cmp(op, data)}
}

//go:noinline
func load(base expr.PayloadBase, offset, length int) expr.Any {
	return &expr.Payload{DestRegister: reg, Base: base, Offset: uint32(offset), Len: uint32(length)}
}

// masked compares a field after masking it.
//
//go:noinline
func masked(base expr.PayloadBase, offset int, op expr.CmpOp, data, mask []byte) exprs {
	value := slices.Clone(data)
	for i := range value {
		value[i] &= mask[i]
	}
	return exprs{load(base, offset, len(data)), &expr.Bitwise{
		SourceRegister: reg, DestRegister: reg, Len: uint32(len(data)),
		Mask: mask, Xor: make([]byte, len(data)),
	}, cmp(op, value)}
}

//go:noinline
func etherType(proto uint16) exprs {
	return field(linkLayer, etherTypeAt, expr.CmpOpEq, binaryutil.BigEndian.PutUint16(proto))
}

// arp matches Ethernet ARP for IPv4: hardware 1, protocol 0x0800, lengths 6 and 4.
//
//go:noinline
func arp() exprs {
	return rule(etherType(unix.ETH_P_ARP), field(networkLayer, 0, expr.CmpOpEq, []byte{0, 1, 8, 0, 6, 4}))
}

func arpIP(offset int, ip netip.Addr) exprs {
	return rule(arp(), field(networkLayer, offset, expr.CmpOpEq, ip.AsSlice()))
}

// icmp6 asks for the protocol first, which the kernel has at hand: it tells bulk traffic
// apart without a look at the Ethernet header (linux 6.18, nft_payload_eval copies it).
//
//go:noinline
func icmp6(kind byte) exprs {
	return rule(l4proto(unix.IPPROTO_ICMPV6), etherType(unix.ETH_P_IPV6),
		field(transportLayer, 0, expr.CmpOpEq, []byte{kind}))
}

func ndFor(kind byte, target netip.Addr) exprs {
	return rule(icmp6(kind), field(transportLayer, ndTarget, expr.CmpOpEq, target.AsSlice()))
}

//go:noinline
func l4proto(proto byte) exprs {
	return exprs{&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: reg}, cmp(expr.CmpOpEq, []byte{proto})}
}

// dports matches a range of destination ports.
func dports(proto byte, first, last uint16) exprs {
	out := rule(l4proto(proto), exprs{load(transportLayer, dportAt, 2)})
	if first == last {
		return append(out, cmp(expr.CmpOpEq, binaryutil.BigEndian.PutUint16(first)))
	}
	return append(out, cmp(expr.CmpOpGte, binaryutil.BigEndian.PutUint16(first)),
		cmp(expr.CmpOpLte, binaryutil.BigEndian.PutUint16(last)))
}

// src matches and dst compares an IP packet's address with a prefix; the caller has
// matched the family.
func src(p netip.Prefix) exprs                { return ipField(ip4Src, ip6Src, expr.CmpOpEq, p) }
func dst(op expr.CmpOp, p netip.Prefix) exprs { return ipField(ip4Dst, ip6Dst, op, p) }

func ipField(offset4, offset6 int, op expr.CmpOp, p netip.Prefix) exprs {
	offset := offset6
	if p.Addr().Is4() {
		offset = offset4
	}
	ip := p.Addr().AsSlice()
	if p.IsSingleIP() {
		return field(networkLayer, offset, op, ip)
	}
	return masked(networkLayer, offset, op, ip, net.CIDRMask(p.Bits(), p.Addr().BitLen()))
}

// nfproto matches the family of p in an inet table.
//
//go:noinline
func nfproto(a netip.Addr) exprs {
	family := byte(unix.NFPROTO_IPV6)
	if a.Is4() {
		family = unix.NFPROTO_IPV4
	}
	return exprs{&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: reg}, cmp(expr.CmpOpEq, []byte{family})}
}

// write overwrites a field that no checksum covers.
func write(base expr.PayloadBase, offset int, data []byte) exprs {
	return exprs{
		&expr.Immediate{Register: reg, Data: data},
		&expr.Payload{
			OperationType: expr.PayloadWrite, SourceRegister: reg,
			Base: base, Offset: uint32(offset), Len: uint32(len(data)),
		},
	}
}

// writeICMP6 overwrites a field of an ICMPv6 message and mends the checksum.
// nft's own `@th,208,48 set` does not: neighbours then ignore the message.
func writeICMP6(offset int, data []byte) exprs {
	out := write(transportLayer, offset, data)
	w := out[1].(*expr.Payload)
	w.CsumType, w.CsumOffset = expr.CsumTypeInet, icmpSum
	return out
}

// toHost makes the bridge's own stack take a frame in: it is looked up under the
// bridge's MAC, and is no longer PACKET_OTHERHOST, which IP drops (ip_rcv).
func toHost(mac net.HardwareAddr) exprs {
	return append(write(linkLayer, etherDst, mac),
		&expr.Immediate{Register: reg, Data: []byte{unix.PACKET_HOST}},
		&expr.Meta{Key: expr.MetaKeyPKTTYPE, SourceRegister: true, Register: reg})
}

//go:noinline
func drop() exprs { return exprs{&expr.Verdict{Kind: expr.VerdictDrop}} }

//go:noinline
func accept() exprs { return exprs{&expr.Verdict{Kind: expr.VerdictAccept}} }
