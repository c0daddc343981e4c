//go:build linux

package attach

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/flocknet/flock/internal/agent/family"
	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/agent/unit"
	"github.com/flocknet/flock/internal/spec"
)

// A container that comes after its server was changed, or comes again, is attached by a
// process that the kernel wakes when one appears. It polls nothing.

// Daemon is that process.
func Daemon(s *host.Files) unit.Daemon {
	return unit.Daemon{
		Name: "attach", Mark: s.Cluster, Description: "Interfaces of containers of flock cluster " + s.Cluster,
		Args: []string{"agent", "attach", s.Cluster}, Enters: true,
	}
}

// asksForDaemon says whether h has interfaces of containers, or networks of Docker's, of whose
// containers DNS is told.
func asksForDaemon(h *spec.Host) bool { return h != nil && len(h.Attached)+len(h.Dockers) > 0 }

// runDaemon runs the process where want asks for it, and only there.
func runDaemon(ctx context.Context, s *host.Files, want *spec.Host) error {
	d := Daemon(s)
	switch there := sysfile.Exists(s.Units.PIDFile(d)) || s.Units.Installed(d.Name); {
	case !asksForDaemon(want) && there:
		return s.Units.Stop(ctx, d)
	case !asksForDaemon(want), s.Units.PID(d) != 0 && runsThis(s, d):
		return nil
	}
	return s.Units.Start(ctx, d)
}

// runsThis says whether d's process runs this program, and not one of before.
func runsThis(s *host.Files, d unit.Daemon) bool {
	its, err := os.Readlink("/proc/" + strconv.Itoa(s.Units.PID(d)) + "/exe")
	self, err2 := unit.OwnProgram()
	return err == nil && err2 == nil && its == self
}

// attachAgain is how long the process waits before it looks again for a container that is
// half there, at first; attachTries is how often it does, each time after twice as long.
const (
	attachAgain = 10 * time.Millisecond
	attachTries = 9
)

// Run attaches the containers of cluster that come, until it is told to end.
func Run(ctx context.Context, cluster string, log io.Writer) error {
	return Serve(ctx, host.NewFiles(cluster), log)
}

// Serve is Run with the files of a cluster, wherever they are.
func Serve(ctx context.Context, s *host.Files, log io.Writer) error {
	news, err := listen(s)
	if err != nil {
		return err
	}
	defer news.close()
	done, err := s.Units.Ready(Daemon(s))
	if err != nil {
		return err
	}
	again := time.NewTimer(0)
	defer again.Stop()
	for tries := 0; ; {
		select {
		case <-news.came:
			tries = 0
		case <-news.changed: // whoever changed it has attached what was there
			if fresh, err := news.follow(s.Last()); !fresh && err == nil {
				continue
			}
			tries = 0
		case <-again.C:
			tries++
		case <-ctx.Done():
			return done()
		}
		_, err := news.follow(s.Last())
		all, err2 := attachComers(ctx, s)
		if err := errors.Join(err, err2); err != nil && ctx.Err() == nil && (all || tries == attachTries) { // a container may go while it is looked at
			fmt.Fprintln(log, err)
		}
		if !all && tries < attachTries {
			again.Reset(attachAgain << tries)
		}
	}
}

// attachComers attaches what the last confirmed spec has for containers that are there and
// lack it. A change that is under way comes first. It says whether nothing is left to do:
// no container is about to come.
func attachComers(ctx context.Context, s *host.Files) (bool, error) {
	lock, err := host.TakeLock(ctx, s.Paths.LockPath(), "flock agent attach", "", host.LockWithin, func(string) {})
	if err != nil {
		return false, err
	}
	all, err := attachAll(ctx, s)
	return all, errors.Join(err, lock.Release(!sysfile.Exists(s.Paths.Lib)))
}

func attachAll(ctx context.Context, s *host.Files) (all bool, err error) {
	last := s.Last()
	if !asksForDaemon(last) {
		return true, nil
	}
	k, err := host.Open(s.Cluster, "")
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, k.Close()) }()
	if err := k.Look(); err != nil {
		return false, err
	}
	want, have := &spec.Host{Attached: last.Attached}, &spec.Host{}
	if err := observeAttached(k, want, have); err != nil {
		return false, err
	}
	d := &family.Difference{Want: want, Have: have}
	diffAttached(d)
	for _, op := range d.Found[family.Coming] {
		err = errors.Join(err, applyAttached(ctx, k, op))
	}
	err = errors.Join(err, asked(k))
	all = err == nil
	for _, w := range last.Attached {
		if s, name, err := sortOf(w.Container); err == nil && s.comes(name) {
			all = false
		}
	}
	told, err2 := tellNames(k, last)
	return all && told, errors.Join(err, err2)
}
