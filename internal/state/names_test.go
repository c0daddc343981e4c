package state

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/hint"
)

func TestCheckName(t *testing.T) {
	for _, good := range []string{"s1", "S1", "web-1.example.com", "a_b", "0", strings.Repeat("a", 32)} {
		if err := CheckName("server", good); err != nil {
			t.Errorf("CheckName(%q) = %v", good, err)
		}
	}
	for _, bad := range []string{"", "-a", ".a", "_a", "a/b", "a b", "a:b", "a\n", "ü", "a%b", "..", strings.Repeat("a", 33)} {
		if CheckName("server", bad) == nil {
			t.Errorf("CheckName(%q) took it", bad)
		}
	}
}

func TestParseMember(t *testing.T) {
	ip := netip.MustParseAddr
	for text, want := range map[string]Member{
		"s1":               {Server: "s1"},
		"s1:eth1":          {Server: "s1", Interface: "eth1"},
		"s1:eth0.100":      {Server: "s1", Interface: "eth0.100"},
		"s1:7":             {Server: "s1", Interface: "7"},
		"s1:10.0.0.1":      {Server: "s1", Addr: ip("10.0.0.1")},
		"s1:[fd00::1]":     {Server: "s1", Addr: ip("fd00::1")},
		"s1:wlp0s20f3abcd": {Server: "s1", Interface: "wlp0s20f3abcd"},
	} {
		have, err := ParseMember(text)
		if err != nil || have != want {
			t.Errorf("ParseMember(%q) = %+v, %v, want %+v", text, have, err, want)
		}
		if have.String() != text {
			t.Errorf("%q comes out as %q", text, have)
		}
	}
}

func TestParseMemberRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                      "server name is empty",
		":eth0":                 "server name is empty",
		"s 1":                   `server name "s 1"`,
		"s1:":                   "nothing follows",
		"s1:enp0s31f6abcdefg":   "has 16 bytes, the kernel takes 15",
		"s1:eth/0":              "neither an interface name nor an address",
		"s1:eth 0":              "neither an interface name nor an address",
		"s1:-x":                 "neither an interface name nor an address",
		"s1:.":                  "not an IPv4 address",
		"s1:10.0.0.256":         "not an IPv4 address",
		"s1:10.0.0.0/8":         "neither an interface name nor an address",
		"s1:fd00::1":            "without brackets",
		"s1:[10.0.0.1]":         "IPv4 address in brackets",
		"s1:[::ffff:10.0.0.1]":  "IPv4 address in IPv6 form",
		"s1:[fd00::1":           "']' is missing",
		"s1:[]":                 "not an IPv6 address",
		"s1:[fe80::1]":          "IPv6 scope",
		"s1:[fe80::1%eth0]":     "IPv6 scope",
		"s1:[fd00::1%eth0]":     "IPv6 scope",
		"s1:[ff02::1]":          "not the address of a server",
		"s1:[::1]":              "not the address of a server",
		"s1:0.0.0.0":            "not the address of a server",
		"s1:127.0.0.1":          "not the address of a server",
		"s1:255.255.255.255":    "not the address of a server",
		"s1:224.0.0.1":          "not the address of a server",
		"s1:[fd00::1]:eth0":     "']' is missing",
		"s1:eth0\n":             "neither an interface name nor an address",
		"s1:eth0:1":             "neither an interface name nor an address",
		"root@s1":               `server name "root@s1"`,
		strings.Repeat("a", 33): "33 bytes",
	} {
		m, err := ParseMember(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseMember(%q) = %+v, %v, want an error with %q", text, m, err, want)
			continue
		}
		if where, next := hint.Of(err); where == "" || next == "" {
			t.Errorf("ParseMember(%q): %v has no advice: where %q, next %q", text, err, where, next)
		}
	}
}

func FuzzMember(f *testing.F) {
	for _, seed := range []string{"s1", "s1:eth1", "s1:10.0.0.1", "s1:[fd00::1]", "s1:[fe80::1%eth0]", "s1:010.0.0.1", "a:b:c", "s1:[", "s1:1.2.3"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		m, err := ParseMember(text)
		if err != nil {
			return
		}
		again, err := ParseMember(m.String())
		if err != nil || again != m {
			t.Fatalf("%q is %+v, which comes back as %+v, %v", text, m, again, err)
		}
		if m.Interface != "" && m.Addr.IsValid() {
			t.Fatalf("%q has interface and address: %+v", text, m)
		}
		if len(m.Interface) > 15 || len(m.Server) > 32 || strings.ContainsAny(m.Server+m.Interface, "/ :[]\x00\n'\"$`;&|<>\\") {
			t.Fatalf("%q gives unsafe names: %+v", text, m)
		}
	})
}

func TestParseShare(t *testing.T) {
	for text, want := range map[string]string{
		"s1:10.0.10.0/24":   "s1:10.0.10.0/24",
		"s1:fd00:10::/64":   "s1:fd00:10::/64",
		"s1:[fd00:10::]/64": "s1:fd00:10::/64",
	} {
		if have, err := ParseShare(text); err != nil || have.String() != want {
			t.Errorf("%s: want %s, have %v %v", text, want, have, err)
		}
	}
	for text, want := range map[string]string{
		"":                "name is empty",
		"s1":              "names no subnet",
		"10.0.13.0/24":    "which server",
		"fd00:13::/64":    "which server",
		"s1:":             "is not a subnet",
		"s1:10.0.10.0":    "is not a subnet",
		"s1:10.0.10.1/24": "bits set behind",
		"a/b:10.0.0.0/8":  "is not a name",
	} {
		_, err := ParseShare(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: want an error with %q, have %v", text, want, err)
			continue
		}
		if where, next := hint.Of(err); where == "" || next == "" {
			t.Errorf("%q: where %q, next %q", text, where, next)
		}
	}
}
