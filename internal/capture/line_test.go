package capture

import (
	"encoding/hex"
	"strings"
	"testing"
)

func TestLines(t *testing.T) {
	t.Parallel()
	const eth = "020000000001 020000000002 "
	ip := func(proto, rest string) string {
		return "0800 4500 0054 0000 4000 40" + proto + " 0000 0a0004fe 0a0004fd " + rest
	}
	dhcp := "0044 0043 0108 0000 01010600 00000001 00000000 00000000 0a000405 00000000 00000000 0e0000000009" + strings.Repeat("00", 10+64+128) + "63825363 00 0c0161 350102 ff"
	for _, test := range [][2]string{
		{ip("01", "0800 0000 0007 0002"), "10.0.4.254 > 10.0.4.253: icmp echo request id 7 seq 2"},
		{ip("01", "0304 0000 0000 0578"), "10.0.4.254 > 10.0.4.253: icmp unreachable: needs fragmentation, mtu 1400"},
		{ip("01", "0b00 0000 0000 0000"), "10.0.4.254 > 10.0.4.253: icmp time exceeded"},
		{ip("06", "0050 ffff 00000005 00000000 5012 0000 00000000"), "10.0.4.254:80 > 10.0.4.253:65535: tcp [S.] seq 5"},
		{ip("11", "0035 0400 0008 0000"), "10.0.4.254:53 > 10.0.4.253:1024: udp"},
		{ip("11", dhcp), "10.0.4.254:68 > 10.0.4.253:67: dhcp offer 0e:00:00:00:00:09 gets 10.0.4.5"},
		{ip("2f", "00"), "10.0.4.254 > 10.0.4.253: gre"},
		{ip("fc", "00"), "10.0.4.254 > 10.0.4.253: protocol 252"},
		{"0800 4500 0054 0000 2003 4006 0000 0a0004fe 0a0004fd 0050 0050", "10.0.4.254 > 10.0.4.253: tcp fragment at 24"},
		{"0806 0001 0800 0604 0001 020000000002 0a000401 000000000000 0a000402", "arp who has 10.0.4.2 tell 10.0.4.1 (02:00:00:00:00:02)"},
		{"0806 0001 0800 0604 0002 020000000002 0a000401 000000000000 0a000402", "arp 10.0.4.1 is at 02:00:00:00:00:02"},
		{"8100 0007 0806 0001 0800 0604 0002 020000000002 0a000401 000000000000 0a000402", "vlan 7, arp 10.0.4.1 is at"},
		{"88cc 00", "02:00:00:00:00:02 > 02:00:00:00:00:01: ethertype 0x88cc"},
		{"0026 42", "02:00:00:00:00:02 > 02:00:00:00:00:01: LLC"},
		{"86dd 60000000 0018 3aff fd040000000000000000000000000001 ff0200000000000000000001ff000002 8700 0000 00000000 fd040000000000000000000000000002", "fd04::1 > ff02::1:ff00:2: icmp6 neighbor solicitation fd04::2"},
		{"86dd 60000000 0018 00ff fd040000000000000000000000000001 fd040000000000000000000000000002 1100 0000 00000000 0035 0035 0008 0000", "[fd04::1]:53 > [fd04::2]:53: udp"},
		{"86dd 60000000 0018 2cff fd040000000000000000000000000001 fd040000000000000000000000000002 0600 0011 00000000 0035 0035", "fd04::1 > fd04::2: tcp fragment at 16"},
		{"86dd 60000000 0018 3aff fd040000000000000000000000000001 fd040000000000000000000000000002 0200 0000 00000500", "fd04::1 > fd04::2: icmp6 packet too big, mtu 1280"},
		{"0800 45", "no IP packet"},
	} {
		text, want := test[0], test[1]
		b, err := hex.DecodeString(strings.ReplaceAll(eth+text, " ", ""))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		have := Packet{Bytes: b, Length: 98}.Text(Source{Ethernet: true})
		if !strings.HasPrefix(have, want) || !strings.HasSuffix(have, ", length 98") {
			t.Errorf("%s\nhave %s\nwant %s", text, have, want)
		}
		for cut := range b { // nothing is read beyond the end
			_ = Packet{Bytes: b[:cut]}.Text(Source{Ethernet: true})
			_ = Packet{Bytes: b[14:][:max(0, cut-14)]}.Text(Source{})
		}
	}
}
