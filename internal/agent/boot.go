//go:build linux

package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/startup"
	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/spec"
)

const (
	// bootWithin is how long Boot waits for the lock, and after that for the underlay, and
	// for conflicts to go away by themselves: other daemons are starting too.
	bootWithin = time.Minute
	bootPause  = 250 * time.Millisecond
	// startSpare of all that systemd grants is for the end.
	startSpare = 10 * time.Second
)

// Boot puts the last confirmed specs of all clusters back, each as soon as the underlay
// addresses of its tunnels are there, and without them after a minute. An error says
// what could not be put back; the rest was.
func Boot(ctx context.Context, progress io.Writer) error {
	return starting(ctx, "boot", startup.BootLimit-startSpare, progress, func(ctx context.Context, paths host.Paths, say func(string)) error {
		clusters, err := paths.Clusters()
		err = errors.Join(err, bootAll(ctx, clusters, say))
		switch {
		case !sysfile.Exists(paths.Lib):
			err = errors.Join(err, startup.Tidy(host.FilesAt("", paths)))
		case len(clusters) > 0: // what the disk lost of the other units
			err = errors.Join(err, startup.Ensure(ctx, host.NewFiles(clusters[0])))
		}
		return err
	})
}

// starting does what the units that start this program do, under the server's lock and in
// the time that they have.
func starting(ctx context.Context, what string, limit time.Duration, progress io.Writer, do func(context.Context, host.Paths, func(string)) error) error {
	defer unix.Umask(unix.Umask(fileMask))
	say := func(line string) { fmt.Fprintln(progress, line) }
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	paths := host.ServerPaths()
	l, err := host.TakeLock(ctx, paths.LockPath(), "flock agent "+what, "", min(bootWithin, limit/2),
		func(holder string) { say("waiting for " + holder) })
	if err != nil {
		return err
	}
	err = do(ctx, paths, say)
	return errors.Join(err, l.Release(!sysfile.Exists(paths.Lib)))
}

// booting is a cluster that is not back yet.
type booting struct {
	cluster string
	said    bool      // that its underlay did not come
	err     error     // of the last attempt
	again   time.Time // when the next one may be
}

// bootAll brings clusters back in rounds, so that none waits for another's underlay or
// conflict. The first bootWithin is for underlays to come, the next for conflicts to go;
// who is not back then has failed.
func bootAll(ctx context.Context, clusters []string, say func(string)) error {
	var left []*booting
	for _, cluster := range clusters {
		left = append(left, &booting{cluster: cluster})
	}
	underlay, patience := time.NewTimer(bootWithin), time.NewTimer(2*bootWithin)
	defer underlay.Stop()
	defer patience.Stop()
	tick := time.NewTicker(bootPause)
	defer tick.Stop()
	for last, goOn := false, false; ; {
		left = spec.Without(left, func(b *booting) bool { return b.attempt(ctx, goOn, len(left), say) })
		if last || !slices.ContainsFunc(left, func(b *booting) bool { return !errors.Is(b.err, host.ErrForgot) }) {
			break
		}
		select {
		case <-tick.C:
		case <-underlay.C:
			goOn = true
		case <-patience.C:
			last = true
		case <-ctx.Done():
			last = true
		}
	}
	var errs []error
	for _, b := range left {
		errs = append(errs, fmt.Errorf("boot cluster %s: %w", b.cluster, b.err))
	}
	return errors.Join(errs...)
}

// attempt says whether the cluster is back. One whose underlay is missing is not tried
// unless goOn; one attempt takes no more than its part of the time, of parts.
func (b *booting) attempt(ctx context.Context, goOn bool, parts int, say func(string)) bool {
	if time.Now().Before(b.again) {
		return false
	}
	s := host.NewFiles(b.cluster)
	want := s.Last()
	if want == nil { // the first change was cut short, and what it left goes; or somebody lost it
		want = &spec.Host{Cluster: b.cluster}
	}
	if missing := missingUnderlay(want); missing != "" {
		b.err = fmt.Errorf("%s is missing", missing)
		if !goOn {
			return false
		}
		if !b.said {
			say(b.cluster + ": going on without " + missing)
		}
		b.said = true
	}
	end, _ := ctx.Deadline()
	ctx, cancel := context.WithTimeout(ctx, max(time.Until(end)/time.Duration(parts), 0))
	defer cancel()
	b.err = boot(ctx, s, want, say)
	b.again = time.Now().Add(4 * bootPause)
	return b.err == nil
}

// boot makes the server what want says.
func boot(ctx context.Context, s *host.Files, want *spec.Host, say func(string)) error {
	if err := s.MakeDirs(); err != nil {
		return err
	}
	k, err := Open(s.Cluster)
	if err != nil {
		return err
	}
	lost := false
	if want.Empty() {
		if lost, err = k.HasForgotten(); lost {
			err = errors.Join(err, s.ErrorForgot())
		}
	}
	if err != nil {
		return errors.Join(err, k.Close())
	}
	report, err := reconcile(ctx, k, want, say)
	if err == nil && len(report.Pending) > 0 {
		err = fmt.Errorf("this differs again and again: %s", spec.FewSteps(report.Pending))
	}
	if err := errors.Join(err, k.Close()); err != nil {
		return err
	}
	if want.Empty() {
		return s.Forget()
	}
	return s.EndChange()
}

// addressesHere are the addresses of this server.
func addressesHere() (map[netip.Addr]bool, error) {
	there := map[netip.Addr]bool{}
	addrs, err := net.InterfaceAddrs()
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			there[p.Addr()] = true
		}
	}
	return there, err
}

// missingUnderlay names what is no object of ours, is not there yet, and carries what want
// asks for; "" if all of it is there. What comes last is asked first.
func missingUnderlay(want *spec.Host) string {
	there, err := addressesHere()
	if err != nil {
		return err.Error()
	}
	for _, f := range slices.Backward(families) {
		if f.Underlay == nil {
			continue
		}
		if missing := f.Underlay(want, there); missing != "" {
			return missing
		}
	}
	return ""
}

// withBoot adds to steps what applying a spec does beside the network so that it
// comes back after a power cut: unit, the boot unit's step, and what was last
// confirmed if nothing but that differs, which kept denies.
//
//go:noinline
func withBoot(steps, unit []spec.Step, kept func() bool) []spec.Step {
	steps = append(steps, unit...)
	if len(steps) == 0 && !kept() {
		steps = append(steps, spec.Step{Action: spec.Change, Object: "boot", Detail: "something else comes back after a reboot"})
	}
	return steps
}

// unitSteps is what applying want would do to units beside the network: to those that start
// this program, and to those of daemons whose program cannot be started any more.
func unitSteps(s *host.Files, want *spec.Host) ([]spec.Step, error) {
	steps, err := startup.Steps(s, want)
	if err != nil {
		return nil, err
	}
	notes, err := noteSteps(s, want)
	if err != nil {
		return nil, err
	}
	steps = append(steps, notes...)
	lost, err := s.Units.Lost(daemonsOf(s, want))
	for _, unit := range slices.Sorted(maps.Keys(lost)) {
		steps = append(steps, spec.Step{Action: spec.Change, Object: "unit " + unit, Detail: lost[unit]})
	}
	return steps, err
}
