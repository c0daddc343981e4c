package capture

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// Text is a packet in one line: who sends what to whom. Nothing of it is the sender's own words.
func (p Packet) Text(s Source) string {
	out := ""
	if b := p.Bytes; s.Ethernet {
		out = frame(b)
	} else {
		out = packetText(b)
	}
	return fmt.Sprintf("%s, length %d", out, p.Length)
}

// bytes that are not there are zero: a packet may be cut anywhere.
func two(b []byte, at int) uint16 {
	if at+2 > len(b) {
		return 0
	}
	return binary.BigEndian.Uint16(b[at:])
}

func from(b []byte, at int) []byte { return b[min(at, len(b)):] }

func frame(b []byte) string {
	if len(b) < 14 {
		return "cut frame"
	}
	t, rest, tag := two(b, 12), b[14:], ""
	for (t == typeVLAN || t == typeService) && len(rest) >= 4 {
		tag += fmt.Sprintf("vlan %d, ", two(rest, 0)&0xfff)
		t, rest = two(rest, 2), rest[4:]
	}
	switch t {
	case typeIP4, typeIP6:
		return tag + packetText(rest)
	case typeARP:
		return tag + arpText(rest)
	}
	if t < 1536 {
		return tag + fmt.Sprintf("%s > %s: LLC", net.HardwareAddr(b[6:12]), net.HardwareAddr(b[:6]))
	}
	return tag + fmt.Sprintf("%s > %s: ethertype 0x%04x", net.HardwareAddr(b[6:12]), net.HardwareAddr(b[:6]), t)
}

// arpText reads RFC 826, for Ethernet and IPv4.
func arpText(b []byte) string {
	if len(b) < 28 {
		return "cut ARP"
	}
	mac, sender, wanted := net.HardwareAddr(b[8:14]), netip.AddrFrom4([4]byte(b[14:])), netip.AddrFrom4([4]byte(b[24:]))
	switch two(b, 6) {
	case 1:
		return fmt.Sprintf("arp who has %s tell %s (%s)", wanted, sender, mac)
	case 2:
		return fmt.Sprintf("arp %s is at %s", sender, mac)
	}
	return fmt.Sprintf("arp operation %d", two(b, 6))
}

func packetText(b []byte) string {
	switch {
	case len(b) >= 20 && b[0]>>4 == 4:
		source, target := netip.AddrFrom4([4]byte(b[12:])), netip.AddrFrom4([4]byte(b[16:]))
		if fragment := two(b, 6) & fragmentBits; fragment != 0 {
			return fmt.Sprintf("%s > %s: %s fragment at %d", source, target, protocolName(b[9]), 8*int(fragment))
		}
		return above(source, target, b[9], from(b, 4*int(b[0]&0xf)))
	case len(b) >= 40 && b[0]>>4 == 6:
		source, target := netip.AddrFrom16([16]byte(b[8:])), netip.AddrFrom16([16]byte(b[24:]))
		next, rest := b[6], b[40:]
		for (next == 0 || next == 43 || next == 60) && len(rest) >= 8 { // options and routing (RFC 8200)
			next, rest = rest[0], from(rest, 8+8*int(rest[1]))
		}
		if next == proto6Frag && len(rest) >= 8 {
			if offset := two(rest, 2) &^ 7; offset != 0 {
				return fmt.Sprintf("%s > %s: %s fragment at %d", source, target, protocolName(rest[0]), offset)
			}
			next, rest = rest[0], rest[8:]
		}
		return above(source, target, next, rest)
	}
	return "no IP packet"
}

func protocolName(number byte) string {
	if name := map[byte]string{1: "icmp", 4: "ipip", 6: "tcp", 17: "udp", 41: "ipv6", 47: "gre", 50: "esp", 58: "icmp6", 89: "ospf", 112: "vrrp", 132: "sctp"}[number]; name != "" {
		return name
	}
	return fmt.Sprintf("protocol %d", number)
}

