//go:build linux

package host

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/sysctl"
	"github.com/flocknet/flock/internal/hint"
)

// inotifyLimit is how many inotify instances one user may have, on all of the machine. Root
// has 128 by default, and hosts of many containers run out of them.
const inotifyLimit = "fs/inotify/max_user_instances"

// NoInotify says in words that no instance is free, if that is what err is; others pass.
func NoInotify(who string, err error) error {
	if !errors.Is(err, unix.EMFILE) {
		return err
	}
	limit, rerr := sysctl.Read(inotifyLimit)
	if rerr != nil {
		limit = "unknown"
	}
	return hint.With(fmt.Errorf("%s needs an inotify instance, and root has none left (fs.inotify.max_user_instances is %s): %w", who, limit, err),
		"", "sysctl -w fs.inotify.max_user_instances=1024")
}
