package command

import (
	"testing"

	"github.com/flocknet/flock/internal/state"
	"github.com/spf13/cobra"
)

// Advice names setnetwork where the network is there, the flags of the command where it has
// them, and the keys of a file that is applied.
func TestAdviceFitsTheCommand(t *testing.T) {
	c := &state.Cluster{Networks: map[string]*state.Network{"vx1": {}}}
	called := func(file string, flags ...string) *cobra.Command {
		cmd := &cobra.Command{}
		for _, f := range flags {
			cmd.Flags().String(f, "", "")
		}
		if file != "" {
			cmd.Flags().StringP("file", "f", "", "")
			if err := cmd.Flags().Set("file", file); err != nil {
				t.Fatal(err)
			}
		}
		return cmd
	}
	tunnel, plain, file := called("", "name", "key"), called(""), called("c.toml")
	for _, test := range []struct {
		ran        *cobra.Command
		next, want string
	}{
		{plain, "flock setnetwork vx1 -p PORT, or stop named", "flock setnetwork vx1 -p PORT, or stop named"},
		{file, "flock setnetwork vx1 -p PORT, or stop named", "flock setnetwork vx1 -p PORT, or stop named"},
		{file, "flock setnetwork n1 -p PORT, or stop named", "in c.toml, give n1 port PORT, or stop named"},
		{file, "flock setnetwork n1 -s 10.245.0.0/16 -s fd00::/48", "in c.toml, give n1 subnet 10.245.0.0/16 and subnet fd00::/48"},
		{called("-"), "flock setnetwork n1 --mtu 1450", "in the file, give n1 mtu 1450"},
		{tunnel, "flock setnetwork gre-a --rename NAME, or remove it: ip link delete gre-a", "the same with --name NAME, or remove it: ip link delete gre-a"},
		{tunnel, "flock setnetwork gre-a --key N", "the same with --key N"},
		{plain, "flock setnetwork n1 --key N", "flock setnetwork n1 --key N"},
		{file, "a type that crosses routers: flock changetype vx1 vxlan-l3", "a type that crosses routers: flock changetype vx1 vxlan-l3"},
		{file, "a type that crosses routers: flock changetype n1 vxlan-l3", "a type that crosses routers: in c.toml, give n1 type vxlan-l3"},
		{plain, "flock changetype n1 vxlan-l3, which carries both", "the same with vxlan-l3, which carries both"},
		{file, "-v 43", "vni 43"},
		{file, "leave -n away, or use --dhcp single", "leave dhcp-server away, or use dhcp single"},
		{file, "-f FILE with a cluster file", "-f FILE with a cluster file"},
		{tunnel, "-v 43", "-v 43"},
		{file, "flock apply -f FILE", "flock apply -f FILE"},
	} {
		a := &App{ran: test.ran}
		if have := a.asCalled(test.next, c); have != test.want {
			t.Errorf("%s: want %q, have %q", test.next, test.want, have)
		}
	}
}
