package spec

import (
	"net/netip"
	"strings"
	"testing"
)

func someFacts() *Facts {
	return &Facts{
		Hostname: "s1", Machine: "0123456789abcdef", Arch: "amd64", Kernel: "6.1.0-1-amd64", Init: "systemd", Default4: "eth0", Metric4: 100,
		Interfaces: []Interface{{Name: "eth0", MTU: 1500, Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24")}}, {Name: "naïve", MTU: 65536}},
		Prefixes:   []netip.Prefix{netip.MustParsePrefix("fd00::/8")}, WireGuard: KernelDevice, Agent: "0123",
	}
}

func TestFactsThatNoServerHas(t *testing.T) {
	if err := CheckFacts(someFacts()); err != nil {
		t.Fatal(err)
	}
	many := make([]Interface, 5000)
	for i := range many {
		many[i].Name = "eth0"
	}
	for name, spoil := range map[string]func(*Facts){
		"no architecture":      func(f *Facts) { f.Arch = "" },
		"a path":               func(f *Facts) { f.Arch = "../../x" },
		"another init":         func(f *Facts) { f.Init = "openrc" },
		"another device":       func(f *Facts) { f.WireGuard = "magic" },
		"a metric below zero":  func(f *Facts) { f.Metric4 = -1 },
		"a metric too high":    func(f *Facts) { f.Metric6 = 1 << 40 },
		"many interfaces":      func(f *Facts) { f.Interfaces = many },
		"a name twice":         func(f *Facts) { f.Interfaces = many[:2] },
		"a device with slash":  func(f *Facts) { f.Interfaces[0].Name = "../x" },
		"a device with space":  func(f *Facts) { f.Interfaces[0].Name = "a b" },
		"a device with escape": func(f *Facts) { f.Interfaces[0].Name = "\x1b[2J" },
		"a device with U+202E": func(f *Facts) { f.Interfaces[0].Name = "a\u202eb" },
		"a device too long":    func(f *Facts) { f.Interfaces[0].Name = strings.Repeat("e", 16) },
		"a device of dots":     func(f *Facts) { f.Default6 = ".." },
		"a device of nothing":  func(f *Facts) { f.Interfaces[0].Name = "" },
		"an MTU below zero":    func(f *Facts) { f.Interfaces[0].MTU = -5 },
		"an MTU too large":     func(f *Facts) { f.Interfaces[0].MTU = 1 << 40 },
		"no address":           func(f *Facts) { f.Interfaces[0].Addrs = make([]netip.Prefix, 1) },
		"no subnet":            func(f *Facts) { f.Local = make([]netip.Prefix, 1) },
		"many subnets": func(f *Facts) {
			f.Routed = make([]netip.Prefix, 200000)
			for i := range f.Routed {
				f.Routed[i] = netip.MustParsePrefix("10.0.0.0/8")
			}
		},
		"a long hostname":     func(f *Facts) { f.Hostname = strings.Repeat("x", 1<<20) },
		"lines in a machine":  func(f *Facts) { f.Machine = "a\nb" },
		"no UTF-8 in kernel":  func(f *Facts) { f.Kernel = "\xff" },
		"escapes in an agent": func(f *Facts) { f.Agent = "\x1b" },
	} {
		f := someFacts()
		spoil(f)
		if err := CheckFacts(f); err == nil || len(err.Error()) > 100 {
			t.Errorf("%s: %v", name, err)
		}
	}
}
