package cli

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/option"
)

// door is one value with two ways in: the command line, and a cluster file.
type door struct {
	name string
	args func(value string) []string // a command that takes the value
	file func(text string) string    // the tables of a file that says the same; text is the value as TOML has it
	// not are values that one of the two takes for "not given", or that belong to another
	// command; own are written in another way there.
	not    []string
	own    func(value string) bool
	number bool // the value is an integer in TOML
}

// stands are servers that were contacted, and networks for what is added to them.
const stands = `schema = 1
[server.s1]
address = "10.99.0.1"
[server.s1.facts]
default4 = "eth0"
interface = [{name = "eth0", mtu = 1500, addresses = ["10.99.0.1/24"]}]
[server.s2]
address = "10.99.0.2"
[server.s2.facts]
default4 = "eth0"
interface = [{name = "eth0", mtu = 1500, addresses = ["10.99.0.2/24"]}]
`

func doors() []door {
	flagged := func(words ...string) func(string) []string {
		return func(v string) []string { return append(slices.Clone(words[:len(words)-1]), words[len(words)-1]+"="+v) }
	}
	in := func(table string) func(string) string {
		return func(text string) string { return fmt.Sprintf(table, text) }
	}
	server := func(flag, key string) door {
		return door{name: "server " + key, args: flagged("addserver", "s9", "10.99.0.9", flag), file: in("[server.s9]\naddress = \"10.99.0.9\"\n" + key + " = %s\n")}
	}
	set := func(flag, key string) door {
		return door{name: "set server " + key, not: []string{""}, args: flagged("setserver", "s9", flag), file: in("[server.s9]\naddress = \"10.99.0.9\"\n" + key + " = %s\n")}
	}
	network := func(kind, flag, key string, number bool) door {
		return door{name: kind + " " + key, number: number, args: flagged("createnetwork", "n1", kind, flag), file: in("[network.n1]\ntype = \"" + kind + "\"\n" + key + " = %s\n")}
	}
	tunnel := func(flag, key string) door {
		return door{name: "tunnel " + key, number: true, args: flagged("addtunnel", "gre", "s1", "s2", flag), file: in("[network.gre-s1-s2]\ntype = \"gre\"\nmembers = [\"s1\", \"s2\"]\n" + key + " = %s\n")}
	}
	bgp := func(flag, key string, number bool) door {
		return door{name: "bgp " + key, number: number, args: flagged("createbgp", "n1", "s1", flag), file: in("[network.n1]\ntype = \"bgp\"\nmembers = [\"s1\"]\n" + key + " = %s\n")}
	}
	external := func(flag, key string, number bool) door {
		return door{
			name: "external " + key, number: number, not: []string{""},
			args: func(v string) []string {
				return []string{"addbgp", "b1", "external", "s1", "10.99.0.254", "--as=65001", flag + "=" + v}
			},
			file: in("[network.b1]\ntype = \"bgp\"\nmembers = [\"s1\"]\n[[network.b1.external]]\nserver = \"s1\"\naddress = \"10.99.0.254\"\nas = 65001\n" + key + " = %s\n"),
		}
	}
	attached := func(name string, args func(string) []string, keys string, own func(string) bool) door {
		return door{name: name, args: args, own: own, file: in("[network.vx0]\ntype = \"vxlan\"\nmembers = [\"s3\"]\n[server.s3]\naddress = \"10.99.0.3\"\nattached = [{" + keys + "}]\n")}
	}
	return []door{
		{name: "server address", not: []string{""}, args: func(v string) []string {
			if strings.Contains(v, ":") {
				v = "[" + v + "]"
			}
			return []string{"addserver", "s9", "u@" + v}
		}, file: in("[server.s9]\naddress = %s\n")},
		{name: "server user", not: []string{""}, args: func(v string) []string { return []string{"addserver", "s9", v + "@10.99.0.9"} }, file: in("[server.s9]\naddress = \"10.99.0.9\"\nuser = %s\n")},
		{name: "server port", number: true, args: func(v string) []string { return []string{"addserver", "s9", "10.99.0.9:" + v} }, file: in("[server.s9]\naddress = \"10.99.0.9\"\nport = %s\n")},
		server("--jump", "jump"), server("--identity", "identity"), server("--interface", "interface"), server("--endpoint", "endpoint"),
		set("--jump", "jump"), set("--identity", "identity"), set("--interface", "interface"), set("--endpoint", "endpoint"),
		{name: "set server address", not: []string{""}, args: func(v string) []string {
			if strings.Contains(v, ":") {
				v = "[" + v + "]"
			}
			return []string{"setserver", "s9", "u@" + v}
		}, file: in("[server.s9]\nuser = \"u\"\naddress = %s\n")},
		{name: "set server name", not: []string{"", "s1", "s2", "s9", "local"}, args: func(v string) []string { return []string{"setserver", "s9", "--rename=" + v} }, file: in("[server.%s]\naddress = \"10.99.0.9\"\n")},
		{name: "set network name", not: []string{"", "vx0", "wg0", "b1"}, args: func(v string) []string { return []string{"setnetwork", "vx0", "--rename=" + v} }, file: in("[network.%s]\ntype = \"vxlan\"\n")},
		{name: "server name", args: func(v string) []string { return []string{"addserver", "--", v, "10.99.0.9"} }, file: in("[server.%s]\naddress = \"10.99.0.9\"\n"), not: []string{"s1", "s2"}},
		{name: "server subnet", args: func(v string) []string { return []string{"setsubnet", "--", "s3", v} }, file: in("[server.s3]\naddress = \"10.99.0.3\"\nsubnet = %s\n"), not: []string{"none"}},
		{name: "adopted bridge", args: func(v string) []string { return []string{"setsubnet", "s3", "10.9.9.0/24", "--yes", "--adopt=" + v} }, file: in("[server.s3]\naddress = \"10.99.0.3\"\nsubnet = \"10.9.9.1/24\"\nadopt = %s\n"), not: []string{""}},
		{name: "network name", args: func(v string) []string { return []string{"createnetwork", "--", v, "vxlan"} }, file: in("[network.%s]\ntype = \"vxlan\"\n"), not: []string{"vx0", "wg0", "b1"}},
		{name: "network type", args: func(v string) []string { return []string{"createnetwork", "--", "n1", v} }, file: in("[network.n1]\ntype = %s\n"), not: []string{"bgp", "gre"}},
		{name: "member", args: func(v string) []string { return []string{"addnetwork", "--", "vx0", v} }, file: in("[network.vx0]\ntype = \"vxlan\"\nmembers = [%s]\n")},
		{name: "share", args: func(v string) []string { return []string{"addnetwork", "--", "wg0", "subnet", v} }, file: in("[network.wg0]\ntype = \"wireguard\"\nmembers = [\"s1\", \"s2\"]\nshares = [%s]\n")},
		{name: "share, forced", args: func(v string) []string { return []string{"addnetwork", "--force", "--", "wg0", "subnet", v} }, file: in("[network.wg0]\ntype = \"wireguard\"\nmembers = [\"s1\", \"s2\"]\nshares = [%[1]s]\nforced = [%[1]s]\n")},
		attached("container interface", func(v string) []string { return []string{"addnet", "--", "s3:netns/c1", v + ":vxl0"} }, `container = "netns/c1", interface = %s, bridge = "vxl0"`, func(v string) bool { return v == "" || strings.Contains(v, ":") }),
		attached("container bridge", func(v string) []string { return []string{"setnet", "--", "s3:netns/c1", "eth1:" + v} }, `container = "netns/c1", interface = "eth1", bridge = %s`, func(v string) bool { return v == "" }),
		attached("container address", func(v string) []string {
			return []string{"addnet", "--ip=" + v, "--", "s3:netns/c1", "eth1:vxl0"}
		}, `container = "netns/c1", interface = "eth1", bridge = "vxl0", addresses = [%s]`, nil),
		network("vxlan", "--subnet", "subnet", false).list(), network("wireguard", "--subnet", "subnet", false).list(), network("host-gw", "--subnet", "subnet", false).list(),
		network("vxlan", "--interface", "interface", false), network("wireguard", "--interface", "interface", false), network("host-gw", "--interface", "interface", false),
		network("vxlan", "--bridge", "bridge", false), network("l2", "--bridge", "bridge", false), network("host-gw", "--bridge", "bridge", false),
		network("vxlan", "--vni", "vni", true), network("vxlan-l3", "--vni", "vni", true), network("l2", "--vni", "vni", true), network("ipip", "--vni", "vni", true),
		network("vxlan", "--port", "port", true), network("wireguard", "--port", "port", true), network("udp", "--port", "port", true), network("host-gw", "--port", "port", true),
		network("vxlan", "--mtu", "mtu", true), network("wireguard", "--mtu", "mtu", true), network("host-gw", "--mtu", "mtu", true), network("l2", "--mtu", "mtu", true),
		network("vxlan", "--domain", "domain", false), network("l2", "--domain", "domain", false),
		network("vxlan", "--group", "group", false),
		network("vxlan", "--dhcp-server", "dhcp-server", false), network("vxlan", "--dhcp", "dhcp", false),
		network("wireguard", "--topology", "topology", false), network("vxlan", "--topology", "topology", false),
		network("wireguard", "--keepalive", "keepalive", true), network("vxlan", "--keepalive", "keepalive", true),
		network("aws-vpc", "--route-table", "route-table", false).list(), network("aws-vpc", "--region", "region", false), network("aws-vpc", "--profile", "profile", false), network("gce", "--project", "project", false), network("vxlan", "--region", "region", false),
		network("host-gw", "--subnet-len", "subnet-len", true).list(), network("vxlan", "--subnet-len", "subnet-len", true).list(),
		tunnel("--key", "key"), tunnel("--ttl", "ttl"),
		bgp("--as", "as", true), bgp("--hold", "hold", true), bgp("--bfd", "bfd", true), bgp("--mode", "mode", false),
		external("--accept", "accept", false).list(), external("--announce", "announce", false).list(),
		external("--multihop", "multihop", true), external("--max-prefixes", "max-prefixes", true),
		external("--bfd", "bfd", true), external("--local-pref", "local-pref", true), external("--med", "med", true), external("--prepend", "prepend", true), external("--community", "community", false).list(),
		{name: "external as", number: true, args: func(v string) []string { return []string{"addbgp", "b1", "external", "s1", "10.99.0.254", "--as=" + v} }, file: in("[network.b1]\ntype = \"bgp\"\nmembers = [\"s1\"]\n[[network.b1.external]]\nserver = \"s1\"\naddress = \"10.99.0.254\"\nas = %s\n")},
		{name: "external address", own: func(v string) bool { return strings.HasPrefix(v, "[") }, args: func(v string) []string { return []string{"addbgp", "--as=65001", "--", "b1", "external", "s1", v} }, file: in("[network.b1]\ntype = \"bgp\"\nmembers = [\"s1\"]\n[[network.b1.external]]\nserver = \"s1\"\naddress = %s\nas = 65001\n")},
		network("bridge", "--vlan", "vlan", true), network("vxlan", "--vlan", "vlan", true), network("bridge", "--bridge", "bridge", false),
	}
}

