package change

import (
	"context"
	"io"

	"github.com/flocknet/flock/internal/remote"
)

// Ran is what came of a command on a server.
type Ran struct {
	Server string
	Status int   // the exit status; -1 if none was reported
	Err    error // why there is none
}

// Each runs a line of the logins' shells on servers, side by side, and writes what it prints to
// out and errs as it comes. They are called once for each server; what they return is used by one
// server alone. The results are in the order of servers. No agent takes part.
func (e *Engine) Each(ctx context.Context, servers []string, line string, out, errs func(server string) io.Writer) ([]Ran, error) {
	c, err := e.Store.Load(ctx)
	if err != nil {
		return nil, err
	}
	results := remote.Each(ctx, servers, e.parallel(), func(ctx context.Context, name string) (int, error) {
		conn, err := e.Dialer.Dial(ctx, Target(c, name))
		if err != nil {
			return -1, err
		}
		defer conn.Close() //nolint:errcheck // all was read
		return conn.Command(ctx, line, out(name), errs(name))
	})
	list := make([]Ran, len(servers))
	for i, r := range results {
		if list[i] = (Ran{servers[i], r.Value, r.Err}); r.Err != nil {
			list[i].Status = -1
		}
	}
	return list, ctx.Err()
}
