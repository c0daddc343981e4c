package cli

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/state"
	"github.com/flocknet/flock/internal/view"
	"github.com/spf13/cobra"
)

// askedTwice are commands that may be run again: the same changes nothing and says so. Other
// is one of the same sort that asks for something else: it is refused with advice, after
// which it finds everything as it should be.
var askedTwice = []struct{ args, said, other string }{
	{"addserver s4 root@10.99.0.4", "s4 is there already", "addserver s4 admin@10.99.0.5:2222 -i /k --interface eth1 --nat"},
	{"addserver s1 10.99.0.1", "s1 is there already", "addserver s1 10.99.0.1 -J bastion --endpoint h.example:1"},
	{"delserver s4", "s4: not there", ""},
	{"setserver s1 --interface eth0", "s1 is so already", ""},
	{"setsubnet s1 10.7.1.0/24", "already so: s1: container subnet 10.7.1.1/24", ""},
	{"setsubnet s1 10.7.1.0/24 --adopt docker0 --yes", "already so: s1: container subnet 10.7.1.1/24 on docker0", ""},
	{"setsubnet s1 none", "already so: s1: no container subnet", ""},
	{"createnetwork n1 vxlan", "n1 is there already", "createnetwork n1 vxlan --mtu 1400 --isolate -d lab.test"},
	{"createnetwork n1 vxlan -s 10.9.0.0/24 --mtu 1400 --no-dhcp", "n1 is there already", "createnetwork n1 vxlan --dhcp distributed -s 10.9.0.0/24 -s fd00:9::/64"},
	{"createnetwork n1 host-gw --subnet-len 26", "n1 is there already", "createnetwork n1 host-gw --subnet-len 25"},
	{"createnetwork n1 host-gw", "n1 is there already", "createnetwork n1 udp"},
	{"createnetwork n1 wireguard --keepalive 7", "n1 is there already", "createnetwork n1 wireguard --topology hub"},
	{"setnetwork vx1 --mtu 1400", "vx1 is so already", ""},
	{"changetype p1 udp", "p1 is a udp network already", ""},
	{"addnetwork vx1 s1 s2", "s1, s2: already in vx1", ""},
	{"addnetwork wg1 server s1", "s1: already in wg1", ""},
	{"addnetwork wg1 client s2", "s2: already in wg1", ""},
	{"addnetwork wg1 subnet s3:10.0.77.0/24", "s3:10.0.77.0/24: already in wg1", ""},
	{"delnetwork vx1 s2", "s2: not in vx1", ""},
	{"delnetwork vx1 s9", "s9: not in vx1", ""},
	{"delnetwork vx9 s1", "vx9: not there", ""},
	{"delnetwork wg1 client s3", "s3: not in wg1", ""},
	{"delnetwork wg1 subnet s1:10.0.78.0/24", "s1:10.0.78.0/24: not in wg1", ""},
	{"removenetwork vx1", "vx1: not there", ""},
	{"addtunnel gre s1 s2 --key 7", "already there: gre-s1-s2", ""},
	{"addtunnel gre s1 s2 -l 10.99.0.1 --addresses 10.8.0.1/30,10.8.0.2/30", "already there: gre-s1-s2", ""},
	{"deltunnel t1", "t1: not there", ""},
	{"createbgp b2 s3 --as 64999", "b2 is there already", ""},
	{"addbgp b1 peer s2", "s2: already in b1", ""},
	{"addbgp b1 network s1:10.0.79.0/24", "s1:10.0.79.0/24: already in b1", ""},
	{"addbgp b1 reflector s1", "s1: already in b1", ""},
	{"delbgp b1 server s2", "server s2: not in b1", ""},
	{"delbgp b1 network s1:10.0.80.0/24", "network s1:10.0.80.0/24: not in b1", ""},
	{"delbgp b1 reflector s2", "reflector s2: not in b1", ""},
	{"delbgp b1 external s1 10.99.0.254", "external s1 10.99.0.254: not in b1", ""},
	{"removebgp b1", "b1: not there", ""},
	{"addnet s1:netns/c1 eth1:vxl0", "already so: s1:netns/c1: eth1 on vxl0", "addnet s1:netns/c1 eth1:vxl0 --ip 10.0.4.200"},
	{"setnet s1:netns/c1 eth1:vxl0", "already so: s1:netns/c1: eth1 on vxl0", ""},
	{"delnet s1:netns/c1 eth1", "nothing to do", ""},
	{"dockernet vx1", "already so: vx1 is a network of Docker's and Podman's on all members", ""},
	{"dockernet vx1 s1", "already so: vx1 is a network of Docker's and Podman's on s1", ""},
	{"dockernet vx1 s1 --remove", "already so: vx1 is no network of Docker's and Podman's on s1", ""},
}

