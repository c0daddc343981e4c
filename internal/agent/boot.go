//go:build linux

package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/agent/unit"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/templates"
)

const (
	// bootWithin is how long Boot waits for the lock, and after that for the underlay, and
	// for conflicts to go away by themselves: other daemons are starting too.
	bootWithin = time.Minute
	bootPause  = 250 * time.Millisecond
	// bootLimit is all that systemd grants, however many clusters there are; bootSpare of
	// it is for the end.
	bootLimit = 4 * bootWithin
	bootSpare = 10 * time.Second
)

// Boot puts the last confirmed specs of all clusters back, each as soon as the underlay
// addresses of its tunnels are there, and without them after a minute. An error says
// what could not be put back; the rest was.
func Boot(ctx context.Context, progress io.Writer) error {
	defer unix.Umask(unix.Umask(fileMask))
	say := func(line string) { fmt.Fprintln(progress, line) }
	ctx, cancel := context.WithTimeout(ctx, bootLimit-bootSpare)
	defer cancel()
	paths := host.ServerPaths()
	l, err := host.TakeLock(ctx, paths.LockPath(), "flock agent boot", "", bootWithin,
		func(holder string) { say("waiting for " + holder) })
	if err != nil {
		return err
	}
	clusters, err := paths.Clusters()
	errs := []error{err, bootAll(ctx, clusters, say), tidyBoot(paths)}
	return errors.Join(append(errs, l.Release(!sysfile.Exists(paths.Lib)))...)
}

// tidyBoot removes the boot unit that runs at this moment when it has nothing to
// do any more: to stop it would be to stop ourselves.
func tidyBoot(p host.Paths) error {
	if sysfile.Exists(p.Lib) {
		return nil
	}
	s := host.FilesAt("", p)
	return errors.Join(sysfile.Remove(bootWish(s), s.Units.Path(unit.Boot)), removeRules(s))
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
		left = slices.DeleteFunc(left, func(b *booting) bool { return b.attempt(ctx, goOn, len(left), say) })
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

// missingUnderlay names what is no object of ours, is not there yet, and carries what want
// asks for; "" if all of it is there. What comes last is asked first.
func missingUnderlay(want *spec.Host) string {
	there := map[netip.Addr]bool{}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return err.Error()
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			there[p.Addr()] = true
		}
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

// ensureBoot makes the boot unit run this very program. It is the same for all
// clusters. Nothing is done without systemd.
func ensureBoot(ctx context.Context, s *host.Files) error {
	if !s.Units.HasSystemd() {
		return nil
	}
	self, err := unit.OwnProgram()
	if err != nil {
		return err
	}
	text, err := bootText(self)
	if err != nil {
		return err
	}
	if _, err := s.Units.Load(ctx, unit.Boot, text); err != nil {
		return fmt.Errorf("write boot unit: %w", err)
	}
	if err := enableBoot(s); err != nil {
		return fmt.Errorf("enable boot unit: %w", err)
	}
	return ensureRules(ctx, s, self)
}

func bootText(program string) (string, error) {
	return templates.BootUnit{Program: program, Timeout: int(bootLimit.Seconds())}.Text()
}

func bootWish(s *host.Files) string {
	return filepath.Join(s.Paths.Units, "multi-user.target.wants", unit.Boot)
}

func bootEnabled(s *host.Files) bool {
	target, err := os.Readlink(bootWish(s))
	return err == nil && target == s.Units.Path(unit.Boot)
}

// enableBoot is what `systemctl enable` does, without its reload.
func enableBoot(s *host.Files) error {
	if bootEnabled(s) {
		return nil
	}
	if err := sysfile.Remove(bootWish(s)); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(bootWish(s)), 0o755); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	if err := os.Symlink(s.Units.Path(unit.Boot), bootWish(s)); err != nil {
		return fmt.Errorf("link unit: %w", err)
	}
	return sysfile.SyncDir(filepath.Dir(bootWish(s)))
}

