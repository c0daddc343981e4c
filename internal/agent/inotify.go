//go:build linux

package agent

import (
	"cmp"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/sysctl"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/spec"
)

// inotifyLimit is how many inotify instances one user may have, on all of the machine. Root
// has 128 by default, and hosts of many containers run out of them.
const inotifyLimit = "fs/inotify/max_user_instances"

// noInotify says in words that no instance is free, if that is what err is; others pass.
func noInotify(who string, err error) error {
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

// claimInotify says that a process which ops start would lack an inotify instance.
func claimInotify(k *host.Host, ops []Op) ([]spec.Problem, error) {
	who := ""
	for _, op := range ops {
		watcher := families[op.family].watcher
		if watcher == nil {
			continue
		}
		name, err := watcher(k, op)
		if err != nil {
			return nil, err
		}
		who = cmp.Or(name, who)
	}
	if who == "" {
		return nil, nil
	}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	if err == nil {
		return nil, unix.Close(fd)
	}
	if err = noInotify(who, err); !errors.Is(err, unix.EMFILE) {
		return nil, nil //nolint:nilerr // whoever starts says what is wrong
	}
	return []spec.Problem{*problem(err)}, nil
}
