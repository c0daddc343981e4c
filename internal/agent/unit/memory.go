//go:build linux

package unit

import (
	"context"
	"os/exec"
	"strings"
)

// InMemory says whether systemd has any of units in its memory, whether their files are
// there, and which of them are active.
func InMemory(ctx context.Context, units []string) (known, loaded bool, active []string) {
	out, err := exec.CommandContext(ctx, "systemctl", append([]string{"list-units", "--all", "--no-legend", "--plain"}, units...)...).Output()
	if err != nil { // a systemd that does not answer reads its files when it does
		return false, false, nil
	}
	for line := range strings.Lines(string(out)) {
		known = true
		if f := strings.Fields(line); len(f) > 2 && f[1] == "loaded" {
			loaded = true
			if f[2] == "active" {
				active = append(active, f[0])
			}
		}
	}
	return known, loaded, active
}
