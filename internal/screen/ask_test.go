package screen

import (
	"context"
	"errors"
	"testing"
)

func TestInterruptEndsAQuestion(t *testing.T) {
	done := make(chan struct{})
	close(done)
	wait := make(chan struct{})
	defer close(wait)
	_, err := untilDone(done, func() (string, error) { <-wait; return "", nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("want the interrupt, have %v", err)
	}
}
