package change

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/flocknet/flock/internal/capture"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/remote"
	"github.com/flocknet/flock/internal/spec"
)

// Capture has servers take packets, and changes nothing. When all that answer have begun, it calls
// begun with them and with why others have not, by their place in points, and then take with what
// comes, until that is false, ctx ends, or within is over; 0: it never is.
func (e *Engine) Capture(ctx context.Context, points []capture.Point, within time.Duration, begun func(map[int]capture.Source, map[int]error) error, take func(capture.Taken) bool) error {
	c, err := e.Store.Load(ctx)
	if err != nil {
		return err
	}
	peers, numbers := make([]*peer, len(points)), make([]int, len(points))
	for i, p := range points {
		peers[i], numbers[i] = &peer{name: p.Server, want: &spec.Host{Cluster: c.Name, Store: c.ID, Server: p.Server}}, i
		defer peers[i].close()
	}
	sources, absent := map[int]capture.Source{}, map[int]error{}
	each := func(of []int, do func(context.Context, int) (capture.Source, error)) {
		for k, res := range remote.Each(ctx, of, len(peers), do) {
			i := of[k]
			if sources[i] = res.Value; res.Err != nil {
				delete(sources, i)
				absent[i] = res.Err
			}
		}
	}
	each(numbers, func(ctx context.Context, i int) (s capture.Source, err error) {
		if err = peers[i].dial(ctx, e, c); err == nil {
			s, err = capture.Begin(points[i], peers[i].captures(ctx, e))
		}
		e.event(Event{Server: points[i].Server, Done: true, Err: err})
		return s, err
	})
	each(slices.Sorted(maps.Keys(sources)), func(ctx context.Context, i int) (capture.Source, error) {
		return capture.Ready(sources[i], peers[i].captures(ctx, e))
	})
	capture.Agree(sources)
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := begun(sources, absent); err != nil {
		return err
	}
	capture.Collect(ctx, within, sources, func(ctx context.Context, i int) capture.Ask { return peers[i].captures(ctx, e) }, take)
	return nil
}

// captures asks a server for packets.
func (p *peer) captures(ctx context.Context, e *Engine) capture.Ask {
	return func(r *spec.CaptureRequest) (*spec.CaptureReply, error) {
		reply, err := p.do(ctx, e, &spec.Request{Op: spec.OpCapture, Want: p.want, Capture: r})
		if err != nil {
			return nil, hint.With(err, "server "+p.name, "")
		}
		return reply.Capture, nil
	}
}
