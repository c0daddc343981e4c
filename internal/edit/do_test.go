package edit

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/option"
	"github.com/flocknet/flock/internal/state"
)

// TestEditRefusesWhatNothingCouldRead: what the next command would refuse is refused
// when it is made, and the advice names network and key.
func TestEditRefusesWhatNothingCouldRead(t *testing.T) {
	for name, test := range map[string]struct {
		before, edit func(*state.Cluster) error
		what, where  string
		next         string
	}{
		"DHCP server goes": {
			func(c *state.Cluster) error {
				return done(c, Create(c, "n1", network.VXLAN, option.Options{"dhcp-server": "s3"}))
			},
			func(c *state.Cluster) error { return DelServer(c, "s3", false) },
			"DHCP server that was asked for (-n) of n1", "network n1, dhcp-server", "flock delserver s3 --force",
		},
		"only NAT is left": {
			func(c *state.Cluster) error {
				c.Servers["s2"].NAT, c.Servers["s3"].NAT = true, true
				if err := done(c, Create(c, "vpx", network.L2, option.Options{})); err != nil {
					return err
				}
				return done(c, Join(c, "vpx", []string{"s1", "s2", "s3"}))
			},
			func(c *state.Cluster) error { return Leave(c, "vpx", []string{"s1"}) },
			"behind NAT", "network vpx, server s2", "flock addnetwork vpx SERVER, with one that the others can reach",
		},
		"a file without the DHCP server": {
			func(c *state.Cluster) error {
				return done(c, Create(c, "n1", network.VXLAN, option.Options{"dhcp-server": "s3"}))
			},
			replacing(func(c *state.Cluster) { delete(c.Servers, "s3") }),
			"unknown server s3", "network n1, dhcp-server", "flock addserver s3 [USER@]ADDRESS",
		},
		"a file with an unknown member": {
			func(c *state.Cluster) error { return done(c, Create(c, "n1", network.VXLAN, option.Options{})) },
			func(c *state.Cluster) error { c.Networks["n1"].Members = []string{"s9"}; return nil },
			"unknown server s9", "network n1, members", "flock addserver s9 [USER@]ADDRESS",
		},
		"a server that contradicts itself": {
			func(*state.Cluster) error { return nil },
			func(c *state.Cluster) error { c.Servers["s1"].Endpoint, c.Servers["s1"].NAT = "x", true; return nil },
			"--endpoint", "server s1", "leave one of them away",
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := cluster(t, 3)
			if _, err := Do(c, test.before); err != nil {
				t.Fatal(err)
			}
			_, err := Do(c, test.edit)
			where, next := hint.Of(err)
			if err == nil || !strings.Contains(err.Error(), test.what) || where != test.where || next != test.next {
				t.Errorf("want %q, where %q, next %q; have %v, where %q, next %q", test.what, test.where, test.next, err, where, next)
			}
		})
	}
}

// TestForceTakesTheDHCPServerAlong: member or not, no network names a server that is
// gone.
func TestForceTakesTheDHCPServerAlong(t *testing.T) {
	for _, members := range [][]string{nil, {"s1"}, {"s1", "s3"}} {
		c := cluster(t, 3)
		if _, err := Do(c, func(c *state.Cluster) error {
			if err := done(c, Create(c, "n1", network.VXLAN, option.Options{"dhcp-server": "s3"})); err != nil {
				return err
			}
			return done(c, Join(c, "n1", members))
		}); err != nil {
			t.Fatal(err)
		}
		if _, err := Do(c, func(c *state.Cluster) error { return DelServer(c, "s3", true) }); err != nil || c.Networks["n1"].DHCPServer != "" {
			t.Errorf("with members %v: DHCP server %q, %v", members, c.Networks["n1"].DHCPServer, err)
		}
	}
}

// TestOnlyDoCompletes: edits leave that to Do, so that it is done once. Replace is the
// exception: what it holds of the sessions before depends on what is filled in.
func TestOnlyDoCompletes(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	calls := map[string]int{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(file, "_test.go") {
			calls[file] = strings.Count(string(text), "network.Complete(") + strings.Count(string(text), "network.Compile(")
		}
	}
	may := map[string]int{"do.go": 2, "replace.go": 2, "salvage.go": calls["salvage.go"]} // salvage edits nothing
	for file, n := range calls {
		if n != may[file] {
			t.Errorf("%s completes or compiles %d times: want %d", file, n, may[file])
		}
	}
}
