//go:build linux

package host

import (
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestOnlyOurThreadsAreCalmed: another process, which may have the number that the monitoring
// thread has most often, is left as it is.
func TestOnlyOurThreadsAreCalmed(t *testing.T) {
	other := exec.Command("cat")
	if _, err := other.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = other.Process.Kill()
		_ = other.Wait()
	}()
	if calm(other.Process.Pid) {
		t.Error("another process is taken for a thread of ours")
	}
	runtime.LockOSThread() // and it ends with this test
	if !calm(unix.Gettid()) {
		t.Fatal("a thread of ours is taken for another process")
	}
	text, err := os.ReadFile("/proc/" + strconv.Itoa(unix.Gettid()) + "/timerslack_ns")
	if err != nil || strings.TrimSpace(string(text)) != slack {
		t.Errorf("want %s, have %s, %v", slack, text, err)
	}
}