// withBoot adds to steps what applying want does beside the network so that it
// comes back after a power cut: unit, the boot unit's step, and what was last
// confirmed if nothing but that differs.
func withBoot(steps, unit []spec.Step, last, want *spec.Host) []spec.Step {
	steps = append(steps, unit...)
	if len(steps) == 0 && last.Sum() != want.Sum() {
		steps = append(steps, spec.Step{Action: spec.Change, Object: "boot", Detail: "something else comes back after a reboot"})
	}
	return steps
}

// unitSteps is what applying want would do to units beside the network: to the boot
// unit, and to those of daemons whose program is gone.
func unitSteps(s *host.Files, want *spec.Host) ([]spec.Step, error) {
	steps, err := bootStep(s, want)
	if err != nil {
		return nil, err
	}
	rules, err := rulesStep(s, want)
	if err != nil {
		return nil, err
	}
	steps = append(steps, rules...)
	notes, err := noteSteps(s, want)
	if err != nil {
		return nil, err
	}
	steps = append(steps, notes...)
	lost, err := s.Units.Lost(daemonsOf(s, want))
	for _, unit := range slices.Sorted(maps.Keys(lost)) {
		steps = append(steps, spec.Step{Action: spec.Change, Object: "unit " + unit, Detail: "its program is gone"})
	}
	return steps, err
}

// bootStep is what applying want would do to the boot unit.
func bootStep(s *host.Files, want *spec.Host) ([]spec.Step, error) {
	return ownUnitStep(s, want, unit.Boot, bootText, bootEnabled)
}

// ownUnitStep is what applying want would do to a unit that all clusters share. One that
// runs another version of this program stays while that version is there.
func ownUnitStep(s *host.Files, want *spec.Host, name string, textFor func(program string) (string, error), enabled func(*host.Files) bool) ([]spec.Step, error) {
	if want.Empty() || !s.Units.HasSystemd() {
		return nil, nil
	}
	have, err := sysfile.ReadIfThere(s.Units.Path(name))
	if err != nil {
		return nil, err
	}
	object := "unit " + name
	if have == "" {
		return []spec.Step{{Action: spec.Add, Object: object}}, nil
	}
	runs := unit.ProgramOf(have)
	text, err := textFor(runs)
	if err != nil {
		return nil, err
	}
	detail := ""
	switch {
	case runs == "" || text != have:
		detail = "somebody changed it"
	case !sysfile.Exists(runs):
		detail = "its program is gone"
	case !enabled(s):
		detail = "disabled -> enabled"
	default:
		return nil, nil
	}
	return []spec.Step{{Action: spec.Change, Object: object, Detail: detail}}, nil
}

// dropBoot removes the boot unit unless some cluster is left.
func dropBoot(ctx context.Context, s *host.Files) error {
	clusters, err := s.Paths.Clusters()
	if err != nil || len(clusters) > 0 {
		return err
	}
	if err := dropRules(ctx, s); err != nil {
		return err
	}
	if !sysfile.Exists(s.Units.Path(unit.Boot)) && !sysfile.Exists(bootWish(s)) {
		return nil
	}
	// systemd knows it if it read its files since, or the server was started: then
	// multi-user.target refers to it, until the files are read again.
	if !s.Units.HasSystemd() || !knownUnit(ctx, unit.Boot) {
		return sysfile.Remove(bootWish(s), s.Units.Path(unit.Boot))
	}
	if err := errors.Join(sysfile.Remove(bootWish(s)), s.Units.DropFile(ctx, unit.Boot)); err != nil {
		return err
	}
	return unit.Run(ctx, "systemctl", "daemon-reload")
}

// knownUnit says whether systemd has a unit in its memory. To ask for its state
// would bring it there.
func knownUnit(ctx context.Context, unit string) bool {
	out, err := exec.CommandContext(ctx, "systemctl", "list-units", "--all", "--no-legend", "--plain", unit).Output()
	return err != nil || len(bytes.TrimSpace(out)) > 0
}
