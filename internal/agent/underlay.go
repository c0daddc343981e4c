//go:build linux

package agent

import (
	"context"
	"errors"
	"time"

	"github.com/flocknet/flock/internal/agent/probe"
	"github.com/flocknet/flock/internal/spec"
)

// underlay opens sockets below all networks, sends packets there, or says what came.
func (s *session) underlay(ctx context.Context, r spec.Request) (*spec.Reply, error) {
	began, out := time.Now(), &spec.UnderlayReply{}
	switch ask := r.Underlay; {
	case ask == nil || s.below == nil && !ask.Own.IsValid():
		return nil, errors.New("underlay: the request does not say where to listen")
	case s.below == nil:
		// With the lock: the ports are those of networks, which another change may bring up.
		if err := s.take(ctx, r.Holder, r.Change); err != nil {
			return nil, err
		}
		var err error
		if s.below, err = probe.OpenUnderlay(ask); err != nil {
			return nil, err
		}
		out.Taken = s.below.Taken()
		if out.Routes, err = s.routes(r); err != nil {
			return nil, err
		}
	case len(ask.Send) > 0:
		var err error
		if out.Refused, err = s.below.Send(ctx, ask.Send); err != nil {
			return nil, err
		}
	default:
		var err error
		if out.Came, err = s.below.Came(ctx); err != nil {
			return nil, err
		}
	}
	out.Clock = began.Add(time.Since(began) / 2).UnixNano() // as the workstation takes it
	return &spec.Reply{Underlay: out}, nil
}

// routes are how packets leave towards each of those that r names, with the kinds of devices.
func (s *session) routes(r spec.Request) ([]spec.UnderlayRoute, error) {
	k, err := s.kernel(r.Want.Cluster)
	if err != nil {
		return nil, err
	}
	if err := k.ReadDevices(); err != nil {
		return nil, err
	}
	out := probe.Routes(r.Underlay.Toward)
	for i, route := range out {
		if l := k.Devices.ByName[route.Device]; l != nil {
			out[i].Kind = l.Type()
		}
	}
	return out, nil
}

// capture begins to take packets of a device, or hands over those that came.
func (s *session) capture(ctx context.Context, ask *spec.CaptureRequest) (reply *spec.Reply, err error) {
	began := time.Now()
	if ask == nil || s.caught[ask.Slot&1] == nil && ask.Device+ask.Bridge == "" {
		return nil, errors.New("capture: the request does not say where")
	}
	c := &s.caught[ask.Slot&1]
	if *c == nil || ask.Bridge != "" {
		(*c).Close()
		if *c, err = probe.OpenCapture(ask); err != nil {
			return nil, err
		}
	}
	(*c).Send(ask.Send)
	out, err := (*c).Read(ctx, ask.Within)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	out.Clock, out.Took = now.UnixNano(), now.Sub(began)
	return &spec.Reply{Capture: out}, nil
}
