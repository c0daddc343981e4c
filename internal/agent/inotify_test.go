//go:build linux

package agent

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/hint"
)

// TestTooManyOpenFilesNamesTheLimit: "too many open files" sends people to ulimit.
func TestTooManyOpenFilesNamesTheLimit(t *testing.T) {
	err := host.NoInotify("dnsmasq", fmt.Errorf("listen: %w", unix.EMFILE))
	if _, next := hint.Of(err); !strings.Contains(err.Error(), "fs.inotify.max_user_instances is ") || !strings.HasPrefix(next, "sysctl -w fs.inotify.max_user_instances=") {
		t.Errorf("have %v, next %q", err, next)
	}
	if err := host.NoInotify("dnsmasq", unix.EPERM); err != unix.EPERM { //nolint:errorlint // as it was
		t.Errorf("have %v", err)
	}
}
