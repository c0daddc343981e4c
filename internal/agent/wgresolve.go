//go:build linux

package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"time"

	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/agent/unit"
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
func (s *services) resolver() unit.Daemon {
	return unit.Daemon{
		Name: "resolve", Mark: s.cluster, Description: "Endpoints with names of flock cluster " + s.cluster,
		Args: []string{"agent", "resolve", s.cluster},
	}
}

// settleResolver runs the resolver where want has a name, and only there.
func (s *services) settleResolver(ctx context.Context, want *spec.Host) error {
	d := s.resolver()
	there := sysfile.Exists(s.units.PIDFile(d)) || s.units.Installed(d.Name)
	if !slices.ContainsFunc(want.Peers, func(p spec.Peer) bool { return named(p.Endpoint) }) {
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

// Resolve looks after the endpoints of cluster that are names, until it is told to
// end: where the last handshake is old, the name is asked for again. An endpoint that
// is none of the answers is replaced by the first, one that was sent to in vain by the
// next.
func Resolve(ctx context.Context, cluster string, log io.Writer) error {
	s := newServices(cluster)
	done, err := s.units.Ready(s.resolver())
	if err != nil {
		return err
	}
	tick := time.NewTicker(resolveEvery)
	defer tick.Stop()
	sent := sentBytes{}
	for {
		if err := s.resolveOnce(ctx, time.Now(), sent); err != nil {
			fmt.Fprintln(log, err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return done()
		}
	}
}

// sentBytes is what was sent to peers up to the last look, handshakes included: to
// whom more was sent since, was tried.
type sentBytes map[peerKey]int64

// resolveOnce asks before it takes the server's lock, and leaves the server alone while
// it is being changed.
func (s *services) resolveOnce(ctx context.Context, now time.Time, sent sentBytes) (err error) {
	c := &wgDevices{}
	defer func() { err = errors.Join(err, c.Close()) }()
	stale, errs := s.staleNames(c, now)
	if len(stale) == 0 {
		return errs
	}
	var endpoints []string
	for _, p := range stale {
		endpoints = append(endpoints, p.want.Endpoint)
	}
	names := askNames(ctx, endpoints)
	for _, endpoint := range slices.Sorted(maps.Keys(names)) {
		errs = errors.Join(errs, names[endpoint].err)
	}
	l, _, err := tryLock(filepath.Join(s.paths.run, lockFile))
	if err != nil || l == nil {
		return errors.Join(errs, err)
	}
	errs = errors.Join(errs, l.sign("flock agent resolve", ""))
	stale, err = s.staleNames(c, now) // what has changed meanwhile is not ours
	errs = errors.Join(errs, err, repoint(c, stale, names, sent))
	return errors.Join(errs, l.release(!sysfile.Exists(s.paths.lib)))
}

// namedPeer is a peer by name: as it is wanted, and as its device has it.
type namedPeer struct {
	want spec.Peer
	have wgtypes.Peer
}

// staleNames are the peers by name whose last handshake is old. An error is about some
// device; the peers of the others are returned.
func (s *services) staleNames(c *wgDevices, now time.Time) ([]namedPeer, error) {
	last := s.last()
	if last == nil {
		return nil, nil
	}
	var out []namedPeer
	var errs []error
	for _, l := range last.Links {
		if l.Kind != spec.WireGuard {
			continue
		}
		d, err := c.Device(l.Name)
		if err != nil {
			errs = append(errs, fmt.Errorf("read WireGuard device %s: %w", l.Name, err))
			continue
		}
		for _, have := range d.Peers {
			i := slices.IndexFunc(last.Peers, func(p spec.Peer) bool { return p.Link == l.Name && p.Key == have.PublicKey.String() })
			if i >= 0 && named(last.Peers[i].Endpoint) && now.Sub(have.LastHandshakeTime) >= handshakeOld {
				out = append(out, namedPeer{last.Peers[i], have})
			}
		}
	}
	return out, errors.Join(errs...)
}

// repoint sets the endpoints of peers whose names have moved, or whose address did not
// answer.
func repoint(c *wgDevices, peers []namedPeer, names map[string]answer, sent sentBytes) error {
	configs := map[string][]wgtypes.PeerConfig{}
	for _, p := range peers {
		before, known := sent[keyPeer(p.want)]
		sent[keyPeer(p.want)] = p.have.TransmitBytes
		var at netip.AddrPort
		if p.have.Endpoint != nil {
			at = unmapped(p.have.Endpoint.AddrPort())
		}
		to := nextAddr(names[p.want.Endpoint].addrs, at, known && p.have.TransmitBytes > before)
		if to != at && to.IsValid() {
			configs[p.want.Link] = append(configs[p.want.Link], wgtypes.PeerConfig{
				PublicKey: p.have.PublicKey, UpdateOnly: true, Endpoint: net.UDPAddrFromAddrPort(to),
			})
		}
	}
	var errs []error
	for link, list := range configs {
		if err := c.ConfigureDevice(link, wgtypes.Config{Peers: list}); err != nil {
			errs = append(errs, fmt.Errorf("set endpoints of %s: %w", link, err))
		}
	}
	return errors.Join(errs...)
}

// nextAddr is where a peer that does not answer at an address is to be tried: there
// again unless it was tried, then at the next of the addresses of its name. Invalid:
// nobody knows.
func nextAddr(list []netip.AddrPort, at netip.AddrPort, tried bool) netip.AddrPort {
	i := slices.Index(list, at)
	switch {
	case len(list) == 0:
		return netip.AddrPort{}
	case i < 0:
		return list[0]
	case tried:
		return list[(i+1)%len(list)]
	}
	return at
}

func unmapped(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }
