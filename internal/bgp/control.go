//go:build linux

package bgp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/flocknet/flock/internal/spec"
)

// orderWithin bounds how long one order may take from its first byte to the answer.
const orderWithin = 30 * time.Second

// serve takes orders, one per connection and one after the other, until ctx ends or
// an order ends the daemon.
func (d *daemon) serve(ctx context.Context) error {
	path := filepath.Join(d.sockets, spec.BGPSocket)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove an old socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return fmt.Errorf("listen for orders: %w", err)
	}
	done, err := d.ready()
	if err != nil {
		return errors.Join(err, l.Close())
	}
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	for ctx.Err() == nil && !d.isEnded() {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			break
		}
		if err != nil {
			return errors.Join(fmt.Errorf("listen for orders: %w", err), done())
		}
		d.answer(ctx, c)
	}
	if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return errors.Join(err, done())
	}
	return done()
}

// answer takes one order. Who does not listen to the answer does not matter.
func (d *daemon) answer(ctx context.Context, c net.Conn) {
	ctx, cancel := context.WithTimeout(ctx, orderWithin)
	defer cancel()
	_ = c.SetDeadline(time.Now().Add(orderWithin))
	var order spec.BGPOrder
	if err := json.NewDecoder(c).Decode(&order); err == nil {
		_ = json.NewEncoder(c).Encode(d.obey(ctx, order))
	}
	_ = c.Close()
	if order.Op == spec.BGPEnd {
		close(d.ended)
	}
}

func (d *daemon) obey(ctx context.Context, order spec.BGPOrder) *spec.BGPAnswer {
	a := &spec.BGPAnswer{}
	var err error
	switch order.Op {
	case spec.BGPReload:
		a.Restart, err = d.reload(ctx)
	case spec.BGPEnd:
		err = errors.Join(d.speaker.end(ctx), d.fib.end(ctx))
	case spec.BGPLook:
	default:
		err = fmt.Errorf("%q is no order of this daemon", order.Op)
	}
	if err == nil && order.Status {
		a.Status, err = d.status(ctx)
	}
	if err != nil {
		a.Error = err.Error()
	}
	d.speaker.mu.Lock()
	a.Running = d.speaker.running
	d.speaker.mu.Unlock()
	return a
}

// reload takes up what the agent wrote, unless that needs a new daemon.
func (d *daemon) reload(ctx context.Context) (restart bool, err error) {
	s, secrets, err := config(d.dir)
	if err != nil {
		return false, err
	}
	d.speaker.mu.Lock()
	running := d.speaker.running
	d.speaker.mu.Unlock()
	if running.RestartsFor(s) {
		return true, nil
	}
	return false, d.apply(ctx, s, secrets)
}

// end takes all routes out of the kernel.
func (f *fib) end(ctx context.Context) error {
	answer := make(chan error, 1)
	select {
	case f.ends <- answer:
		return <-answer
	case <-ctx.Done():
		return ctx.Err()
	}
}
