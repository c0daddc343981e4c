package remote

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/remote/hostkeys"
)

// TestNamesReachNoShell: a name that OpenSSH would not put into a command is put into none
// here: not into a ProxyCommand, nor into the one of a Match exec, which asking ssh runs.
func TestNamesReachNoShell(t *testing.T) {
	dir := t.TempDir()
	ran := filepath.Join(dir, "ran")
	for name, config := range map[string]string{
		"a proxy command": "Host *\n ProxyCommand echo %h %r %n >/dev/null\n",
		"a match exec":    "Match exec \"echo %h %r %n >/dev/null\"\n Port 2222\n",
	} {
		path := filepath.Join(dir, "config")
		if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		d := &Dialer{SSHConfig: path}
		for _, target := range []Target{
			{Name: "s1", Host: "$(touch " + ran + ")"},
			{Name: "s1", Host: "`touch " + ran + "`"},
			{Name: "s1", Host: "h;touch " + ran},
			{Name: "s1", Host: "h", User: "`touch " + ran + "`"},
			{Name: "s1", Host: "h", User: "$(touch " + ran + ")"},
			{Name: "s1", Host: "-oProxyCommand=touch " + ran},
			{Name: "s1", Host: "h", Jump: "$(touch " + ran + ")"},
			{Name: "s1", Host: "h", Jump: "u;touch\t" + ran + "@b"},
		} {
			if _, err := d.Dial(t.Context(), target); !errors.Is(err, ErrConfig) {
				t.Errorf("%s: %+v: %v", name, target, err)
			}
			if _, err := os.Stat(ran); err == nil {
				t.Fatalf("%s: %+v ran a command", name, target)
			}
		}
	}
}

// TestKeyFilesThatNeverEnd: a cluster file, or ssh's config, may name anything for a key
// and for known hosts.
func TestKeyFilesThatNeverEnd(t *testing.T) {
	d := &Dialer{}
	if k := d.keyFile("/dev/zero"); k.Err() == nil || !strings.Contains(k.Err().Error(), "not a plain file") {
		t.Errorf("a device for a key: %v", k.Err())
	}
	if _, err := hostkeys.Read([]string{"/dev/zero"}); !errors.Is(err, ErrConfig) {
		t.Errorf("a device for known hosts: %v", err)
	}
	if _, err := hostkeys.Read([]string{os.DevNull}); err != nil {
		t.Errorf("no known hosts: %v", err)
	}
	if err := hostkeys.Append(os.DevNull, "x"); err != nil {
		t.Errorf("nowhere to remember: %v", err)
	}
}
