//go:build linux

package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// program runs a program and returns its error with what it said.
func program(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	// A daemon may keep its parent's output open.
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	if err == nil || errors.Is(err, exec.ErrWaitDelay) {
		return nil
	}
	if text := strings.TrimSpace(said.String()); text != "" {
		err = fmt.Errorf("%w: %s", err, strings.Join(strings.Fields(text), " "))
	}
	return fmt.Errorf("run %s %s: %w", filepath.Base(name), strings.Join(args, " "), err)
}

// sbin is where systemd looks besides /usr/bin; other directories in tests.
var sbin = []string{"/usr/sbin", "/usr/local/sbin", "/sbin"}

// lookProgram finds a program, also where no PATH leads: a login by SSH has no sbin in
// its own on many systems.
func lookProgram(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return filepath.Abs(path)
	}
	for _, dir := range sbin {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("find %s: %w", name, exec.ErrNotFound)
}

// hasSystemd is sd_booted(3).
func (s *services) hasSystemd() bool { return exists(s.paths.systemd) }

func (s *services) unitPath(unit string) string { return filepath.Join(s.paths.units, unit) }

// restartUnit starts unit anew. Changed says that its file changed while systemd
// may know the old one; a unit that it does not know it reads by itself.
func restartUnit(ctx context.Context, unit string, changed bool) error {
	if changed {
		if err := program(ctx, "systemctl", "daemon-reload"); err != nil {
			return err
		}
	}
	err := program(ctx, "systemctl", "restart", unit)
	if err == nil {
		return nil
	}
	// The start limit, after a series of crashes that are now repaired.
	if program(ctx, "systemctl", "reset-failed", unit) == nil && program(ctx, "systemctl", "restart", unit) == nil {
		return nil
	}
	return fmt.Errorf("start %s: %w; see journalctl -u %s", unit, err, unit)
}

// dropUnit stops unit and removes its file. systemd forgets a unit that is stopped
// and that nothing refers to: no listing shows it, without a reload.
func (s *services) dropUnit(ctx context.Context, unit string) error {
	if !exists(s.unitPath(unit)) {
		return nil
	}
	if s.hasSystemd() {
		if err := program(ctx, "systemctl", "stop", unit); err != nil {
			return err
		}
		// Fails unless the unit is in state failed, which a listing would show.
		_ = program(ctx, "systemctl", "reset-failed", unit)
	}
	return removeAll(s.unitPath(unit))
}
