package vm

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/lab"
)

// A command runs under the other kernel, with its words, its files, its output and
// its exit status, and with kinds of links that this one may lack.
func TestRun(t *testing.T) {
	lab.Need(t, Programs...)
	kernel, err := Kernel()
	if err != nil {
		lab.Lack(t, "Debian's kernel: make kernel fetches it")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	dir, cd := t.TempDir(), t.TempDir() // a checkout may lie below /tmp
	if err := os.WriteFile(filepath.Join(cd, "here"), []byte("here\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	status, err := Run(ctx, Options{Kernel: kernel, Dir: dir, Cd: cd, Out: &out, Env: []string{"WORD=it's", "DIR=" + dir}, Args: []string{"sh", "-ec", `
		echo "$(uname -r), $WORD $1, in $PWD"; cat here
		for kind in wireguard gre ipip vxlan; do
			ip link add try type $kind $2 && ip link del try && echo made $kind
			set -- "$1" "remote 127.0.0.2 local 127.0.0.1" && [ $kind != ipip ] || set -- "$1" "id 1 dstport 4789"
		done
		cd "$DIR"; echo text >file; touch /etc/try
		exit 7`, "sh", "a  b"}})
	if err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	want := filepath.Base(kernel) + ", it's a  b, in " + cd + "\nhere\nmade wireguard\nmade gre\nmade ipip\nmade vxlan\n"
	if status != 7 || out.String() != want {
		t.Errorf("want status 7 and\n%shave %d and\n%s", want, status, out.String())
	}
	if text, err := os.ReadFile(filepath.Join(dir, "file")); err != nil || string(text) != "text\n" {
		t.Errorf("file: %q, %v", text, err)
	}
	if _, err := os.Stat("/etc/try"); err == nil {
		t.Error("the VM wrote to this machine's root")
	}
}

// A VM that takes too long is ended, and says what it was at.
func TestRunEnds(t *testing.T) {
	lab.Need(t, Programs...)
	kernel, err := Kernel()
	if err != nil {
		lab.Lack(t, "Debian's kernel: make kernel fetches it")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err = Run(ctx, Options{Kernel: kernel, Dir: t.TempDir(), Args: []string{"true"}})
	if err == nil || !strings.Contains(err.Error(), "not done in time") {
		t.Errorf("want an end, have %v", err)
	}
}

func TestKernelIsSaidToBeMissing(t *testing.T) {
	t.Setenv("FLOCK_VM", t.TempDir())
	if _, err := Kernel(); err == nil {
		t.Error("want an error, have none")
	}
}
