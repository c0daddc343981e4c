//go:build linux

package link

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/agent/unit"
	"github.com/flocknet/flock/internal/agent/wg"
	"github.com/flocknet/flock/internal/spec"
)

const wgStem = "wg-"

// WGDaemon is the process behind a userspace device. The network only names it.
func WGDaemon(s *host.Files, device, network string) unit.Daemon {
	return unit.Daemon{
		Name: wgStem + device, Mark: s.Cluster + "/" + network,
		Description: "WireGuard device " + device + " of flock network " + s.Cluster + "/" + network,
		Args:        []string{"agent", "wireguard", device},
	}
}

// RunWireGuard is the process behind the TUN device name, which an agent made: it
// encrypts and decrypts until it is told to end or the device is gone. One that was
// started anew begins with the last confirmed spec.
func RunWireGuard(ctx context.Context, name string, log io.Writer) error {
	link, cluster, network, err := markedDevice(name)
	if err != nil {
		return err
	}
	s := host.NewFiles(cluster)
	return wg.Process{
		Device: name, MTU: link.Attrs().MTU, Up: link.Attrs().Flags&net.FlagUp != 0, Log: log,
		Config: func(ctx context.Context) (string, error) {
			last := s.Last()
			if last == nil {
				return "", nil
			}
			return wg.Config(ctx, s.Keys, last, name)
		},
		Ready:   func() (func() error, error) { return s.Units.Ready(WGDaemon(s, name, network)) },
		Explain: func(err error) error { return host.NoInotify("the device", err) },
	}.Run(ctx)
}

// markedDevice finds a device of ours, and whose it is, by its mark.
func markedDevice(name string) (link netlink.Link, cluster, network string, err error) {
	if link, err = netlink.LinkByName(name); err != nil {
		return nil, "", "", fmt.Errorf("find device %s: %w", name, err)
	}
	mark, ours := strings.CutPrefix(link.Attrs().Alias, spec.AliasPrefix)
	cluster, network, _ = strings.Cut(mark, "/")
	if !ours || cluster == "" {
		return nil, "", "", fmt.Errorf("run device %s: it does not carry flock's mark", name)
	}
	return link, cluster, network, nil
}

// stopWireGuard ends the process behind a userspace device.
func stopWireGuard(ctx context.Context, s *host.Files, device string) error {
	if err := s.Units.Stop(ctx, WGDaemon(s, device, "")); err != nil {
		return err
	}
	return wg.RemoveSocket(device)
}

// Resolver is the process that looks after endpoints with names.
func Resolver(s *host.Files) unit.Daemon {
	return unit.Daemon{
		Name: "resolve", Mark: s.Cluster, Description: "Endpoints with names of flock cluster " + s.Cluster,
		Args: []string{"agent", "resolve", s.Cluster},
	}
}

// finishResolver runs the resolver where want has a name, and only there.
func finishResolver(ctx context.Context, s *host.Files, want *spec.Host) error {
	d := Resolver(s)
	there := sysfile.Exists(s.Units.PIDFile(d)) || s.Units.Installed(d.Name)
	if !slices.ContainsFunc(want.Peers, func(p spec.Peer) bool { return wg.IsName(p.Endpoint) }) {
		if !there {
			return nil
		}
		return s.Units.Stop(ctx, d)
	}
	if s.Units.PID(d) != 0 {
		return s.Units.Rename(ctx, d)
	}
	return s.Units.Start(ctx, d)
}

// RunResolver looks after the endpoints of cluster that are names, until it is told to end.
func RunResolver(ctx context.Context, cluster string, log io.Writer) error {
	s := host.NewFiles(cluster)
	done, err := s.Units.Ready(Resolver(s))
	if err != nil {
		return err
	}
	tick := time.NewTicker(wg.ResolveEvery)
	defer tick.Stop()
	for r := NewResolver(s); ; {
		if err := r.Look(ctx, time.Now()); err != nil {
			fmt.Fprintln(log, err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return done()
		}
	}
}

// NewResolver returns what the resolver runs. It leaves the server alone while it is being
// changed.
func NewResolver(s *host.Files) *wg.Resolver {
	return wg.NewResolver(s.Last, func() (func() error, error) {
		l, _, err := host.TryLock(s.Paths.LockPath())
		if err != nil || l == nil {
			return nil, err
		}
		return func() error { return l.Release(!sysfile.Exists(s.Paths.Lib)) }, l.Sign("flock agent resolve", "")
	})
}
