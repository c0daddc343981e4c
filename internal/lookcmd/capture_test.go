package lookcmd

import (
	"strings"
	"testing"
)

// What is advised when kernels had no room is the same command, and can be pasted.
func TestCaptureFewer(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ args, want string }{
		{"n1", "flock capture n1 --snaplen=96"},
		{"n1|host s2 and (tcp)|-o|my file|--for|1m|--size|3K|--snaplen|1500|--ssh", "flock capture n1 'host s2 and (tcp)' --for=1m0s '--output=my file' --size=3K --ssh=true --snaplen=96"},
		{"n1|--snaplen|96", ""},
	} {
		cmd := newCapture(&app{})
		if err := cmd.ParseFlags(strings.Split(test.args, "|")); err != nil {
			t.Fatal(err)
		}
		snap, _ := cmd.Flags().GetInt("snaplen")
		if have := fewer(cmd, cmd.Flags().Args(), snap); have != test.want {
			t.Errorf("want %s\nhave %s", test.want, have)
		}
	}
}
