//go:build linux

package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"time"

	"golang.zx2c4.com/wireguard/wgctrl"
	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"github.com/flocknet/flock/internal/spec"
)

// The kernel knows addresses, not names: an endpoint whose name moves is lost for
// ever. A process of ours asks again, only where an endpoint is a name, only about
// peers that do not answer.

const (
	resolveEvery = 30 * time.Second
	// handshakeOld is when a peer that was talked to has missed a handshake: one is
	// due every 120 s (REKEY_AFTER_TIME of the WireGuard paper, §6.1).
	handshakeOld = 135 * time.Second
)

// resolver is the process that looks after names.
func (s *services) resolver() daemon {
	return daemon{
		name: "resolve", mark: s.cluster, description: "Endpoints with names of flock cluster " + s.cluster,
		args: []string{"agent", "resolve", s.cluster},
	}
}

// settleResolver runs the resolver where want has a name, and only there.
func (s *services) settleResolver(ctx context.Context, want *spec.Host) error {
	d := s.resolver()
	there := exists(s.pidFile(d)) || s.unitThere(d.name)
	if !slices.ContainsFunc(want.Peers, func(p spec.Peer) bool { return named(p.Endpoint) }) {
		if !there {
			return nil
		}
		return s.stopDaemon(ctx, d)
	}
	if s.pidOf(d) != 0 {
		return s.rename(ctx, d)
	}
	return s.startDaemon(ctx, d)
}

// Resolve looks after the endpoints of cluster that are names, until it is told to
// end: where the last handshake is old, the name is asked for again, and an
// endpoint that is none of the answers is replaced by the first.
func Resolve(ctx context.Context, cluster string, log io.Writer) error {
	s := newServices(cluster)
	done, err := s.ready(s.resolver())
	if err != nil {
		return err
	}
	tick := time.NewTicker(resolveEvery)
	defer tick.Stop()
	for {
		if err := s.resolveOnce(ctx, time.Now()); err != nil {
			fmt.Fprintln(log, err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return done()
		}
	}
}

// resolveOnce leaves the server alone while it is being changed.
func (s *services) resolveOnce(ctx context.Context, now time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, 2*resolveWithin) // others wait for the lock meanwhile
	defer cancel()
	l, _, err := tryLock(filepath.Join(s.paths.run, lockFile))
	if err != nil || l == nil {
		return err
	}
	err = errors.Join(l.sign("flock agent resolve", ""), s.resolveStale(ctx, now))
	return errors.Join(err, l.release(!exists(s.paths.lib)))
}

func (s *services) resolveStale(ctx context.Context, now time.Time) error {
	last, err := s.last()
	if err != nil || last == nil {
		return err
	}
	c, err := wgctrl.New()
	if err != nil {
		return fmt.Errorf("open WireGuard's netlink: %w", err)
	}
	errs := []error{}
	for _, l := range last.Links {
		if l.Kind != spec.WireGuard {
			continue
		}
		d, err := c.Device(l.Name)
		if err != nil {
			errs = append(errs, fmt.Errorf("read WireGuard device %s: %w", l.Name, err))
			continue
		}
		errs = append(errs, repoint(ctx, c, d, last.Peers, now))
	}
	return errors.Join(append(errs, c.Close())...)
}

// repoint sets the endpoints of d's silent peers whose names have moved.
func repoint(ctx context.Context, c *wgctrl.Client, d *wgtypes.Device, peers []spec.Peer, now time.Time) error {
	var errs []error
	var config wgtypes.Config
	for _, have := range d.Peers {
		i := slices.IndexFunc(peers, func(p spec.Peer) bool { return p.Link == d.Name && p.Key == have.PublicKey.String() })
		if i < 0 || !named(peers[i].Endpoint) || now.Sub(have.LastHandshakeTime) < handshakeOld {
			continue
		}
		list, err := resolveEndpoint(ctx, peers[i].Endpoint)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if have.Endpoint != nil && slices.Contains(list, unmapped(have.Endpoint.AddrPort())) {
			continue
		}
		config.Peers = append(config.Peers, wgtypes.PeerConfig{
			PublicKey: have.PublicKey, UpdateOnly: true, Endpoint: net.UDPAddrFromAddrPort(list[0]),
		})
	}
	if len(config.Peers) > 0 {
		if err := c.ConfigureDevice(d.Name, config); err != nil {
			errs = append(errs, fmt.Errorf("set endpoints of %s: %w", d.Name, err))
		}
	}
	return errors.Join(errs...)
}

func unmapped(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }
