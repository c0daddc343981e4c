//go:build linux

package adopt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"net/netip"
	"strconv"
	"strings"

	"github.com/flocknet/flock/internal/wire"
)

// format is how a file says which address a bridge has: in a part of it, the rest of which is
// other people's and stays to the byte.
type format interface {
	// part says that the bridge has p.
	part(p netip.Prefix) string
	// get is the part of text that says it, "" if none does.
	get(text string) (string, error)
	// put is text with part in the place of its own, or without one where part is "".
	put(text, part string) (string, error)
	// address is what text says; invalid where the program chooses.
	address(text string) netip.Prefix
}

// lxcNet is a file of variables for a shell; the last of a name holds.
type lxcNet struct{}

const lxcBegin, lxcEnd = "# Set by flock, which takes it away again.\n", "# Until here.\n"

func (lxcNet) part(p netip.Prefix) string {
	from, to, n := dealt(p)
	return lxcBegin + fmt.Sprintf("LXC_ADDR=%q\nLXC_NETMASK=%q\nLXC_NETWORK=%q\nLXC_DHCP_RANGE=\"%s,%s\"\nLXC_DHCP_MAX=\"%d\"\n", p.Addr(), mask(p), p.Masked(), from, to, n) + lxcEnd
}

func (f lxcNet) get(text string) (string, error) {
	_, part, err := f.cut(text)
	return part, err
}

func (f lxcNet) put(text, part string) (string, error) {
	rest, _, err := f.cut(text)
	if part != "" && rest != "" && !strings.HasSuffix(rest, "\n") {
		rest += "\n"
	}
	return rest + part, err
}

// cut is text without our block, and that.
func (lxcNet) cut(text string) (rest, part string, err error) {
	before, after, found := strings.Cut(text, lxcBegin)
	if !found {
		return text, "", nil
	}
	inside, after, found := strings.Cut(after, lxcEnd)
	if !found {
		return "", "", errors.New("flock's block has no end")
	}
	return before + after, lxcBegin + inside + lxcEnd, nil
}

func (lxcNet) address(text string) netip.Prefix {
	says := map[string]string{"LXC_ADDR": "10.0.3.1", "LXC_NETMASK": "255.255.255.0"} // LXC's own
	for line := range strings.Lines(text) {
		if name, value, found := strings.Cut(strings.TrimSpace(line), "="); found {
			value, _, _ = strings.Cut(value, " ")
			says[name] = strings.Trim(value, `"'`)
		}
	}
	return masked(says["LXC_ADDR"], says["LXC_NETMASK"])
}

// dockerJSON is dockerd's configuration. (dockerd(8): bip is the bridge's address with its length.)
type dockerJSON struct{}

func (dockerJSON) part(p netip.Prefix) string { return `"` + p.String() + `"` }

func (f dockerJSON) get(text string) (string, error) { return f.key(text, "bip") }

// key is the value of a key as it stands there, "" if there is none.
func (dockerJSON) key(text, key string) (string, error) {
	if strings.TrimSpace(text) == "" {
		return "", nil
	}
	return wire.Member(text, key)
}

func (dockerJSON) put(text, part string) (string, error) {
	if strings.TrimSpace(text) == "" {
		text = "{}\n"
	}
	return wire.WithMember(text, "bip", part)
}

func (f dockerJSON) address(text string) netip.Prefix {
	value, _ := f.get(text) // what is not understood says no address
	p, _ := netip.ParsePrefix(strings.Trim(value, `"`))
	return p // none: Docker chooses
}

// libvirtXML is the definition of a network. (https://libvirt.org/formatnetwork.html)
type libvirtXML struct{}

func (libvirtXML) part(p netip.Prefix) string {
	from, to, _ := dealt(p)
	return fmt.Sprintf("<ip address='%s' netmask='%s'>\n    <dhcp>\n      <range start='%s' end='%s'/>\n    </dhcp>\n  </ip>", p.Addr(), mask(p), from, to)
}

func (f libvirtXML) get(text string) (string, error) {
	from, to, err := f.find(text)
	return text[from:to], err
}

func (f libvirtXML) put(text, part string) (string, error) {
	from, to, err := f.find(text)
	return text[:from] + part + text[to:], err
}

// find is where the IPv4 address stands, with what is handed out beside it.
func (libvirtXML) find(text string) (from, to int, err error) {
	for at := 0; ; at = to {
		i := strings.Index(text[at:], "<ip ")
		if i < 0 {
			return 0, 0, errors.New("the network has no IPv4 address")
		}
		from = at + i
		tag, _, closed := strings.Cut(text[from:], ">")
		to = from + len(tag) + 1
		if closed && !strings.HasSuffix(tag, "/") {
			i = strings.Index(text[from:], "</ip>")
			closed, to = i > 0, from+i+len("</ip>")
		}
		if !closed {
			return 0, 0, errors.New("an address of the network has no end")
		}
		if !strings.Contains(tag, "ipv6") {
			return from, to, nil
		}
	}
}

func (f libvirtXML) address(text string) netip.Prefix {
	part, _ := f.get(text) // none has no address
	tag, _, _ := strings.Cut(part, ">")
	attribute := func(name string) string {
		_, value, _ := strings.Cut(tag, " "+name+"='")
		value, _, _ = strings.Cut(value, "'")
		return value
	}
	return masked(attribute("address"), attribute("netmask")+attribute("prefix"))
}

// masked is an IPv4 address with its netmask, or with the length of it; invalid where they are none.
func masked(address, length string) netip.Prefix {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return netip.Prefix{}
	}
	if m, err := netip.ParseAddr(length); err == nil && m.Is4() {
		b := m.As4()
		return netip.PrefixFrom(a, bits.LeadingZeros32(^binary.BigEndian.Uint32(b[:])))
	}
	n, err := strconv.Atoi(length)
	if err != nil {
		return netip.Prefix{}
	}
	return netip.PrefixFrom(a, n)
}

// mask is the netmask of p.
func mask(p netip.Prefix) netip.Addr { return addr(^hosts(p)) }

// hosts are the bits of an address of p that tell its hosts apart.
func hosts(p netip.Prefix) uint32 { return uint32(1<<(32-p.Bits()) - 1) } //nolint:gosec // it has 32 bits

func addr(n uint32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], n)
	return netip.AddrFrom4(b)
}

// dealt is what a program hands out beside its own address in p: the longer side of that, without
// the first and the last address of the subnet; and how many addresses that are.
func dealt(p netip.Prefix) (from, to netip.Addr, n uint32) {
	b := p.Addr().As4()
	own := binary.BigEndian.Uint32(b[:])
	first, last := own&^hosts(p), own|hosts(p)
	low, high := first+1, own-1
	if own-first <= last-own {
		low, high = own+1, last-1
	}
	return addr(low), addr(high), high - low + 1
}
