//go:build linux

package bgp

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"time"

	"github.com/flocknet/flock/internal/control"
	"github.com/flocknet/flock/internal/spec"
)

// requestWithin bounds how long one request may take from its first byte to the answer.
const requestWithin = 30 * time.Second

// serve answers requests until ctx ends or a request ends the daemon.
func (d *daemon) serve(ctx context.Context) error {
	l, err := control.Listen(filepath.Join(d.sockets, spec.BGPSocket))
	if err != nil {
		return err
	}
	done, err := d.ready()
	if err != nil {
		return errors.Join(err, l.Close())
	}
	err = control.Serve(ctx, l, requestWithin, func(ctx context.Context, req spec.BGPRequest) *spec.BGPAnswer {
		d.requests.Lock()
		defer d.requests.Unlock()
		a := d.answer(ctx, req)
		if req.Op == spec.BGPEnd && !d.isEnded() {
			close(d.ended)
			_ = l.Close() // serve returns once this answer is sent
		}
		return a
	})
	return errors.Join(err, done())
}

// answer does what one request asks; the caller holds d.requests.
func (d *daemon) answer(ctx context.Context, req spec.BGPRequest) *spec.BGPAnswer {
	a := &spec.BGPAnswer{}
	var deaf []netip.Addr
	var err error
	switch req.Op {
	case spec.BGPReload:
		a.Restart, err = d.reload(ctx)
	case spec.BGPEnd:
		err = errors.Join(d.speaker.end(ctx), d.fib.end(ctx))
		d.watched.Close()
	case spec.BGPRefresh:
		deaf, err = d.speaker.refresh(ctx, req.Peers)
	case spec.BGPReset:
		err = d.speaker.reset(ctx, req.Peers)
	case spec.BGPLook, spec.BGPRoutes:
	default:
		err = fmt.Errorf("%q is no request that this daemon knows", req.Op)
	}
	if err == nil && req.Status {
		if a.Status, err = d.status(ctx); err == nil {
			a.Status.Deaf = deaf
		}
	}
	if err == nil && req.Op == spec.BGPRoutes && req.Status {
		a.Status.Exchanges, err = d.speaker.exchanges(ctx, req.Peers, a.Status)
	}
	if err != nil {
		a.Error = err.Error()
	}
	a.Running = d.wanted
	return a
}

// reload applies what the agent wrote. If that needs a new daemon, it changes nothing
// and says so.
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
	d.watch(s)
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
