//go:build linux

package agent

import (
	"context"

	"github.com/flocknet/flock/internal/agent/unit"
	"github.com/flocknet/flock/internal/spec"
)

// finishDaemons ends the processes that want does not need, and starts the resolver if want
// has endpoints with names.
func (s *services) finishDaemons(ctx context.Context, want *spec.Host) error {
	used := map[string]spec.Link{}
	for _, l := range want.Links {
		used[l.Name] = l
	}
	for _, of := range []struct {
		kind, stem string
		daemon     func(device, network string) unit.Daemon
		stop       func(context.Context, string) error
	}{{spec.WireGuard, wgStem, s.wgDaemon, s.stopWireGuard}, {spec.UDP, udpStem, s.udpDaemon, s.stopUDP}} {
		devices, err := s.units.Devices(of.stem)
		if err != nil {
			return err
		}
		for _, device := range devices {
			l := used[device]
			if l.Kind != of.kind {
				err = of.stop(ctx, device)
			} else {
				err = s.units.Rename(ctx, of.daemon(device, l.Network))
			}
			if err != nil {
				return err
			}
		}
	}
	if want.BGP != nil {
		if err := s.upgradeBGP(ctx); err != nil {
			return err
		}
	}
	return s.finishResolver(ctx, want)
}

// daemonsOf are the daemons that h asks for.
func (s *services) daemonsOf(h *spec.Host) []unit.Daemon {
	out := []unit.Daemon{s.resolver(), s.bgpDaemon()}
	for _, d := range h.DHCPs {
		if len(d.Peers) > 0 {
			out = append(out, s.namesDaemon(d.Network))
		}
	}
	for _, l := range h.Links {
		switch l.Kind {
		case spec.WireGuard:
			out = append(out, s.wgDaemon(l.Name, l.Network))
		case spec.UDP:
			out = append(out, s.udpDaemon(l.Name, l.Network))
		}
	}
	return out
}
