package lookcmd

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/command"
)

// TestWatch: rounds follow each other whatever they find; an error ends them, and so does an
// interrupt, with what the last whole round came to.
func TestWatch(t *testing.T) {
	t.Parallel()
	broken := errors.New("the file is gone")
	for _, test := range []struct {
		finds []error // of each round
		stop  int     // the round during which the interrupt comes
		want  error
	}{
		{[]error{nil, command.Exit(command.ExitDrift), nil, context.Canceled}, 4, nil},
		{[]error{nil, nil, command.Exit(command.ExitDrift)}, 3, command.Exit(command.ExitDrift)},
		{[]error{command.Exit(command.ExitPartial), context.Canceled}, 2, command.Exit(command.ExitPartial)},
		{[]error{command.Exit(command.ExitDrift), broken}, 0, broken},
		{[]error{broken}, 0, broken},
	} {
		ctx, stop := context.WithCancel(t.Context())
		rounds := 0
		err := watch(ctx, time.Millisecond, func(context.Context) error {
			if rounds++; rounds == test.stop {
				stop()
			}
			return test.finds[rounds-1]
		})
		if stop(); !errors.Is(err, test.want) || rounds != len(test.finds) {
			t.Errorf("%v: want %v, have %v after %d rounds", test.finds, test.want, err, rounds)
		}
	}
}
