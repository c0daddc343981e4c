package udptun

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func prefixes(list ...string) (out []netip.Prefix) {
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// packet is an IP packet from src to dst with a body.
func packet(src, dst, body string) []byte {
	s, d := addr(src), addr(dst)
	if s.Is4() {
		p := make([]byte, header4, header4+len(body))
		p[0], p[8], p[9] = 0x45, 64, 253 // RFC 3692: for experiments
		binary.BigEndian.PutUint16(p[2:], uint16(header4+len(body)))
		copy(p[12:], s.AsSlice())
		copy(p[16:], d.AsSlice())
		return append(p, body...)
	}
	p := make([]byte, header6, header6+len(body))
	p[0], p[6], p[7] = 0x60, 253, 64
	binary.BigEndian.PutUint16(p[4:], uint16(len(body)))
	copy(p[8:], s.AsSlice())
	copy(p[24:], d.AsSlice())
	return append(p, body...)
}

func TestParse(t *testing.T) {
	four, six := packet("10.0.0.1", "10.0.0.2", "body"), packet("fd00::1", "fd00::2", "body")
	change := func(p []byte, at int, v ...byte) []byte {
		p = append([]byte(nil), p...)
		copy(p[at:], v)
		return p
	}
	for name, c := range map[string]struct {
		packet []byte
		ok     bool
	}{
		"IPv4":                    {four, true},
		"IPv6":                    {six, true},
		"with something behind":   {append(append([]byte(nil), four...), "trailer"...), true},
		"empty":                   {nil, false},
		"no version":              {[]byte{0x00, 1, 2, 3}, false},
		"version 5":               {change(four, 0, 0x55), false},
		"IPv4 cut":                {four[:header4-1], false},
		"IPv4 body cut":           {four[:len(four)-1], false},
		"IPv4 header too short":   {change(four, 0, 0x44), false},
		"IPv4 header beyond all":  {change(four, 0, 0x4f), false},
		"IPv4 shorter than head":  {change(four, 2, 0, 19), false},
		"IPv6 cut":                {six[:header6-1], false},
		"IPv6 body cut":           {six[:len(six)-1], false},
		"IPv6 from IPv4's mapped": {change(six, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 0, 0, 1), false},
	} {
		_, _, length, ok := parse(c.packet)
		if ok != c.ok || ok && (length != header4+4 && length != header6+4) {
			t.Errorf("%s: %v, length %d", name, ok, length)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(packet("10.0.0.1", "10.0.0.2", "body"))
	f.Add(packet("fd00::1", "fd00::2", "body"))
	f.Fuzz(func(t *testing.T, data []byte) {
		src, dst, length, ok := parse(data)
		if ok && (length < header4 || length > len(data) || src.Is4() != dst.Is4() || !src.IsValid()) {
			t.Fatalf("%x: %s to %s, %d bytes", data, src, dst, length)
		}
	})
}

func TestTableTakesTheLongestPrefix(t *testing.T) {
	table := newTable(Config{Port: 8285, Members: []Member{
		{addr("10.99.0.2"), prefixes("10.244.0.0/16", "fd44:2::/64")},
		{addr("10.99.0.3"), prefixes("10.244.3.0/24")},
		{addr("10.99.0.4"), nil},
	}})
	for dst, want := range map[string]string{
		"10.244.1.1": "10.99.0.2", "10.244.3.255": "10.99.0.3", "10.245.0.1": "", "fd44:2::9": "10.99.0.2", "fd44:3::9": "",
	} {
		have := ""
		if m := table.behind(addr(dst)); m != nil {
			have = m.addr.String()
		}
		if have != want {
			t.Errorf("%s: want %q, have %q", dst, want, have)
		}
	}
	for from, known := range map[string]bool{"10.99.0.4:8285": true, "10.99.0.4:8286": false, "10.99.0.5:8285": false, "[::ffff:10.99.0.4]:8285": true} {
		if have := table.sender(netip.MustParseAddrPort(from)) != nil; have != known {
			t.Errorf("from %s: %v", from, have)
		}
	}
}

func TestConfigsWithoutOneMeaning(t *testing.T) {
	for want, members := range map[string][]Member{
		"not one address": {{addr("10.99.0.2"), nil}, {addr("10.99.0.2"), nil}},
		"family":          {{addr("fd99::2"), nil}},
		"not its own":     {{addr("10.99.0.2"), prefixes("10.244.1.0/24")}, {addr("10.99.0.3"), prefixes("10.244.1.0/24")}},
		"10.244.1.1/24":   {{addr("10.99.0.2"), []netip.Prefix{netip.MustParsePrefix("10.244.1.1/24")}}},
	} {
		err := Config{Local: addr("10.99.0.1"), Port: 8285, Members: members}.check()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error with %q, have %v", want, err)
		}
	}
}