// standingThere is the file before each of them.
const standingThere = stands + `[server.s3]
address = "10.99.0.3"
[network.vx1]
type = "vxlan"
members = ["s1"]
[network.p1]
type = "host-gw"
[network.wg1]
type = "wireguard"
lead = "s1"
members = ["s1", "s3"]
[network.t1]
type = "gre"
members = ["s1", "s2"]
[network.b1]
type = "bgp"
members = ["s1"]
[[network.b1.external]]
server = "s1"
address = "10.99.0.254"
as = 65001
`

func TestAskedTwice(t *testing.T) {
	for _, c := range askedTwice {
		t.Run(c.args, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, standingThere)
			call := func(args string) int { return b.call(append([]string{"--yes"}, strings.Fields(args)...)...) }
			if code := call(c.args); code != command.ExitDone {
				t.Fatalf("the first time: exit status %d\n%s", code, b.err.String())
			}
			before := wished(t, b)
			if code := b.call(strings.Fields(c.args)...); code != command.ExitDone || !strings.Contains(b.err.String(), c.said) {
				t.Errorf("the second time: exit status %d, want %q\n%s", code, c.said, b.err.String())
			}
			if after := wished(t, b); before != after {
				t.Errorf("the second time changed the file:\n%s\n%s", before, after)
			}
			if c.other == "" {
				return
			}
			contacts := b.engine.contacts
			if code := call(c.other); code != command.ExitUsage || b.engine.contacts > contacts {
				t.Fatalf("%s: exit status %d, %d contacts\n%s", c.other, code, b.engine.contacts-contacts, b.err.String())
			}
			_, next, _ := strings.Cut(b.err.String(), "next:  flock ")
			next, _, _ = strings.Cut(next, "\n")
			if code := call(next); next == "" || code != command.ExitDone {
				t.Errorf("what is advised, %q: exit status %d\n%s", next, code, b.err.String())
			}
			if code := call(c.other); code != command.ExitDone {
				t.Errorf("%s, after %q: exit status %d\n%s", c.other, next, code, b.err.String())
			}
		})
	}
}

// Every command that changes something may be run again, or is one of those that do
// something each time.
func TestEveryChangeIsAskedTwice(t *testing.T) {
	each := []string{"apply", "rollback", "purge", "rotatekeys", "resetbgp", "doctor", "import", "pull"}
	for _, cmd := range newRoot(&app{&command.App{Page: view.Page{Getenv: func(string) string { return "" }}}}).Commands() {
		named := func(c struct{ args, said, other string }) bool { return strings.HasPrefix(c.args, cmd.Name()+" ") }
		if isChanging(cmd) && !slices.Contains(each, cmd.Name()) && !slices.ContainsFunc(askedTwice, named) {
			t.Errorf("%s is not asked twice", cmd.Name())
		}
	}
}

func isChanging(cmd *cobra.Command) bool {
	for key := range command.Changing() {
		if cmd.Annotations[key] != "" {
			return true
		}
	}
	return false
}

// wished is the file without what counts its changes.
func wished(t *testing.T, b *bench) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(b.dir, "c.toml"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := state.Parse(data, "c.toml")
	if err != nil {
		t.Fatal(err)
	}
	c.Generation, c.Change, c.Saved = 0, "", state.Cluster{}.Saved
	text, err := c.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
