package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/command"
)

// Whatever goes wrong once a server was told to change something is a status of 3:
// that of 1 says that nothing was changed anywhere.
func TestErrorAfterAChange(t *testing.T) {
	for _, test := range []struct {
		err     error
		touched bool
		want    int
	}{
		{errors.New("no room on the disk"), false, command.ExitFailed},
		{errors.New("no room on the disk"), true, command.ExitPartial},
		{fmt.Errorf("wait: %w", context.Canceled), true, command.ExitPartial},
		{fmt.Errorf("edit: %w", change.ErrInput), false, command.ExitUsage},
		{fmt.Errorf("edit: %w", change.ErrInput), true, command.ExitPartial},
	} {
		b := newBench(t, three)
		b.engine.err, b.engine.touches = test.err, test.touched
		if code := b.run("addnetwork", "vx1", "s3"); code != test.want {
			t.Errorf("%v, touched %v: want status %d, have %d", test.err, test.touched, test.want, code)
		}
		if test.touched && !strings.Contains(b.err.String(), "next:  flock apply") {
			t.Errorf("%v: want the next step, have %q", test.err, b.err.String())
		}
	}
}

// A reader that went away after the change is no reason to say that there was none.
func TestOutputThatBreaksAfterAChange(t *testing.T) {
	b := newBench(t, three)
	b.engine.touches = true
	b.to = failing{}
	if code := b.run("addnetwork", "vx1", "s3", "-o", "json"); code != command.ExitPartial {
		t.Errorf("want status %d, have %d: %s", command.ExitPartial, code, b.err.String())
	}
}

// failing is a pipe without a reader.
type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, syscall.EPIPE }
