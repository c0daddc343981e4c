//go:build linux

package dockernet

import (
	"os/exec"
	"strings"
	"testing"
)

// asked is what the script makes of text.
func asked(t *testing.T, text string, args ...string) string {
	t.Helper()
	cmd := exec.Command("/bin/sh", append([]string{"-c", adoption, "adopt"}, args...)...)
	cmd.Stdin = strings.NewReader(text)
	out, err := cmd.Output()
	if err != nil {
		return "refused"
	}
	return string(out)
}

const libvirtNet = `<network>
  <name>default</name>
  <bridge name='virbr0' stp='on' delay='0'/>
  <mac address='52:54:00:00:00:01'/>
  <ip family='ipv6' address='fd00::1' prefix='64'/>
  %
</network>
`

// TestAdoptedFiles: the address goes into each program's file and out again, and all else in it
// stays to the byte.
func TestAdoptedFiles(t *testing.T) {
	const lxc, ours = "USE_LXC_BRIDGE=\"true\"\n# LXC_ADDR=\"1.1.1.1\"\nLXC_ADDR=\"10.5.5.1\"\n", "LXC_ADDR=\"10.5.5.9\"\nLXC_NETMASK='255.255.0.0'\n"
	old := "<ip address='192.168.122.1' netmask='255.255.255.0'>\n    <dhcp>\n      <range start='192.168.122.2' end='192.168.122.254'/>\n    </dhcp>\n  </ip>"
	for name, test := range map[string]struct{ bridge, text, was, with, addr string }{
		"lxc":                  {"lxcbr0", lxc, "", lxc + "%", "10.5.5.1/24"},
		"lxc without a file":   {"lxcbr0", "", "", "%", "10.0.3.1/24"},
		"lxc, the last holds":  {"lxcbr0", lxc + ours, "", lxc + ours + "%", "10.5.5.9/16"},
		"docker":               {"docker0", "{\"debug\": true, \"hosts\": [\"a,}\"]}\n", "", "{\n    \"bip\": %,\"debug\": true, \"hosts\": [\"a,}\"]}\n", ""},
		"docker, no keys":      {"docker0", "{}\n", "", "{\n    \"bip\": %\n}\n", ""},
		"docker, a bip":        {"docker0", "{\n  \"a\": {\"bip\": 1},\n  \"bip\" : \"10.7.0.1/24\" ,\n  \"b\": \"x\\\"y,}\"\n}\n", `"10.7.0.1/24"`, "{\n  \"a\": {\"bip\": 1},\n  \"bip\" : % ,\n  \"b\": \"x\\\"y,}\"\n}\n", "10.7.0.1/24"},
		"docker, bip at last":  {"docker0", "{\"a\":1,\"bip\":\"10.7.0.1/24\"}\n", `"10.7.0.1/24"`, "{\"a\":1,\"bip\":%}\n", "10.7.0.1/24"},
		"docker, within":       {"docker0", "{\"a\":{\"bip\":\"10.7.0.1/24\"}}\n", "", "{\n    \"bip\": %,\"a\":{\"bip\":\"10.7.0.1/24\"}}\n", ""},
		"libvirt":              {"virbr0", strings.Replace(libvirtNet, "%", old, 1), old, libvirtNet, "192.168.122.1/24"},
		"libvirt, no dhcp":     {"virbr0", strings.Replace(libvirtNet, "%", "<ip address='10.8.0.1' prefix='22'/>", 1), "<ip address='10.8.0.1' prefix='22'/>", libvirtNet, "10.8.0.1/22"},
		"docker, no object":    {"docker0", "[]\n", "", "refused", ""},
		"docker, half":         {"docker0", "{\"a\": {\n", "", "refused", ""},
		"libvirt, IPv6 only":   {"virbr0", strings.Replace(libvirtNet, "%", "", 1), "", "refused", ""},
		"lxc, no end of ours":  {"lxcbr0", "# Set by flock, which takes it away again.\nA=1\n", "", "refused", "10.0.3.1/24"},
		"docker, a bad escape": {"docker0", "{\"bip\\", "", "refused", ""},
	} {
		t.Run(name, func(t *testing.T) {
			part := strings.TrimSuffix(asked(t, "", "part", "", "", test.bridge, "10.1.0.1/22"), "\n")
			with := strings.Replace(test.with, "%", part, 1)
			if test.bridge == "lxcbr0" && with != "refused" {
				with += "\n"
			}
			if test.addr != "" {
				if have := asked(t, test.text, "address", "", "", test.bridge); strings.TrimSpace(have) != test.addr {
					t.Errorf("the address is %q, want %q", have, test.addr)
				}
			}
			now := asked(t, test.text, "swap", "", "", test.bridge, part)
			if now != with {
				t.Fatalf("have:\n%s\nwant:\n%s", now, with)
			}
			if with == "refused" {
				return
			}
			if have := asked(t, now, "address", "", "", test.bridge); have != "10.1.0.1/22\n" {
				t.Errorf("the new address is %q", have)
			}
			if back := asked(t, now, "swap", "", "", test.bridge, test.was); back != test.text {
				t.Errorf("back:\n%s\nwas:\n%s", back, test.text)
			}
		})
	}
}

// TestAdoptedRange: what is handed out is the longer side of the address, without the first and the
// last of the subnet.
func TestAdoptedRange(t *testing.T) {
	for address, want := range map[string]string{
		"10.1.1.1/24":      "10.1.1.1 255.255.255.0 10.1.1.0/24 10.1.1.2 10.1.1.254 253",
		"10.1.1.254/24":    "10.1.1.254 255.255.255.0 10.1.1.0/24 10.1.1.1 10.1.1.253 253",
		"192.168.0.1/16":   "192.168.0.1 255.255.0.0 192.168.0.0/16 192.168.0.2 192.168.255.254 65533",
		"10.0.0.1/8":       "10.0.0.1 255.0.0.0 10.0.0.0/8 10.0.0.2 10.255.255.254 16777213",
		"223.255.255.9/29": "223.255.255.9 255.255.255.248 223.255.255.8/29 223.255.255.10 223.255.255.14 5",
	} {
		if have := asked(t, "", "calc", "", "", "lxcbr0", address); have != want+"\n" {
			t.Errorf("%s: %q, want %q", address, have, want)
		}
	}
}
