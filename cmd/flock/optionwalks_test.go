//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/state"
)

// Every option of every kind is set to another value and back on living servers, by a walk
// that is made of the table of options: an option without a value here fails.

// optionValues are values that no kind has by itself, as they are typed.
var optionValues = map[string]string{
	"subnet": "-s 10.60.0.0/16", "vni": "-v 77", "port": "-p 9999", "topology": "--topology hub", "keepalive": "--keepalive 7",
	"subnet-len": "--subnet-len 26", "bridge": "-b other0", "mtu": "--mtu 1300", "domain": "-d other.test", "dhcp": "--dhcp distributed",
	"dhcp-server": "-n s2", "interface": "-i eth1", "group": "-m 239.9.9.9", "gbp": "--gbp", "direct-routing": "--direct-routing",
	"no-masquerade": "--no-masquerade", "isolate": "--isolate", "add-pool": "--add-pool 10.61.0.0/16", "vlan": "--vlan 30",
}

// firstValues are what networks are created with, where an option cannot be unset.
var firstValues = map[string]string{"subnet": "-s 10.50.0.0/16", "bridge": "-b first0", "vni": "-v 55", "port": "-p 5555"}

// notWalked are kinds that need more than the servers of this lane: devices, or a cloud.
var notWalked = map[string]string{"aws-vpc": "its tables are a cloud's; walk aws-vpc", "gce": "as aws-vpc, in the same walk", "ali-vpc": "as gce", "azure": "as gce", "bridge": "--vlan needs the VM's kernel; walks bridge, bridge-vlan", "ipip": "walk setnetwork-tunnels, in the VM; the rest of its options is host-gw's"}

// optionWalks writes a walk per kind into a directory of the test's.
func optionWalks(t *testing.T) []string {
	t.Helper()
	dir := t.TempDir()
	var files []string
	for _, kind := range network.Created() {
		if notWalked[kind] != "" {
			continue
		}
		path := filepath.Join(dir, "options-"+kind+".txtar")
		if err := os.WriteFile(path, []byte(optionWalk(t, kind)), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, path)
	}
	return files
}

// apartKey is what members cannot change of an option at the same moment, in the words of the
// plan's note.
func apartKey(k *network.Kind, key string) string {
	switch {
	case key == "gbp":
		return "group policy of a port"
	case key == "port" && (k.Encrypted || k.Name == network.UDP):
		return "port"
	case key == "interface" && k.Name == network.UDP:
		return "address of a member"
	}
	return ""
}

// apartMost is how many pings are lost at most then: a second's, because the servers of a
// busy machine change one after the other.
const apartMost = 100

// way is who pings whom by a network of the kind while its options change; not where it carries
// nothing between servers. Containers need a bridge, and are plugged in when that has changed.
func way(k *network.Kind) (from, to, begin string) {
	switch {
	case k.Name == network.Alloc:
	case slices.Contains(k.Options(), "bridge"):
		return "c1", "$c3", "container s1 c1 first0 dhcp\ncontainer s3 c3 first0 dhcp\nin c1 ping -c 1 -W 6 $c3\n"
	default:
		return "s1", "10.50.0.3", "eventually 10 on s1 ping -c 1 -W 2 10.50.0.3\n"
	}
	return "", "", ""
}

// readdresses says whether an option's change takes members' addresses, or containers' places:
// it is asked about.
func readdresses(key string) bool { return key == "bridge" || key == "subnet" }

func optionWalk(t *testing.T, kind string) string {
	t.Helper()
	k := network.KindOf(&state.Network{Type: kind})
	keys := k.Options()
	var first, all []string
	for _, key := range k.Options() {
		if firstValues[key] != "" {
			first = append(first, firstValues[key])
		}
	}
	join := "flock addnetwork n1 s1 s2 s3"
	if kind == network.WireGuard {
		join = "flock addnetwork n1 server s1\nflock addnetwork n1 client s2 s3"
	}
	var b strings.Builder
	fmt.Fprintf(&b, optionsBegin, kind, kind, strings.Join(first, " "), join)
	for _, key := range keys {
		if readdresses(key) {
			b.WriteString(optionSteps(t, k, key, &all))
		}
	}
	_, to, begin := way(k)
	b.WriteString("\n" + begin)
	for _, key := range keys {
		if !readdresses(key) {
			b.WriteString(optionSteps(t, k, key, &all))
		}
	}
	if to == "$c3" {
		b.WriteString("uncontainer c1\nuncontainer c3\n")
	}
	fmt.Fprintf(&b, optionsEnd, strings.Join(all, " "))
	return b.String()
}

// optionSteps set an option to another value and back. All gets what it is set to.
func optionSteps(t *testing.T, k *network.Kind, key string, all *[]string) string {
	t.Helper()
	set, back, most := optionValues[key], firstValues[key], 0
	if k.Encrypted || k.Name == network.UDP { // a process forwards packets, natively, and may be given no time on a busy machine
		most = 3
	}
	if set == "" {
		t.Fatalf("option %s has no other value here", key)
	}
	if key == "dhcp" && k.Pooled() {
		set = "--dhcp off"
	}
	if back == "" {
		back = "--unset " + key
	}
	if key != "dhcp-server" { // one of several, where each has its own
		*all = append(*all, set)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n# %s\n", key)
	if note := apartKey(k, key); note != "" {
		fmt.Fprintf(&b, "flock setnetwork n1 %s --dry-run\nstdout 'note: n1: the kernel has one %s at a time'\n", set, note)
		most = apartMost
	}
	from, to, _ := way(k)
	concerned := from != "" && !readdresses(key)
	if concerned {
		fmt.Fprintf(&b, "pinger %s %s %s\n", from, to, key)
	}
	fmt.Fprintf(&b, "flock setnetwork n1 %s --yes\nflock plan\nflock setnetwork n1 %s --yes\nflock plan\n", set, back)
	if concerned {
		fmt.Fprintf(&b, "stoppinger %s %d\n", key, most)
	}
	return b.String()
}

const optionsBegin = `# Every option of a network of type %s, to another value and back: nothing is left to do
# after each, containers of another network lose nothing, and this one what the plan says.
lab 3
flock addserver s1 root@10.99.0.1
flock addserver s2 root@10.99.0.2
flock addserver s3 root@10.99.0.3
listings s1 s1.before
flock createnetwork other vxlan -s 10.66.0.0/24 -b oth0 -p 7777
flock addnetwork other s1 s3
container s1 o1 oth0 10.66.0.11/24
container s3 o3 oth0 10.66.0.13/24
in o1 ping -c 1 -W 2 $o3
flock createnetwork n1 %s %s
%s
flock plan
pinger o1 $o3 others
`

const optionsEnd = `
# All of them at once, over a reboot.
flock setnetwork n1 %s --yes
flock plan
off s2
on s2
eventually 60 flock plan
flock status
stoppinger others 0
flock removenetwork n1 --yes
uncontainer o1
uncontainer o3
flock removenetwork other --yes
flock plan
listings s1 s1.after
cmp s1.before s1.after
`

// The table of values has no line for an option that no kind has.
func TestOptionValuesAreOfOptions(t *testing.T) {
	of := map[string]bool{}
	for _, kind := range network.Created() {
		for _, key := range network.KindOf(&state.Network{Type: kind}).Options() {
			of[key] = true
		}
	}
	for key := range optionValues {
		if !of[key] {
			t.Errorf("%s is an option of no kind", key)
		}
	}
	for kind := range notWalked {
		if !slices.Contains(network.Created(), kind) {
			t.Errorf("%s is no kind", kind)
		}
	}
}
