package change

import (
	"context"
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
	for i, res := range remote.Each(ctx, numbers, len(peers), func(ctx context.Context, i int) (capture.Source, error) {
		if err := peers[i].dial(ctx, e, c); err != nil {
			return capture.Source{}, err
		}
		return capture.Begin(points[i], peers[i].captures(ctx, e))
	}) {
		if absent[i] = res.Err; res.Err == nil {
			sources[i] = res.Value
			delete(absent, i)
		}
		e.event(Event{Server: points[i].Server, Done: true, Err: res.Err})
	}
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
