//go:build linux

package adopt

import (
	"net/netip"
	"strconv"
	"strings"
	"testing"
)

const libvirtNet = `<network>
  <name>default</name>
  <bridge name='virbr0' stp='on' delay='0'/>
  <mac address='52:54:00:00:00:01'/>
  <ip family='ipv6' address='fd00::1' prefix='64'/>
  %
</network>
`

const libvirtOwn = "<ip address='192.168.122.1' netmask='255.255.255.0'>\n    <dhcp>\n      <range start='192.168.122.2' end='192.168.122.254'/>\n    </dhcp>\n  </ip>"

// TestFiles: the address goes into each program's file and out again, and all else in it stays to
// the byte.
func TestFiles(t *testing.T) {
	const lxc = "USE_LXC_BRIDGE=\"true\"\n# LXC_ADDR=\"1.1.1.1\"\nLXC_ADDR=\"10.5.5.1\"\n"
	const later = "LXC_ADDR=\"10.5.5.9\" # ours\nLXC_NETMASK='255.255.0.0'\n"
	libvirt := func(ip string) string { return strings.Replace(libvirtNet, "%", ip, 1) }
	for name, test := range map[string]struct {
		format
		text, was, with, addr string
	}{
		"lxc":                 {lxcNet{}, lxc, "", lxc + "%", "10.5.5.1/24"},
		"lxc without a file":  {lxcNet{}, "", "", "%", "10.0.3.1/24"},
		"lxc, the last holds": {lxcNet{}, lxc + later, "", lxc + later + "%", "10.5.5.9/16"},
		"docker":              {dockerJSON{}, "{\n  \"debug\": true\n}\n", "", "{\n  \"debug\": true,\n  \"bip\": %\n}\n", ""},
		"docker, no keys":     {dockerJSON{}, "{}\n", "", "{\"bip\": %}\n", ""},
		"docker, a bip":       {dockerJSON{}, "{\"bip\" : \"10.7.0.1/24\" ,\n  \"b\": 1}", `"10.7.0.1/24"`, "{\"bip\" : % ,\n  \"b\": 1}", "10.7.0.1/24"},
		"libvirt":             {libvirtXML{}, libvirt(libvirtOwn), libvirtOwn, libvirtNet, "192.168.122.1/24"},
		"libvirt, no dhcp":    {libvirtXML{}, libvirt("<ip address='10.8.0.1' prefix='22'/>"), "<ip address='10.8.0.1' prefix='22'/>", libvirtNet, "10.8.0.1/22"},
	} {
		t.Run(name, func(t *testing.T) {
			to := netip.MustParsePrefix("10.1.0.1/22")
			if have := test.address(test.text); have.IsValid() != (test.addr != "") || have.IsValid() && have.String() != test.addr {
				t.Errorf("the address is %s, want %q", have, test.addr)
			}
			if was, err := test.get(test.text); was != test.was || err != nil {
				t.Errorf("what says it is %q, %v, want %q", was, err, test.was)
			}
			with := strings.Replace(test.with, "%", test.part(to), 1)
			now, err := test.put(test.text, test.part(to))
			if now != with || err != nil {
				t.Fatalf("%v; have:\n%s\nwant:\n%s", err, now, with)
			}
			if have := test.address(now); have != to {
				t.Errorf("the new address is %s", have)
			}
			if again, err := test.put(now, test.part(to)); again != now || err != nil {
				t.Errorf("once more: %v\n%s", err, again)
			}
			if back, err := test.put(now, test.was); back != test.text || err != nil {
				t.Errorf("%v; back:\n%s\nwas:\n%s", err, back, test.text)
			}
		})
	}
}

// TestFilesThatAreNotUnderstood are not written.
func TestFilesThatAreNotUnderstood(t *testing.T) {
	for name, test := range map[string]struct {
		format
		text string
	}{
		"docker, no object":   {dockerJSON{}, "[]\n"},
		"docker, half":        {dockerJSON{}, "{\"a\": {\n"},
		"libvirt, IPv6 only":  {libvirtXML{}, strings.Replace(libvirtNet, "%", "", 1)},
		"libvirt, no end":     {libvirtXML{}, "<ip address='10.8.0.1' prefix='22'>"},
		"libvirt, half a tag": {libvirtXML{}, "<ip address='10.8.0.1'"},
		"lxc, no end of ours": {lxcNet{}, lxcBegin + "A=1\n"},
	} {
		if was, err := test.get(test.text); err == nil {
			t.Errorf("%s: got %q", name, was)
		}
		if now, err := test.put(test.text, test.part(netip.MustParsePrefix("10.1.0.1/22"))); err == nil {
			t.Errorf("%s: became %q", name, now)
		}
	}
}

