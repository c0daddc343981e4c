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
		"a region with a dot": func(f *Facts) { f.Cloud = inCloud("x.example/?", "vpc-1", "eni-1") },
		"a region of a name":  func(f *Facts) { f.Cloud = inCloud("evil.example", "vpc-1", "eni-1") },
		"a long region":       func(f *Facts) { f.Cloud = inCloud(strings.Repeat("a", 33), "vpc-1", "eni-1") },
		"a query in a VPC":    func(f *Facts) { f.Cloud = inCloud("us-east-1", "vpc-1?x", "eni-1") },
		"upwards in an id":    func(f *Facts) { f.Cloud = inCloud("us-east-1", "vpc-1", "zones/../../x") },
	} {
		f := someFacts()
		spoil(f)
		if err := CheckFacts(f); err == nil || len(err.Error()) > 100 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func inCloud(region, vpc, id string) []CloudNIC {
	return []CloudNIC{{Cloud: "aws", Addr: netip.MustParseAddr("10.1.0.1"), Region: region, VPC: vpc, ID: id}}
}

// What clouds are seen to say is taken.
func TestCloudFacts(t *testing.T) {
	own := netip.MustParseAddr("10.1.0.1")
	for _, n := range []CloudNIC{
		{Cloud: "aws", Addr: own, Region: "us-gov-west-1", VPC: "vpc-0a1b", ID: "eni-0a1b"},
		{Cloud: "aws", Addr: own},
		{Cloud: "gce", Addr: own, Region: "example.com:proj-1", VPC: "default", ID: "zones/europe-west1-b/instances/vm-1"},
		{Cloud: "azure", Addr: own, Region: "8d10da13-8125-4ba9-a717-bf7490507b3d"},
		{Cloud: "ali", Addr: own, Region: "cn-hangzhou", VPC: "vpc-1", ID: "i-1"},
	} {
		f := someFacts()
		f.Cloud = []CloudNIC{n}
		if err := CheckFacts(f); err != nil {
			t.Error(err)
		}
	}
}
