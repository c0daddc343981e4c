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
	out := &spec.UnderlayReply{Clock: time.Now().UnixNano()}
	switch ask := r.Underlay; {
	case ask == nil || s.below == nil && !ask.Own.IsValid():
		return nil, errors.New("underlay: the request does not say where to listen")
	case s.below == nil:
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
	var out []spec.UnderlayRoute
	for _, to := range r.Underlay.Toward {
		route := probe.Route(to)
		if l := k.Devices.ByName[route.Device]; l != nil {
			route.Kind = l.Type()
		}
		out = append(out, route)
	}
	return out, nil
}
