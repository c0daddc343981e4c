package command

import (
	"strings"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/edit"
	"github.com/flocknet/flock/internal/screen"
	"github.com/flocknet/flock/internal/state"
	"github.com/flocknet/flock/internal/view"
)

// TestNotesOfWhatIsStacked: a change of a network concerns those that stand on it.
func TestNotesOfWhatIsStacked(t *testing.T) {
	server := func(n string) string {
		return "[server.s" + n + "]\naddress = \"10.99.0." + n + "\"\n[server.s" + n + ".facts]\ndefault4 = \"eth0\"\n" +
			"interface = [{name = \"eth0\", mtu = 1500, addresses = [\"10.99.0." + n + "/24\"]}]\n"
	}
	c, err := state.Parse([]byte("schema = 1\n"+server("1")+server("2")+
		"[network.wg1]\ntype = \"wireguard\"\nsubnet = [\"10.0.8.0/24\"]\nlead = \"s1\"\nmembers = [\"s1\", \"s2\"]\n"+
		"[network.g1]\ntype = \"gre\"\nmembers = [\"s1:10.0.8.1\", \"s2:10.0.8.2\"]\n"+
		"[network.vx1]\ntype = \"vxlan\"\nmembers = [\"s1:g1\", \"s2:g1\"]\n"+
		"[network.vx2]\ntype = \"vxlan\"\nsubnet = [\"10.0.20.0/24\"]\nmembers = [\"s1\", \"s2\"]\n"), "c.toml")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := edit.Do(c, func(*state.Cluster) error { return nil }); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"wg1": true, "g1": true, "vx1": true, "vx2": false, "gone": false} {
		if have := standsOn(c, name, []string{"wg1"}); have != want {
			t.Errorf("%s stands on wg1: want %v, have %v", name, want, have)
		}
	}
}

// TestTook: a person hears how long a change took if it was over a second, a script does not.
func TestTook(t *testing.T) {
	for _, test := range []struct {
		tty, quiet bool
		d          time.Duration
		want       string
	}{
		{true, false, 2340 * time.Millisecond, "took 2.3 s\n"},
		{true, false, 900 * time.Millisecond, ""},
		{false, false, time.Minute, ""},
		{true, true, time.Minute, ""},
	} {
		var b strings.Builder
		a := &App{Page: view.Page{Streams: screen.Streams{Err: &b, ErrTTY: test.tty}, Quiet: test.quiet}}
		if a.took(test.d); b.String() != test.want {
			t.Errorf("%+v: %q", test, b.String())
		}
	}
}
