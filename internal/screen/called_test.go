package screen

import (
	"strings"
	"testing"
)

// TestCalled: commands have the name that the program was called by; what only looks like one
// stays.
func TestCalled(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"next:  flock apply":  "next:  flocknet apply",
		"flock: s1 is away\n": "flocknet: s1 is away\n",
		"flock apply; then flock verify vx1, (flock status)": "flocknet apply; then flocknet verify vx1, (flocknet status)",
		"flock --cluster x addnetwork vx1 s1":                "flocknet --cluster x addnetwork vx1 s1",
		"flock --cluster=x -y apply":                         "flocknet --cluster=x -y apply",
		"  flock apply --yes":                                "  flocknet apply --yes",
		`"next": "flock status"`:                             `"next": "flocknet status"`,
		"to lock a file: flock ./apply COMMAND":              "to lock a file: flock ./apply COMMAND",
		"/usr/local/bin/flock apply":                         "/usr/local/bin/flock apply",
		"my-flock apply":                                     "my-flock apply",
		"flock applying":                                     "flock applying",
		"flock(1), the file lock":                            "flock(1), the file lock",
	} {
		var out strings.Builder
		n, err := Called(&out, Packaged, []string{"addnetwork", "apply", "status", "verify"}).Write([]byte(in))
		if err != nil || n != len(in) || out.String() != want {
			t.Errorf("%q: want %q, have %q (%d, %v)", in, want, out.String(), n, err)
		}
	}
}