// TestDealt: what is handed out is the longer side of the address, without the first and the last of
// the subnet.
func TestDealt(t *testing.T) {
	for text, want := range map[string]string{
		"10.1.1.1/24":      "255.255.255.0 10.1.1.2 10.1.1.254 253",
		"10.1.1.254/24":    "255.255.255.0 10.1.1.1 10.1.1.253 253",
		"192.168.0.1/16":   "255.255.0.0 192.168.0.2 192.168.255.254 65533",
		"10.0.0.1/8":       "255.0.0.0 10.0.0.2 10.255.255.254 16777213",
		"223.255.255.9/29": "255.255.255.248 223.255.255.10 223.255.255.14 5",
	} {
		p := netip.MustParsePrefix(text)
		from, to, n := dealt(p)
		if have := strings.Join([]string{mask(p).String(), from.String(), to.String(), strconv.FormatUint(uint64(n), 10)}, " "); have != want {
			t.Errorf("%s: %q, want %q", text, have, want)
		}
	}
}

// TestWhatIsRefused: what a file says decides whether it is written.
func TestWhatIsRefused(t *testing.T) {
	p := netip.MustParsePrefix
	ours := &note{told: p("10.1.1.1/24"), chosen: p("172.17.0.1/16")}
	block := lxcNet{}.part(p("10.1.1.1/24"))
	for name, test := range map[string]struct {
		bridge, text string
		n            *note
		want         string // of the problem; "": none
	}{
		"nothing":                {"docker0", "", nil, ""},
		"no JSON":                {"docker0", "{", nil, "what /etc/docker/daemon.json says is not understood"},
		"fixed-cidr":             {"docker0", `{"fixed-cidr": "10.0.0.0/25"}`, nil, "has fixed-cidr"},
		"another bridge":         {"docker0", `{"bridge": "br9"}`, nil, "has bridge"},
		"fixed-cidr of another":  {"docker0", `{"a": {"fixed-cidr": "10.0.0.0/25"}}`, nil, ""},
		"ours":                   {"docker0", `{"bip": "10.1.1.1/24"}`, ours, ""},
		"as before":              {"docker0", `{}`, ours, ""},
		"on the way back":        {"docker0", `{"bip": "172.17.0.1/16"}`, ours, ""},
		"somebody else's":        {"docker0", `{"bip": "10.9.9.1/24"}`, ours, "has 10.9.9.1/24 for docker0, flock set 10.1.1.1/24: somebody else changed it"},
		"ours of LXC":            {"lxcbr0", block, ours, ""},
		"behind ours of LXC":     {"lxcbr0", block + "LXC_ADDR=10.9.9.1\n", ours, "has 10.9.9.1/24 for lxcbr0"},
		"libvirt elsewhere":      {"virbr0", strings.Replace(strings.Replace(libvirtNet, "virbr0", "br0", 1), "%", libvirtOwn, 1), nil, "not on virbr0"},
		"libvirt, a fixed guest": {"virbr0", strings.Replace(libvirtNet, "%", "<ip address='10.8.0.1' prefix='22'><dhcp><host name='a' ip='10.8.0.7'/></dhcp></ip>", 1), nil, "more than a range"},
		"libvirt":                {"virbr0", strings.Replace(libvirtNet, "%", libvirtOwn, 1), nil, ""},
	} {
		problem := programOf(test.bridge).reads(test.text, test.n, "/note")
		if (problem != nil) != (test.want != "") || problem != nil && (!strings.Contains(problem.What, test.want) || problem.Next == "") {
			t.Errorf("%s: %+v, want %q", name, problem, test.want)
		}
	}
}

// TestFixedAddresses: a container of LXC's keeps its address only in a subnet that has it.
func TestFixedAddresses(t *testing.T) {
	const config = "lxc.uts.name = c1\nlxc.net.0.type = veth\nlxc.net.0.link = lxcbr0\nlxc.net.0.ipv4.address = 10.0.3.7/24\n"
	for subnet, want := range map[string]string{"10.1.1.1/24": "10.0.3.7", "10.0.3.1/24": ""} {
		if have := outside(config, netip.MustParsePrefix(subnet)); have != want {
			t.Errorf("in %s: %q, want %q", subnet, have, want)
		}
	}
	if have := outside(strings.Replace(config, "lxcbr0", "br0", 1), netip.MustParsePrefix("10.1.1.1/24")); have != "" {
		t.Errorf("on another bridge: %q", have)
	}
}
