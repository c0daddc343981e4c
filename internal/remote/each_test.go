package remote

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
)

func TestEach(t *testing.T) {
	items := make([]int, 100)
	for i := range items {
		items[i] = i
	}
	odd := errors.New("odd")
	var running, most atomic.Int32
	results := Each(t.Context(), items, 7, func(_ context.Context, n int) (int, error) {
		now := running.Add(1)
		defer running.Add(-1)
		for have := most.Load(); now > have && !most.CompareAndSwap(have, now); have = most.Load() {
		}
		if n%2 == 1 {
			return 0, odd
		}
		return n * n, nil
	})
	for i, r := range results {
		if i%2 == 1 && !errors.Is(r.Err, odd) || i%2 == 0 && (r.Err != nil || r.Value != i*i) {
			t.Errorf("result %d: %+v", i, r)
		}
	}
	if most.Load() > 7 {
		t.Errorf("%d at once, want at most 7", most.Load())
	}
	if len(Each(t.Context(), nil, 0, func(context.Context, int) (int, error) { return 0, nil })) != 0 {
		t.Error("results of nothing")
	}
}

func TestEachIsCalledOff(t *testing.T) {
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	done := 0
	results := Each(ctx, make([]int, 5), 1, func(context.Context, int) (bool, error) {
		if done++; done == 2 {
			cancel(cause)
		}
		return true, nil
	})
	for i, r := range results {
		if begun := i < 2; begun != r.Value || begun != (r.Err == nil) || !begun && !errors.Is(r.Err, cause) {
			t.Errorf("result %d: %+v", i, r)
		}
	}
}
