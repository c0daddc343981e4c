package lab

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
)

// TB is the part of testing.TB that Need uses, so that the program does not link
// the testing package.
type TB interface {
	Helper()
	Name() string
	Skipf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Need is the one way for a test to say that it cannot run here: not as root, or
// without the named programs. It skips the test aloud, with a line on stderr
// that can be counted; where FLOCK_MUST is set, as in CI, it fails it instead.
func Need(t TB, programs ...string) {
	t.Helper()
	lacks := ""
	if runtime.GOOS != "linux" {
		lacks = "Linux"
	} else if os.Geteuid() != 0 {
		lacks = "root"
	}
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil && lacks == "" {
			lacks = p
		}
	}
	switch {
	case lacks == "":
	case os.Getenv("FLOCK_MUST") != "":
		t.Fatalf("cannot run without %s, and FLOCK_MUST is set", lacks)
	default:
		fmt.Fprint(os.Stderr, "NOT RUN "+t.Name()+": needs "+lacks+"\n")
		t.Skipf("needs %s", lacks)
	}
}
