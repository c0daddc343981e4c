//go:build linux

package wg

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"github.com/flocknet/flock/internal/spec"
)

// Two WireGuard devices that are set up at the same time may lose their first handshake:
// one begins before the other knows its key, or both begin at once, and each takes the
// other's initiation for the answer to its own. Either way a device waits five seconds
// before it begins again (REKEY_TIMEOUT of the WireGuard paper, §6.1), and so does every
// container behind it. Therefore one of each pair is asked to begin when both are set up.

// silences are how long the attempts wait for the answer: one over a long line arrives,
// and three attempts are over in a second. A device accepts one initiation of a peer in
// 20 ms; the attempts are further apart.
var silences = []time.Duration{100 * time.Millisecond, 300 * time.Millisecond, 600 * time.Millisecond}

// enough is how long the answer to a second attempt is waited for at least. After that it is for a
// Pace to say whether a peer is silent.
const enough = 40 * time.Millisecond

// Pace says when those who do not answer have been waited for long enough, by what else they showed.
type Pace interface {
	// Look is called again and again, with where those are who have not answered: addresses below the
	// network, invalid ones where nobody knows.
	Look(below []netip.Addr)
	// Over says whether an answer to what was sent then would be here.
	Over(since time.Time) bool
}

// pollEvery is how often a device is read meanwhile.
const pollEvery = 5 * time.Millisecond

// Handshake begins a handshake with those of peers that never had one and returns the ones
// that do not answer. A session that exists is not touched. Confirmed must have been called
// before.
func (s *Server) Handshake(ctx context.Context, peers []spec.Peer, pace Pace) ([]spec.Peer, error) {
	silent, err := s.silent(peers)
	if len(silent) == 0 || err != nil {
		return nil, err
	}
	began := silent
	silent, err = s.attempt(ctx, silent, pace)
	return silent, errors.Join(err, s.restoreKeepalives(began))
}

// attempt begins handshakes, one after the other with each peer, and returns the peers that
// answer none: two attempts if pace says that this will do, else three.
func (s *Server) attempt(ctx context.Context, peers []spec.Peer, pace Pace) ([]spec.Peer, error) {
	if err := s.initiate(peers); err != nil {
		return nil, err
	}
	for i, wait := range silences {
		if i > 0 {
			if err := s.startOver(ctx, peers, i); err != nil {
				return nil, err
			}
		}
		began := time.Now()
		over := func() bool { return i > 0 && time.Since(began) >= enough && pace.Over(began) }
		look := func(silent []spec.Peer) bool {
			pace.Look(belows(silent))
			return over()
		}
		var err error
		if peers, err = s.awaitAnswers(ctx, peers, wait, look); len(peers) == 0 || err != nil {
			return nil, err
		}
		if over() {
			break
		}
	}
	return peers, nil
}

// silent are those of peers that had no handshake yet.
func (s *Server) silent(peers []spec.Peer) ([]spec.Peer, error) {
	answered := map[peerKey]bool{}
	for _, link := range linksOf(peers) {
		d, err := s.Device(link)
		if err != nil {
			return nil, err
		}
		if d == nil {
			continue
		}
		for _, p := range d.Peers {
			answered[peerKey{link, p.PublicKey.String()}] = !SessionOf(link, p).Handshake.IsZero()
		}
	}
	return spec.Without(peers, func(p spec.Peer) bool { return answered[keyPeer(p)] }), nil
}

func linksOf(peers []spec.Peer) []string {
	var out []string
	for _, p := range peers {
		out = append(out, p.Link)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// belows are the addresses to which packets for peers go.
func belows(peers []spec.Peer) []netip.Addr {
	out := make([]netip.Addr, len(peers))
	for i, p := range peers {
		at, _ := netip.ParseAddrPort(p.Endpoint) // of a name the kernel alone knows which it is
		out[i] = at.Addr()
	}
	return out
}

// awaitAnswers waits until every peer had a handshake, at most for wait, or until done says so of those
// that had none, and returns these.
func (s *Server) awaitAnswers(ctx context.Context, peers []spec.Peer, wait time.Duration, done func([]spec.Peer) bool) ([]spec.Peer, error) {
	over := time.NewTimer(wait)
	defer over.Stop()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		silent, err := s.silent(peers)
		if len(silent) == 0 || err != nil {
			return nil, err
		}
		if done(silent) {
			return silent, nil
		}
		select {
		case <-tick.C:
		case <-over.C:
			return silent, nil
		case <-ctx.Done():
			return silent, ctx.Err()
		}
	}
}

// initiate makes a device send something to peers that is nobody's packet: a device whose
// keepalive is turned on sends one at once.
func (s *Server) initiate(peers []spec.Peer) error {
	if err := s.keepalives(peers, func(spec.Peer) int { return 0 }); err != nil {
		return err
	}
	return s.keepalives(peers, awaiting)
}

// awaiting is the keepalive interval, in seconds, while a peer's answer is awaited.
func awaiting(p spec.Peer) int { return max(p.Keepalive, 1) }

// restoreKeepalives gives peers the keepalive that is wanted.
func (s *Server) restoreKeepalives(peers []spec.Peer) error {
	peers = spec.Without(peers, func(p spec.Peer) bool { return p.Keepalive == awaiting(p) })
	return s.keepalives(peers, func(p spec.Peer) int { return p.Keepalive })
}

func (s *Server) keepalives(peers []spec.Peer, every func(spec.Peer) int) error {
	return s.eachLink(peers, func(p spec.Peer) ([]wgtypes.PeerConfig, error) {
		key, err := wgtypes.ParseKey(p.Key)
		interval := time.Duration(every(p)) * time.Second
		return []wgtypes.PeerConfig{{PublicKey: key, UpdateOnly: true, PersistentKeepaliveInterval: &interval}}, err
	})
}

// startOver removes peers and adds them again: a device does not begin twice within five
// seconds with the same peer. Of an endpoint with several addresses it takes the next one.
func (s *Server) startOver(ctx context.Context, peers []spec.Peer, turn int) error {
	var endpoints []string
	for _, p := range peers {
		endpoints = append(endpoints, p.Endpoint)
	}
	s.Learn(ctx, endpoints)
	return s.eachLink(peers, func(p spec.Peer) ([]wgtypes.PeerConfig, error) {
		key, err := wgtypes.ParseKey(p.Key)
		again := wgtypes.PeerConfig{PublicKey: key}
		p.Keepalive = awaiting(p)
		s.peerConfig(&again, p, spec.Peer{}, turn)
		return []wgtypes.PeerConfig{{PublicKey: key, Remove: true, UpdateOnly: true}, again}, err
	})
}

// eachLink configures peers, those of a device in one call.
func (s *Server) eachLink(peers []spec.Peer, config func(spec.Peer) ([]wgtypes.PeerConfig, error)) error {
	configs := map[string][]wgtypes.PeerConfig{}
	for _, p := range peers {
		list, err := config(p)
		if err != nil {
			return err
		}
		configs[p.Link] = append(configs[p.Link], list...)
	}
	for link, list := range configs {
		if err := s.configure(link, wgtypes.Config{Peers: list}); err != nil {
			return err
		}
	}
	return nil
}
