//go:build linux

package agent

import (
	"context"
	"io"

	"github.com/flocknet/flock/internal/agent/bgpctl"
	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/link"
)

// Speaker makes a command of the BGP daemon, whose argument is the cluster. run is
// told where the agent writes, where the daemon's sockets go, and what to call when
// it takes orders.
func Speaker(run func(ctx context.Context, dir, sockets string, log io.Writer, ready func() (func() error, error)) error) Command {
	return func(ctx context.Context, cluster string, log io.Writer) error {
		s := host.NewFiles(cluster)
		return run(ctx, s.Dir(), s.RunDir(), log, func() (func() error, error) { return s.Units.Ready(bgpctl.Daemon(s)) })
	}
}

// The processes behind a userspace device and a UDP device, and what looks after endpoints with names.
var wireGuard, udp, resolve Command = link.RunWireGuard, link.RunUDP, link.RunResolver

func try(kinds string, out io.Writer) error { return link.Try(kinds, out) }
