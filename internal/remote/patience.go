package remote

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// patience is a time limit: its context ends when nothing has happened for the given
// time. It is paused while a person is asked.
type patience struct {
	cancel context.CancelCauseFunc

	mu      sync.Mutex // guards below
	timeout time.Duration
	timer   *time.Timer
	asking  int
}

func newPatience(ctx context.Context, timeout time.Duration) (context.Context, *patience) {
	ctx, cancel := context.WithCancelCause(ctx)
	p := &patience{timeout: timeout, cancel: cancel}
	p.timer = time.AfterFunc(timeout, func() {
		p.mu.Lock()
		asking, timeout := p.asking > 0, p.timeout
		p.mu.Unlock()
		if !asking {
			cancel(fmt.Errorf("%w: no answer within %s", ErrUnreachable, timeout))
		}
	})
	return ctx, p
}

// again starts the time again: something happened.
func (p *patience) again() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.asking == 0 {
		p.timer.Reset(p.timeout)
	}
}

// within starts the time again, with another limit.
func (p *patience) within(timeout time.Duration) {
	p.mu.Lock()
	p.timeout = timeout
	p.mu.Unlock()
	p.again()
}

// pause stops the time until resume is called.
func (p *patience) pause() (resume func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asking++
	p.timer.Stop()
	return func() {
		p.mu.Lock()
		p.asking--
		p.mu.Unlock()
		p.again()
	}
}

// end releases the timer and the context.
func (p *patience) end() {
	p.timer.Stop()
	p.cancel(context.Canceled)
}
