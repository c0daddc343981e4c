//go:build linux

package agent

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"time"

	"github.com/flocknet/flock/internal/agent/link"
	"github.com/flocknet/flock/internal/agent/probe"
	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/agent/wg"
	"github.com/flocknet/flock/internal/spec"
)

// handshake has this server begin handshakes with the peers of the request.
func (s *session) handshake(ctx context.Context, r spec.Request) (*spec.Reply, error) {
	k, err := s.kernel(r.Want.Cluster)
	if err != nil {
		return nil, err
	}
	k.WG.Confirmed(func() []spec.Peer { return link.ConfirmedPeers(k.Host) })
	pace := probe.NewPace()
	defer pace.Close()
	silent, err := k.WG.Handshake(ctx, r.Peers, pace)
	return &spec.Reply{Silent: silent}, err
}

// keys answers with public keys, of pairs that are made where there are none.
func (s *session) keys(r spec.Request) (*spec.Reply, error) {
	k, err := s.kernel(r.Want.Cluster)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	k.Keys.Former = r.Former
	for _, device := range r.Keys {
		public, made, err := k.Keys.Public(device, r.Rotate)
		if made != "" {
			s.made[made] = device
		}
		if err != nil {
			return nil, err
		}
		out[device] = public
	}
	return &spec.Reply{Keys: out}, nil
}

// dropKeys removes the pairs that this session made and that were not used, so that a plan
// leaves no trace.
func (s *session) dropKeys() error {
	var errs []error
	for path := range s.made {
		errs = append(errs, sysfile.Remove(path), sysfile.RemoveEmpty(filepath.Dir(path), s.paths.Lib))
	}
	return errors.Join(errs...)
}

// learnNew resolves the names that want brings before the server's lock is taken: nobody
// waits for a resolver that does not answer.
func (s *session) learnNew(ctx context.Context, want *spec.Host) error {
	if !slices.ContainsFunc(want.Peers, func(p spec.Peer) bool { return wg.IsName(p.Endpoint) }) {
		return nil
	}
	k, err := s.kernel(want.Cluster)
	if err != nil {
		return err
	}
	last := k.Last()
	known := map[string]bool{}
	if last != nil {
		for _, p := range last.Peers {
			known[p.Endpoint] = true
		}
	}
	var fresh []string
	for _, p := range want.Peers {
		if !known[p.Endpoint] {
			fresh = append(fresh, p.Endpoint)
		}
	}
	k.WG.Learn(ctx, fresh)
	return nil
}

func (s *session) probe(ctx context.Context, r spec.Request) (*spec.Reply, error) {
	k, err := s.kernel(r.Want.Cluster)
	if err != nil {
		return nil, err
	}
	unheard, err := probe.Probe(ctx, k.Host, r.Probes, time.Now())
	return &spec.Reply{Unheard: unheard}, err
}

// status looks, and probes where nothing differs: that saves a round trip. What cannot be probed
// is asked for by itself, and says why.
func (s *session) status(ctx context.Context, r spec.Request) (*spec.Reply, error) {
	reply, err := s.plan(ctx, r, (*Kernel).Status)
	if err != nil || len(r.Probes) == 0 || len(reply.Plan.Steps) > 0 {
		return reply, err
	}
	if probed, err := s.probe(ctx, r); err == nil {
		reply.Unheard, reply.Probed = probed.Unheard, true
	}
	return reply, nil
}

// measure sends the echoes that r asks for.
func measure(ctx context.Context, r spec.Request) (*spec.Reply, error) {
	echoes, callers, err := probe.Measure(ctx, r.Echoes, r.Times)
	return &spec.Reply{Echoes: echoes, Callers: callers}, err
}

// bulk opens ports, sends data, and says what else was received.
func (s *session) bulk(ctx context.Context, r spec.Request) (*spec.Reply, error) {
	if r.Bulk == nil {
		return nil, errors.New("bulk: the request does not say what to send")
	}
	out := &spec.BulkReply{}
	if len(r.Bulk.At) > 0 {
		out.Ports = s.taker.Listen(r.Bulk.At, r.Bulk.Admit)
	}
	out.Flows = probe.Flows(ctx, r.Bulk.Flows)
	out.BadSums = probe.BadSums()
	return &spec.Reply{Bulk: out}, ctx.Err()
}
