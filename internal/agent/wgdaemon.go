//go:build linux

package agent

import (
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/agent/unit"
	"github.com/flocknet/flock/internal/agent/wg"
	"github.com/flocknet/flock/internal/spec"
)

const wgStem = "wg-"

// wgDaemon is the process behind a userspace device. The network only names it.
func wgDaemon(s *Files, device, network string) unit.Daemon {
	return unit.Daemon{
		Name: wgStem + device, Mark: s.cluster + "/" + network,
		Description: "WireGuard device " + device + " of flock network " + s.cluster + "/" + network,
		Args:        []string{"agent", "wireguard", device},
	}
}

// WireGuard is the process behind the TUN device name, which an agent made: it
// encrypts and decrypts until it is told to end or the device is gone. One that was
// started anew begins with the last confirmed spec.
func WireGuard(ctx context.Context, name string, log io.Writer) error {
	link, cluster, network, err := markedDevice(name)
	if err != nil {
		return err
	}
	s := newFiles(cluster)
	return wg.Process{
		Device: name, MTU: link.Attrs().MTU, Up: link.Attrs().Flags&net.FlagUp != 0, Log: log,
		Config: func(ctx context.Context) (string, error) {
			last := s.last()
			if last == nil {
				return "", nil
			}
			return wg.Config(ctx, s.keys, last, name)
		},
		Ready:   func() (func() error, error) { return s.units.Ready(wgDaemon(s, name, network)) },
		Explain: func(err error) error { return noInotify("the device", err) },
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
func stopWireGuard(ctx context.Context, s *Files, device string) error {
	if err := s.units.Stop(ctx, wgDaemon(s, device, "")); err != nil {
		return err
	}
	return wg.RemoveSocket(device)
}

// resolver is the process that looks after endpoints with names.
func resolver(s *Files) unit.Daemon {
	return unit.Daemon{
		Name: "resolve", Mark: s.cluster, Description: "Endpoints with names of flock cluster " + s.cluster,
		Args: []string{"agent", "resolve", s.cluster},
	}
}

// finishResolver runs the resolver where want has a name, and only there.
func finishResolver(ctx context.Context, s *Files, want *spec.Host) error {
	d := resolver(s)
	there := sysfile.Exists(s.units.PIDFile(d)) || s.units.Installed(d.Name)
	if !slices.ContainsFunc(want.Peers, func(p spec.Peer) bool { return wg.IsName(p.Endpoint) }) {
		if !there {
			return nil
		}
		return s.units.Stop(ctx, d)
	}
	if s.units.PID(d) != 0 {
		return s.units.Rename(ctx, d)
	}
	return s.units.Start(ctx, d)
}

// Resolve looks after the endpoints of cluster that are names, until it is told to end.
func Resolve(ctx context.Context, cluster string, log io.Writer) error {
	s := newFiles(cluster)
	done, err := s.units.Ready(resolver(s))
	if err != nil {
		return err
	}
	tick := time.NewTicker(wg.ResolveEvery)
	defer tick.Stop()
	for r := newResolver(s); ; {
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

// newResolver returns what the resolver runs. It leaves the server alone while it is being
// changed.
func newResolver(s *Files) *wg.Resolver {
	return wg.NewResolver(s.last, func() (func() error, error) {
		l, _, err := tryLock(filepath.Join(s.paths.run, lockFile))
		if err != nil || l == nil {
			return nil, err
		}
		return func() error { return l.release(!sysfile.Exists(s.paths.lib)) }, l.sign("flock agent resolve", "")
	})
}