// above is what an IP packet carries.
func above(source, target netip.Addr, protocol byte, b []byte) string {
	ports := func() string {
		return fmt.Sprintf("%s > %s: ", netip.AddrPortFrom(source, two(b, 0)), netip.AddrPortFrom(target, two(b, 2)))
	}
	bare := fmt.Sprintf("%s > %s: %s", source, target, protocolName(protocol))
	switch {
	case protocol == protoTCP && len(b) >= 20:
		return ports() + "tcp " + flagsOf(b[13]) + fmt.Sprintf(" seq %d", binary.BigEndian.Uint32(b[4:]))
	case protocol == protoUDP && len(b) >= 8:
		if a, z := two(b, 0), two(b, 2); (a == 67 || a == 68) && (z == 67 || z == 68) {
			return ports() + dhcpText(b[8:])
		}
		return ports() + "udp"
	case protocol == protoSCTP && len(b) >= 8:
		return ports() + "sctp"
	case protocol == protoICMP && len(b) >= 8:
		return bare + " " + icmpText(b, icmpTypes, 8, 0)
	case protocol == protoICMP6 && len(b) >= 8:
		text := bare + " " + icmpText(b, icmp6Types, 128, 129)
		if (b[0] == 135 || b[0] == 136) && len(b) >= 24 { // neighbour discovery (RFC 4861)
			text += " " + netip.AddrFrom16([16]byte(b[8:])).String()
		}
		return text
	}
	return bare
}

// flagsOf are a segment's (RFC 9293), with tcpdump's letters.
func flagsOf(b byte) string {
	var out strings.Builder
	for i, letter := range "FSRP.UEW" {
		if b&(1<<i) != 0 {
			out.WriteRune(letter)
		}
	}
	return "[" + out.String() + "]"
}

var icmpTypes = map[byte]string{
	0: "echo reply", 3: "unreachable", 4: "source quench", 5: "redirect", 8: "echo request", 9: "router advertisement",
	10: "router solicitation", 11: "time exceeded", 12: "parameter problem", 13: "timestamp request", 14: "timestamp reply",
}

var icmp6Types = map[byte]string{
	1: "unreachable", 2: "packet too big", 3: "time exceeded", 4: "parameter problem", 128: "echo request", 129: "echo reply",
	130: "listener query", 131: "listener report", 132: "listener done", 133: "router solicitation", 134: "router advertisement",
	135: "neighbor solicitation", 136: "neighbor advertisement", 137: "redirect", 143: "listener report v2",
}

// unreachables are codes of ICMP's type 3 (RFC 792, RFC 1812).
var unreachables = map[byte]string{0: "net", 1: "host", 2: "protocol", 3: "port", 4: "needs fragmentation", 9: "net prohibited", 10: "host prohibited", 13: "prohibited"}

func icmpText(b []byte, names map[byte]string, request, reply byte) string {
	name := names[b[0]]
	switch {
	case name == "":
		return fmt.Sprintf("type %d code %d", b[0], b[1])
	case b[0] == request || b[0] == reply:
		return fmt.Sprintf("%s id %d seq %d", name, two(b, 4), two(b, 6))
	case request == 8 && b[0] == 3 && unreachables[b[1]] != "":
		name += ": " + unreachables[b[1]]
		if b[1] == 4 {
			name += fmt.Sprintf(", mtu %d", two(b, 6))
		}
	case request == 128 && b[0] == 2:
		name += fmt.Sprintf(", mtu %d", binary.BigEndian.Uint32(b[4:]))
	case b[1] != 0:
		name += fmt.Sprintf(" code %d", b[1])
	}
	return name
}

var dhcpTypes = map[byte]string{1: "discover", 2: "offer", 3: "request", 4: "decline", 5: "ack", 6: "nak", 7: "release", 8: "inform"}

// dhcpText reads RFC 2131 and the message's type (RFC 2132, option 53).
func dhcpText(b []byte) string {
	const fixed = 240 // bytes before the options
	if len(b) < fixed {
		return "bootp"
	}
	name := "bootp"
	for o := b[fixed:]; len(o) >= 2 && o[0] != 255; {
		if o[0] == 0 {
			o = o[1:]
			continue
		}
		if o[0] == 53 && o[1] == 1 && len(o) >= 3 && dhcpTypes[o[2]] != "" {
			name = "dhcp " + dhcpTypes[o[2]]
		}
		o = from(o, 2+int(o[1]))
	}
	name += " " + net.HardwareAddr(b[28:34]).String()
	if yours := netip.AddrFrom4([4]byte(b[16:])); !yours.IsUnspecified() {
		name += " gets " + yours.String()
	}
	return name
}