// Every flag of createnetwork that has a value is among the doors.
func TestEveryFlagIsADoor(t *testing.T) {
	for _, o := range option.All() {
		if _, is := o.Zero().(bool); o.Help == "" || is {
			continue
		}
		if !slices.ContainsFunc(doors(), func(d door) bool { return strings.HasSuffix(d.name, " "+o.Key) }) {
			t.Errorf("no door is the flag --%s", o.Key)
		}
	}
}

// list says that the value is one element in the file.
func (d door) list() door {
	one := d.file
	d.file = func(text string) string { return one("[" + text + "]") }
	return d
}

// basic is s as a TOML basic string.
func basic(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		if r < ' ' || r == '"' || r == '\\' || r == 0x7f {
			fmt.Fprintf(&b, `\u%04x`, r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String() + `"`
}

// standing is the file that commands work on: what stands, less what the value belongs to.
func (d door) standing() string {
	switch {
	case strings.HasPrefix(d.name, "external"):
		return stands + "[network.b1]\ntype = \"bgp\"\nmembers = [\"s1\"]\n"
	case strings.HasPrefix(d.name, "container"):
		return stands + "[server.s3]\naddress = \"10.99.0.3\"\n[network.vx0]\ntype = \"vxlan\"\nmembers = [\"s3\"]\n"
	case strings.HasPrefix(d.name, "set server"):
		return stands + "[server.s9]\naddress = \"10.99.0.9\"\n"
	case d.name == "member" || d.name == "set network name":
		return stands + "[network.vx0]\ntype = \"vxlan\"\n"
	case strings.HasPrefix(d.name, "share"):
		return stands + "[network.wg0]\ntype = \"wireguard\"\nmembers = [\"s1\", \"s2\"]\n"
	case d.name == "server subnet":
		return stands + "[server.s3]\naddress = \"10.99.0.3\"\n"
	}
	return stands
}

// agree fails when one door takes value and the other does not.
func (d door) agree(t *testing.T, flags, file *bench, value string) {
	t.Helper()
	if slices.Contains(d.not, value) || d.own != nil && d.own(value) {
		return
	}
	text := basic(value)
	if n, err := strconv.ParseInt(value, 10, 64); d.number && err == nil {
		value = strconv.FormatInt(n, 10)
		text = value
	}
	flags.engine.contacts, file.engine.contacts = 0, 0
	byFlag := flags.call(append([]string{"--dry-run"}, d.args(value)...)...)
	path := file.write("wish.toml", stands+d.file(text))
	byFile := file.call("apply", "--dry-run", "-f", path)
	if byFlag != byFile {
		t.Errorf("%s %q: flock %q exits %d\n%s\nthe file exits %d\n%s", d.name, value, d.args(value), byFlag, flags.err.String(), byFile, file.err.String())
	}
	if byFile != command.ExitDone && byFile != command.ExitUsage {
		t.Errorf("%s %q: the file exits %d\n%s", d.name, value, byFile, file.err.String())
	}
	if byFile == command.ExitUsage && !strings.Contains(file.err.String(), "wish.toml:") {
		t.Errorf("%s %q: no line of the file is named\n%s", d.name, value, file.err.String())
	}
	if flags.engine.contacts > 0 && byFlag == command.ExitUsage || file.engine.contacts > 0 && byFile == command.ExitUsage {
		t.Errorf("%s %q: servers were contacted before the value was refused", d.name, value)
	}
}

// values are good and bad ones, of all sorts.
var values = []string{
	"", " ", "x", "-x", "--help", "a b", "a\nb", "a\tb", "a\x1b[31mb", "\u202etxt", "ünïcode", "$(touch /tmp/x)", "`id`", "a;b", "a|b", "a'b", "a\"b", "a\\", `a\b`, "a$b", "a%h", "a/b", "../x", "a#b",
	"all", "default", "lo", "local", "server", "subnet", "none", "off", "single", "distributed", "mesh", "hub", "reflector", "vxlan", "udp", "vlan", "s1", "s9", "s1:eth0", "s1:10.1.0.1", "s1:fd00::1", "s1:[fd00::1]", "s1:all",
	"s1:10.0.10.0/24", "s1:10.0.10.1/24", "s1:fd00:1::/64", "s9:10.0.10.0/24", "s1:0.0.0.0/0",
	"0", "1", "2", "5", "24", "64", "128", "129", "255", "256", "575", "576", "1279", "1280", "1500", "65535", "65536", "16777215", "16777216", "4294967295", "4294967296", "-1", "1.10", "23456", "99999999999999999999",
	"10.1.2.3", "10.1.2.3:22", "10.1.2.300", "0.0.0.0", "127.0.0.1", "224.0.0.1", "239.0.0.42", "ff08::42", "ff01::1", "fd00::1", "[fd00::1]", "[fd00::1]:22", "fe80::1", "fe80::1%eth0", "::ffff:10.0.0.1", "host.example.com", "host.example.com:22", "host_1", "-oProxyCommand=x",
	"10.20.0.0/24", "10.20.0.0/16", "10.20.0.5/24", "10.20.0.0/30", "10.20.0.0/32", "fd20::/64", "fd20::/127", "224.0.0.0/24", "127.0.0.0/8", "0.0.0.0/0", "169.254.0.0/16", "::ffff:10.0.0.0/120", "10.20.0.0/33",
	"10.0.0.0/8 le 24", "10.0.0.0/8 ge 4", "10.0.0.0/8 ge 16 le 24", "10.0.0.1/8", "10.0.0.0/8 xx 3",
	"root@10.0.0.1", "root@bastion:22", "a,b", "a,,b", "ssh://root@h/", "/dev/zero", "~/.ssh/id", "vxapp", "a.b.c", "a..b", "-a.b", strings.Repeat("a", 16), strings.Repeat("a", 33), strings.Repeat("a", 300), strings.Repeat("a", 5000),
}

// TestOneValidatorAtEveryDoor: what a flag refuses, a file refuses, and the other way
// round, with the line of the file, before a server is contacted.
func TestOneValidatorAtEveryDoor(t *testing.T) {
	for _, d := range doors() {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			flags, file := newBench(t, d.standing()), newBench(t, d.standing())
			for i, value := range values {
				if _, err := strconv.ParseInt(value, 10, 64); d.number && err != nil && i > 3 {
					continue // no number is like another
				}
				d.agree(t, flags, file, value)
			}
		})
	}
}

func FuzzDoors(f *testing.F) {
	for i := range doors() {
		f.Add(byte(i), values[i%len(values)])
	}
	f.Fuzz(func(t *testing.T, at byte, value string) {
		if strings.ToValidUTF8(value, "") != value {
			return // no TOML file can say so
		}
		list := doors()
		d := list[int(at)%len(list)]
		d.agree(t, newBench(t, d.standing()), newBench(t, d.standing()), value)
	})
}
