//go:build linux

package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/agent/unit"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/templates"
)

// flushers are units of programs that replace the whole packet filter when they start or
// read their configuration again, ours with it. Each has an instance of the rules unit,
// which runs while the program does: systemd reloads only what is active.
var flushers = []string{"nftables.service", "netfilter-persistent.service", "firewalld.service", "ufw.service", "docker.service"}

func rulesText(program string) (string, error) {
	return templates.RulesUnit{Program: program, Timeout: int(bootLimit.Seconds())}.Text()
}

// rulesWish is the link that makes systemd start our instance with its program.
func rulesWish(s *host.Files, flusher string) string {
	return filepath.Join(s.Paths.Units, flusher+".wants", unit.RulesAfter(flusher))
}

func rulesEnabled(s *host.Files) bool {
	for _, f := range flushers {
		if target, err := os.Readlink(rulesWish(s, f)); err != nil || target != s.Units.Path(unit.Rules) {
			return false
		}
	}
	return true
}

// rulesStep is what applying want would do to the rules unit.
func rulesStep(s *host.Files, want *spec.Host) ([]spec.Step, error) {
	return ownUnitStep(s, want, unit.Rules, rulesText, rulesEnabled)
}

// ensureRules makes the rules unit run program, for every program that could take the
// rules away. Where one runs already, its instance is started: that waits for the lock,
// and so for the end of this change.
func ensureRules(ctx context.Context, s *host.Files, program string) error {
	text, err := rulesText(program)
	if err != nil {
		return err
	}
	if _, err := s.Units.Load(ctx, unit.Rules, text); err != nil {
		return fmt.Errorf("write rules unit: %w", err)
	}
	if rulesEnabled(s) {
		return nil
	}
	for _, f := range flushers {
		wish := rulesWish(s, f)
		if err := errors.Join(sysfile.Remove(wish), os.MkdirAll(filepath.Dir(wish), 0o755)); err != nil {
			return fmt.Errorf("enable rules unit: %w", err)
		}
		if err := os.Symlink(s.Units.Path(unit.Rules), wish); err != nil {
			return fmt.Errorf("enable rules unit: %w", err)
		}
		if err := sysfile.SyncDir(filepath.Dir(wish)); err != nil {
			return err
		}
	}
	known, running := unit.InMemory(ctx, flushers)
	if !known {
		return nil
	}
	if err := unit.Run(ctx, "systemctl", "daemon-reload"); err != nil || len(running) == 0 {
		return err
	}
	start := []string{"start", "--no-block"}
	for _, f := range running {
		start = append(start, unit.RulesAfter(f))
	}
	return unit.Run(ctx, "systemctl", start...)
}

// removeRules removes the rules unit and its links. It does not stop an instance: one may
// run this process.
func removeRules(s *host.Files) error {
	errs := []error{sysfile.Remove(s.Units.Path(unit.Rules), s.Units.Unread(s.Units.Path(unit.Rules)))}
	for _, f := range flushers {
		errs = append(errs, sysfile.Remove(rulesWish(s, f)))
		_ = os.Remove(filepath.Dir(rulesWish(s, f))) // stays where others have links
	}
	return errors.Join(errs...)
}

// dropRules removes the rules unit and what runs of it.
func dropRules(ctx context.Context, s *host.Files) error {
	there := func(path string) bool { _, err := os.Lstat(path); return err == nil } // links to a file that is gone, too
	wished := slices.ContainsFunc(flushers, func(f string) bool { return there(rulesWish(s, f)) })
	if !s.Units.HasSystemd() || !wished && !there(s.Units.Path(unit.Rules)) {
		return removeRules(s)
	}
	known, _ := unit.InMemory(ctx, append([]string{unit.RulesAfter("*")}, flushers...))
	if !known {
		return removeRules(s)
	}
	if err := unit.Run(ctx, "systemctl", "stop", unit.RulesAfter("*")); err != nil {
		return err
	}
	if err := removeRules(s); err != nil {
		return err
	}
	return unit.Run(ctx, "systemctl", "daemon-reload")
}
