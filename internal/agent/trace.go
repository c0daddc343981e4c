//go:build linux

package agent

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/flocknet/flock/internal/agent/attach"
	"github.com/flocknet/flock/internal/agent/probe"
	"github.com/flocknet/flock/internal/spec"
)

// trace answers what the kernel says about a packet's way, sends one, and says what passed.
func (s *session) trace(ctx context.Context, r spec.Request) (*spec.Reply, error) {
	ask, out := r.Trace, &spec.TraceReply{Clock: time.Now().Unix()}
	reply := &spec.Reply{Trace: out}
	if ask == nil || r.Want == nil {
		return nil, errors.New("trace: the request asks nothing")
	}
	in := func(do func() error) error { return do() }
	if ask.Inside != "" {
		space, err := attach.Open(ask.Inside)
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				out.Stopped, err = true, nil
			}
			return reply, err
		}
		defer space.Close() //nolint:errcheck // nothing was changed
		in = space.Run
	}
	var err error
	if ask.Filter != "" && s.tap == 0 {
		if s.tap, err = probe.OpenTap(ask.Filter); err != nil {
			return nil, err
		}
	}
	if ask.Data != "" {
		if err := in(func() error { return probe.SendRaw(ask) }); err != nil {
			out.Refused = err.Error()
		}
	}
	if ask.Wait > 0 {
		out.Seen = probe.Hear(ctx, s.tap, ask)
	}
	err = in(func() error {
		for _, q := range ask.Questions {
			text, err := probe.Ask(q)
			if err != nil {
				return err
			}
			out.Answers = append(out.Answers, text)
		}
		return nil
	})
	if err != nil || len(ask.Links) == 0 {
		return reply, err
	}
	k, err := s.kernel(r.Want.Cluster)
	if err == nil {
		err = k.ReadDevices()
	}
	if err != nil {
		return nil, err
	}
	have := &spec.Host{Links: ask.Links}
	err = k.WG.Observe(have, have, func(string) {})
	out.Links, out.Peers, out.Sessions = have.Links, have.Peers, k.WG.Sessions()
	return reply, err
}
