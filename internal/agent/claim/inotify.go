//go:build linux

package claim

import (
	"cmp"
	"errors"

	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/family"
	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/spec"
)

// claimInotify says that a process which ops start would lack an inotify instance.
func claimInotify(k *host.Host, table []*family.Family, ops []family.Op) ([]spec.Problem, error) {
	who := ""
	for _, op := range ops {
		watcher := table[op.Family].Watcher
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
	if err = host.NoInotify(who, err); !errors.Is(err, unix.EMFILE) {
		return nil, nil //nolint:nilerr // whoever starts says what is wrong
	}
	return []spec.Problem{*host.Problem(err)}, nil
}
