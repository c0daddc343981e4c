package remote

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/flocknet/flock/internal/hint"
)

// maxStarts is how many logins to one sshd may be in progress: beyond ten, sshd drops
// some by default (sshd_config(5), MaxStartups 10:30:100).
const maxStarts = 8

// sharedLink is a connection to a jump host. All servers behind it use this connection.
type sharedLink struct {
	id    string
	users int           // guarded by Dialer.mu
	ready chan struct{} // closed when link or err is there
	link  *link
	err   error
}

// maxJumps is how many jumps in a row count as intended.
const maxJumps = 8

// jump returns the connection to the last jump host of r, held for the caller.
func (d *Dialer) jump(ctx context.Context, r *route, onward []string) (*sharedLink, error) {
	name, before := hops(r.Jump)
	t, err := r.target.hop(name, before)
	if err != nil {
		return nil, jumpError(r.target, name, fmt.Errorf("%w: %w", ErrConfig, err))
	}
	way, err := d.route(ctx, t)
	if err != nil {
		return nil, jumpError(r.target, name, err)
	}
	if slices.Contains(onward, way.ID()) || len(onward) > maxJumps {
		err := hint.Errorf("", hint.Shell("ssh", "-G", r.target.alias())+" | grep -i proxyjump", "%w: the jumps lead in a circle", ErrConfig)
		return nil, jumpError(r.target, name, err)
	}
	for {
		s, first := d.share(way.ID())
		if first {
			s.link, s.err = d.open(ctx, t, onward)
			close(s.ready)
		}
		select {
		case <-s.ready:
		case <-ctx.Done():
			d.release(s)
			return nil, fmt.Errorf("wait for jump host %s: %w", name, context.Cause(ctx))
		}
		if s.err == nil {
			return s, nil
		}
		d.release(s)
		// The first caller's context may have ended; that says nothing about the jump
		// host.
		if first || ctx.Err() != nil || !errors.Is(s.err, context.Canceled) {
			return nil, jumpError(r.target, name, s.err)
		}
	}
}

// share returns the live connection called id, or an empty one that the caller must
// open. It counts the caller as a user.
func (d *Dialer) share(id string) (s *sharedLink, first bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s = d.shared[id]
	if s == nil || s.dead() {
		first = true
		s = &sharedLink{id: id, ready: make(chan struct{})}
		if d.shared == nil {
			d.shared = map[string]*sharedLink{}
		}
		d.shared[id] = s
	}
	s.users++
	return s, first
}

// dead says that the connection failed or broke.
func (s *sharedLink) dead() bool {
	select {
	case <-s.ready:
		if s.err != nil {
			return true
		}
		select {
		case <-s.link.done:
			return true
		default:
			return false
		}
	default:
		return false
	}
}

// release gives up one use; the last one closes the connection.
func (d *Dialer) release(s *sharedLink) {
	d.mu.Lock()
	s.users--
	last := s.users == 0
	if last && d.shared[s.id] == s {
		delete(d.shared, s.id)
	}
	d.mu.Unlock()
	if last && s.link != nil {
		s.link.close()
	}
}

func jumpError(t Target, name string, err error) error {
	return hint.With(fmt.Errorf("jump host %s: %w", name, err), "server "+t.wanted()+", jump host "+name, "")
}

// setOut waits until few enough proxy commands are on their way: they may all log in to one host,
// as those of ssh -W do. arrived is to be called when the server behind it has said something.
func (l *link) setOut(ctx context.Context) (arrived func(), err error) {
	if l.route.Proxy == "" {
		return func() {}, nil
	}
	return l.d.enter(ctx, "proxies")
}

// enter waits until fewer than maxStarts logins to one sshd, called key, are in progress.
func (d *Dialer) enter(ctx context.Context, key string) (leave func(), err error) {
	d.mu.Lock()
	lane := d.lanes[key]
	if lane == nil {
		lane = make(chan struct{}, maxStarts)
		if d.lanes == nil {
			d.lanes = map[string]chan struct{}{}
		}
		d.lanes[key] = lane
	}
	d.mu.Unlock()
	select {
	case lane <- struct{}{}:
		return func() { <-lane }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
