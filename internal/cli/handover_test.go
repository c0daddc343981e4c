package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/handover"
	"github.com/flocknet/flock/internal/view"
)

func TestWhoseCallItIs(t *testing.T) {
	const oursCall, theirs, mistake = "ours", "theirs", "mistake"
	t.Chdir(t.TempDir())
	for _, name := range []string{"lockfile", "statuss"} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for call, want := range map[string]string{
		"":                                   oursCall,
		"help":                               oursCall,
		"--help":                             oursCall,
		"listnetworks":                       oursCall,
		"--cluster x listnetworks":           oursCall,
		"-o json listnetworks":               oursCall,
		"-ojson listnetworks":                oursCall,
		"--json --dry-run addnetwork vx1 s1": oursCall,
		"-y removenetwork vx1":               oursCall,
		"--nonsense listnetworks":            oursCall, // cobra's error
		"__complete list":                    oursCall,
		"-n /tmp/lock cmd":                   theirs,
		"9":                                  theirs,
		"-u 9":                               theirs,
		"-x -w 5 file cmd":                   theirs,
		"--exclusive --wait 5 file cmd":      theirs,
		"--timeout 5 /tmp/lock cmd":          theirs,
		"--verbose /tmp/lock cmd":            theirs,
		"-o /tmp/lock cmd":                   theirs,
		"/tmp/lock -c cmd":                   theirs,
		"/tmp/lock":                          theirs,
		"-E 4 -n lock listnetworks":          theirs,
		"-nx lock cmd":                       theirs,
		"-w5 lock cmd":                       theirs,
		"-n -- lock cmd":                     theirs,
		"-- /tmp/lock cmd":                   theirs,
		"./lock cmd":                         theirs,
		"--shared --timeout 5 lock cmd":      theirs,
		"-c cmd /tmp/lock":                   theirs,
		"-n s1 createnetwork":                theirs,
		"-s 10.0.9.0/24 createnetwork n1":    theirs,
		"-n createnetwork n1 vxlan":          oursCall, // cobra's error: -n comes later
		"-- listnetworks":                    oursCall,
		"lockfile":                           mistake, // also where such a file is
		"lockfile cmd":                       mistake,
		"statuss":                            mistake,
		"newlock cmd":                        mistake,
		"newlock -c cmd":                     mistake,
		"-- newlock cmd":                     mistake,
		"destroy echo RAN":                   mistake,
		"stats cmd":                          mistake,
		"lstnetworks":                        mistake,
		"newlock":                            mistake,
		"addnetwrk vx1 s1":                   mistake,
	} {
		args := strings.Fields(call)
		root := newRoot(&app{&command.App{Page: view.Page{Getenv: func(string) string { return "" }}}})
		have := oursCall
		switch {
		case handover.Theirs(root, args):
			have = theirs
		case handover.Misspelled(root, args) != nil:
			have = mistake
		}
		if have != want {
			t.Errorf("flock %s: want %s, have %s", call, want, have)
		}
	}
}

// flock runs the test binary as flock, installed as dir/flock before
// util-linux's in PATH.
func flock(t *testing.T, dir string, args ...string) (out string, code int) {
	t.Helper()
	cmd := exec.Command(filepath.Join(dir, "flock"), args...)
	cmd.Env = append(os.Environ(), "FLOCK_TEST_CLI=1", "PATH="+dir+":"+os.Getenv("PATH"))
	text, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(text), cmd.ProcessState.ExitCode()
}

func TestScriptsOfUtilLinuxKeepWorking(t *testing.T) {
	me, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(me, filepath.Join(dir, "flock")); err != nil {
		t.Fatal(err)
	}
	lock := filepath.Join(dir, "lock")
	// The inner call finds the lock taken: both are util-linux's, the second one
	// with its own exit status for that.
	out, code := flock(t, dir, "-x", lock, "sh", "-c", "echo locked; flock -n -E 7 "+lock+" true")
	if out != "locked\n" || code != 7 {
		t.Errorf("want %q and exit status 7, have %q and %d", "locked\n", out, code)
	}
	if out, code := flock(t, dir, lock, "-c", "exit 5"); code != 5 {
		t.Errorf("want exit status 5, have %d: %s", code, out)
	}
	if out, code := flock(t, dir, "lstnetworks"); code != command.ExitUsage || !strings.Contains(out, "flock listnetworks") {
		t.Errorf("want a suggestion, have exit status %d: %s", code, out)
	}
}

func TestNobodyToHandOverTo(t *testing.T) {
	_, err := handover.Find([]string{"-n", "/tmp/lock", "cmd"}, func(name string) string {
		if name == "FLOCK_HANDED_OVER" {
			return strconv.Itoa(os.Getpid())
		}
		return ""
	})
	if err == nil || !strings.Contains(err.Error(), "not installed") {
		t.Errorf("want an error that says so, have %v", err)
	}
}
