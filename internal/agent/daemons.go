//go:build linux

package agent

import (
	"context"
	"errors"

	"github.com/flocknet/flock/internal/agent/attach"
	"github.com/flocknet/flock/internal/agent/bgpctl"
	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/link"
	"github.com/flocknet/flock/internal/agent/unit"
	"github.com/flocknet/flock/internal/spec"
)

// finishDaemons ends the processes that want does not need, and starts the resolver if want
// has endpoints with names, and the one that attaches containers.
func finishDaemons(ctx context.Context, s *host.Files, want *spec.Host) error {
	if err := link.FinishDevices(ctx, s, want); err != nil {
		return err
	}
	if want.BGP != nil {
		if err := bgpctl.Upgrade(ctx, s); err != nil {
			return err
		}
	}
	return errors.Join(link.FinishResolver(ctx, s, want), attach.Finish(ctx, s, want))
}

// daemonsOf are the daemons that h asks for.
func daemonsOf(s *host.Files, h *spec.Host) []unit.Daemon {
	out := []unit.Daemon{link.Resolver(s), bgpctl.Daemon(s)}
	for _, d := range h.DHCPs {
		if len(d.Peers) > 0 {
			out = append(out, s.DHCP.NamesDaemon(d.Network))
		}
	}
	if len(h.Attached) > 0 {
		out = append(out, attach.Daemon(s))
	}
	return append(out, link.DeviceDaemons(s, h)...)
}
