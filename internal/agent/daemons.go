//go:build linux

package agent

import (
	"context"

	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/unit"
	"github.com/flocknet/flock/internal/spec"
)

// finishDaemons ends the processes that want does not need, and starts the resolver if want
// has endpoints with names.
func finishDaemons(ctx context.Context, s *host.Files, want *spec.Host) error {
	used := map[string]spec.Link{}
	for _, l := range want.Links {
		used[l.Name] = l
	}
	for _, of := range []struct {
		kind, stem string
		daemon     func(s *host.Files, device, network string) unit.Daemon
		stop       func(ctx context.Context, s *host.Files, device string) error
	}{{spec.WireGuard, wgStem, wgDaemon, stopWireGuard}, {spec.UDP, udpStem, udpDaemon, stopUDP}} {
		devices, err := s.Units.Devices(of.stem)
		if err != nil {
			return err
		}
		for _, device := range devices {
			l := used[device]
			if l.Kind != of.kind {
				err = of.stop(ctx, s, device)
			} else {
				err = s.Units.Rename(ctx, of.daemon(s, device, l.Network))
			}
			if err != nil {
				return err
			}
		}
	}
	if want.BGP != nil {
		if err := upgradeBGP(ctx, s); err != nil {
			return err
		}
	}
	return finishResolver(ctx, s, want)
}

// daemonsOf are the daemons that h asks for.
func daemonsOf(s *host.Files, h *spec.Host) []unit.Daemon {
	out := []unit.Daemon{resolver(s), bgpDaemon(s)}
	for _, d := range h.DHCPs {
		if len(d.Peers) > 0 {
			out = append(out, servicesOf(s).namesDaemon(d.Network))
		}
	}
	for _, l := range h.Links {
		switch l.Kind {
		case spec.WireGuard:
			out = append(out, wgDaemon(s, l.Name, l.Network))
		case spec.UDP:
			out = append(out, udpDaemon(s, l.Name, l.Network))
		}
	}
	return out
}
