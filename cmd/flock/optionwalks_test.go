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
	"github.com/flocknet/flock/internal/option"
	"github.com/flocknet/flock/internal/state"
)

// Every option of every kind is set to another value and back on living servers, by a walk
// that is made of the table of options: an option without a value here fails.

// optionValues are values that no kind has by itself, as they are typed.
var optionValues = map[string]string{
	"subnet": "-s 10.60.0.0/16", "vni": "-v 77", "port": "-p 9999", "topology": "--topology hub", "keepalive": "--keepalive 7",
	"subnet-len": "--subnet-len 26", "bridge": "-b other0", "mtu": "--mtu 1300", "domain": "-d other.test", "dhcp": "--dhcp distributed",
	"dhcp-server": "-n s2", "interface": "-i eth1", "group": "-m 239.9.9.9", "gbp": "--gbp", "direct-routing": "--direct-routing",
	"no-masquerade": "--no-masquerade", "isolate": "--isolate", "add-pool": "--add-pool 10.61.0.0/16",
}

// firstValues are what networks are created with, where an option cannot be unset.
var firstValues = map[string]string{"subnet": "-s 10.50.0.0/16", "bridge": "-b first0", "vni": "-v 55", "port": "-p 5555"}

// notWalked are kinds that this lane's kernel has no devices for.
var notWalked = map[string]string{"ipip": "its options are those of host-gw"}

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

func optionWalk(t *testing.T, kind string) string {
	t.Helper()
	k := network.KindOf(&state.Network{Type: kind})
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
	for _, key := range k.Options() {
		set := optionValues[key]
		if set == "" {
			t.Fatalf("option %s has no other value here", key)
		}
		if key == "dhcp" && option.Of(key).Among == option.OfSegments && k.Pooled() {
			set = "--dhcp off"
		}
		back := firstValues[key]
		if back == "" {
			back = "--unset " + key
		}
		fmt.Fprintf(&b, "\n# %s\nflock setnetwork n1 %s --yes\nflock plan\nflock setnetwork n1 %s --yes\nflock plan\n", key, set, back)
		if key != "dhcp-server" { // one of several, where each has its own
			all = append(all, set)
		}
	}
	fmt.Fprintf(&b, optionsEnd, strings.Join(all, " "))
	return b.String()
}

const optionsBegin = `# Every option of a network of type %s, to another value and back: nothing is left to do
# after each, and containers of another network lose nothing.
lab 3
flock addserver s1 root@10.99.0.1
flock addserver s2 root@10.99.0.2
flock addserver s3 root@10.99.0.3
listings s1 s1.before
flock createnetwork other vxlan -s 10.66.0.0/24 -b oth0 -p 7777
flock addnetwork other s1 s3
container s1 o1 oth0 dhcp
container s3 o3 oth0 dhcp
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
