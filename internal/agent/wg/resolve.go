//go:build linux

package wg

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"time"

	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"github.com/flocknet/flock/internal/spec"
)

// The kernel knows addresses, not names: an endpoint whose name gets another address is
// lost for ever. A process of ours resolves it again, only where an endpoint is a name,
// only for peers that do not answer.

// ResolveEvery is how often the process looks.
const ResolveEvery = 30 * time.Second

// handshakeOld is the age at which a peer that was talked to has missed a handshake: one is
// due every 120 s (REKEY_AFTER_TIME of the WireGuard paper, §6.1).
const handshakeOld = 135 * time.Second

// Resolver looks after endpoints that are names.
type Resolver struct {
	// Confirmed returns the spec that was last confirmed, nil if there is none.
	Confirmed func() *spec.Host
	// Lock takes the server's lock. Without an error unlock is nil where somebody has it,
	// which leaves the server alone.
	Lock func() (unlock func() error, err error)
	// Sent is what was sent to each peer up to the last look, handshakes included: a peer
	// to which more was sent since then was tried.
	Sent map[peerKey]int64
}

// NewResolver returns one that has seen nothing yet.
func NewResolver(confirmed func() *spec.Host, lock func() (func() error, error)) *Resolver {
	return &Resolver{Confirmed: confirmed, Lock: lock, Sent: map[peerKey]int64{}}
}

// Look asks again for the names of those peers whose last handshake is old. An endpoint that
// is none of the answers is replaced by the first; one that was sent to in vain by the
// next. It asks before it takes the lock. What fails does not stop the rest.
func (r *Resolver) Look(ctx context.Context, now time.Time) (err error) {
	c := &Devices{}
	defer func() { err = errors.Join(err, c.Close()) }()
	stale, errs := r.stale(c, now)
	if len(stale) == 0 {
		return errs
	}
	var endpoints []string
	for _, p := range stale {
		endpoints = append(endpoints, p.want.Endpoint)
	}
	names := ask(ctx, endpoints)
	for _, endpoint := range slices.Sorted(maps.Keys(names)) {
		errs = errors.Join(errs, names[endpoint].err)
	}
	unlock, err := r.Lock()
	errs = errors.Join(errs, err)
	if unlock == nil {
		return errs
	}
	stale, err = r.stale(c, now) // what has changed meanwhile is not ours
	errs = errors.Join(errs, err, r.repoint(c, stale, names))
	return errors.Join(errs, unlock())
}

// namedPeer is a peer by name: as it is wanted, and as its device has it.
type namedPeer struct {
	want spec.Peer
	have wgtypes.Peer
}

// stale are the peers by name whose last handshake is old. An error is about some device;
// the peers of the others are returned.
func (r *Resolver) stale(c *Devices, now time.Time) ([]namedPeer, error) {
	last := r.Confirmed()
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
			if i >= 0 && IsName(last.Peers[i].Endpoint) && now.Sub(have.LastHandshakeTime) >= handshakeOld {
				out = append(out, namedPeer{last.Peers[i], have})
			}
		}
	}
	return out, errors.Join(errs...)
}

// repoint sets the endpoints of peers whose names have other addresses now, or whose
// address did not answer.
func (r *Resolver) repoint(c *Devices, peers []namedPeer, names map[string]answer) error {
	configs := map[string][]wgtypes.PeerConfig{}
	for _, p := range peers {
		before, known := r.Sent[keyPeer(p.want)]
		r.Sent[keyPeer(p.want)] = p.have.TransmitBytes
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

// nextAddr is where to try a peer that does not answer at an address: there again unless it
// was tried, otherwise at the next address of its name. Invalid where the name has none.
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
