//go:build linux

package claim

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/spec"
)

// A script that fails, that prints too much, or that does not end, says so: what it printed is
// not all that there is.
func TestRunScript(t *testing.T) {
	for _, c := range []struct {
		script string
		within time.Duration
		want   spec.Ran
	}{
		{"echo here", time.Minute, spec.Ran{Text: "here\n"}},
		{"echo here; exit 3", time.Minute, spec.Ran{Text: "here\n", Status: 3}},
		{"echo no >&2; kill -9 $$", time.Minute, spec.Ran{Text: "no\n", Status: killed, Why: "signal: killed"}},
		{"sleep 600", 10 * time.Millisecond, spec.Ran{Status: killed, Why: "no end within 10ms"}},
	} {
		if have := runScript(context.Background(), c.script, c.within); have != c.want {
			t.Errorf("%s: want %+v, have %+v", c.script, c.want, have)
		}
	}
	if have := runScript(context.Background(), "head -c 1048577 /dev/zero | tr '\\0' x", time.Minute); len(have.Text) != spec.DoctorBytes || !strings.Contains(have.Why, "1 MiB") {
		t.Errorf("more than is taken: %d bytes, why %q", len(have.Text), have.Why)
	}
}
