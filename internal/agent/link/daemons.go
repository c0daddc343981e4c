//go:build linux

package link

import (
	"context"

	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/unit"
	"github.com/flocknet/flock/internal/spec"
)

// finishDevices ends the processes of devices that want does not need.
func finishDevices(ctx context.Context, s *host.Files, want *spec.Host) error {
	used := map[string]spec.Link{}
	for _, l := range want.Links {
		used[l.Name] = l
	}
	for _, of := range []struct {
		kind, stem string
		daemon     func(s *host.Files, device, network string) unit.Daemon
		stop       func(ctx context.Context, s *host.Files, device string) error
	}{{spec.WireGuard, wgStem, WGDaemon, stopWireGuard}, {spec.UDP, udpStem, UDPDaemon, stopUDP}} {
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
	return nil
}

// daemons are the resolver and the processes behind devices that h asks for.
func daemons(s *host.Files, h *spec.Host) []unit.Daemon {
	out := []unit.Daemon{Resolver(s)}
	for _, l := range h.Links {
		switch l.Kind {
		case spec.WireGuard:
			out = append(out, WGDaemon(s, l.Name, l.Network))
		case spec.UDP:
			out = append(out, UDPDaemon(s, l.Name, l.Network))
		}
	}
	return out
}
