//go:build linux

package claim

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/flocknet/flock/internal/agent/family"
	"github.com/flocknet/flock/internal/agent/host"
)

// TestPlanNamesInotify: where a change starts a process that needs an inotify instance, and the
// server has none left, the plan says so, and what to raise. A user namespace of the test's
// stands for a server whose containers have them all.
func TestPlanNamesInotify(t *testing.T) {
	const inside = "FLOCK_TEST_WITHOUT_INOTIFY"
	if os.Getenv(inside) == "" {
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestPlanNamesInotify$") //nolint:gosec // this program
		cmd.Env = append(os.Environ(), inside+"=1")
		root := []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER, UidMappings: root}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return
	}
	table := []*family.Family{{}, {Tried: family.Tried{
		Watcher: func(_ *host.Host, op family.Op) (string, error) { return op.Want.(string), nil },
	}}}
	problems := func(who string) string {
		t.Helper()
		list, err := claimInotify(nil, table, []family.Op{{}, {Family: 1, Want: who}, {Family: 1, Want: ""}})
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, p := range list {
			out = append(out, p.What+"|"+p.Next)
		}
		return strings.Join(out, "\n")
	}
	if have := problems("the device wg-x"); have != "" {
		t.Errorf("with instances: %s", have)
	}
	if err := os.WriteFile("/proc/sys/user/max_inotify_instances", []byte("0"), 0o644); err != nil { //nolint:gosec // as it is
		t.Fatal(err)
	}
	if have := problems(""); have != "" {
		t.Errorf("nobody needs one: %s", have)
	}
	have := problems("the device wg-x")
	if !strings.HasPrefix(have, "the device wg-x needs an inotify instance, and root has none left (fs.inotify.max_user_instances is ") ||
		!strings.HasSuffix(have, "|sysctl -w fs.inotify.max_user_instances=1024") {
		t.Errorf("without: %s", have)
	}
}
