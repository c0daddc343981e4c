//go:build linux

package host

import (
	"os"
	"os/exec"
	"testing"
)

func TestConnectionFrom(t *testing.T) {
	for environ, want := range map[string]string{
		"A=b\x00SSH_CONNECTION=192.0.2.7 50000 10.99.0.1 22\x00C=d\x00": "192.0.2.7",
		"SSH_CONNECTION=::ffff:192.0.2.7 50000 ::1 22\x00":              "192.0.2.7",
		"SSH_CONNECTION=fe80::1%eth0 50000 fe80::2 22":                  "fe80::1",
		"SSH_CONNECTION=\x00":   "invalid IP",
		"XSSH_CONNECTION=1\x00": "invalid IP",
		"":                      "invalid IP",
	} {
		if have := connectionFrom([]byte(environ)).String(); have != want {
			t.Errorf("%q: want %s, have %s", environ, want, have)
		}
	}
}

// TestWorkstationIsFoundThroughParents runs this test again below a shell that
// has the connection in its environment and hides it from its child, as sudo does.
func TestWorkstationIsFoundThroughParents(t *testing.T) {
	if os.Getenv("FLOCK_TEST_PARENTS") != "" {
		if have := Workstation().String(); have != "192.0.2.7" {
			t.Fatalf("want 192.0.2.7, have %s", have)
		}
		return
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", `env -u SSH_CONNECTION FLOCK_TEST_PARENTS=1 "$0" -test.run '^TestWorkstationIsFoundThroughParents$'; exit $?`, os.Args[0])
	cmd.Env = append(os.Environ(), "SSH_CONNECTION=192.0.2.7 50000 10.99.0.1 22")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
