//go:build linux

package agent

import (
	"context"
	"errors"
	"slices"
	"time"

	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"github.com/flocknet/flock/internal/spec"
)

// Two WireGuard devices that get to know each other at the same time may lose their
// first words: those of the one come before the other knows its key, or both begin
// at once, and each takes the other's beginning for the end of its own. Either way
// a device keeps still for five seconds before it begins again (REKEY_TIMEOUT of
// the WireGuard paper, §6.1), and so does every container behind it. Therefore one
// of each pair is asked to speak when both are set up.

// silences are how long an attempt waits for the answer: one that is on its way
// over a long line arrives, and three attempts are over in a second. A device takes
// one beginning of a peer in 20 ms, the next is longer after that.
var silences = []time.Duration{100 * time.Millisecond, 300 * time.Millisecond, 600 * time.Millisecond}

// speakPoll is how often a device is asked meanwhile.
const speakPoll = 5 * time.Millisecond

func (s *session) speak(ctx context.Context, r spec.Request) (*spec.Reply, error) {
	k, err := s.kernel(r.Want.Cluster)
	if err != nil {
		return nil, err
	}
	silent, err := k.speak(ctx, r.Peers)
	return &spec.Reply{Silent: silent}, err
}

// speak begins a handshake with those of peers that never had one and returns the
// ones that do not answer. A peer that has a session is left alone.
func (k *Kernel) speak(ctx context.Context, peers []spec.Peer) ([]spec.Peer, error) {
	if err := k.readConfirmed(); err != nil {
		return nil, err
	}
	silent, err := k.silent(peers)
	if len(silent) == 0 || err != nil {
		return nil, err
	}
	began := silent
	silent, err = k.coax(ctx, silent)
	return silent, errors.Join(err, k.keepQuiet(began))
}

// coax makes peers answer, as many as do.
func (k *Kernel) coax(ctx context.Context, peers []spec.Peer) ([]spec.Peer, error) {
	if err := k.nudge(peers); err != nil {
		return nil, err
	}
	for i, wait := range silences {
		if i > 0 {
			if err := k.startOver(ctx, peers, i); err != nil {
				return nil, err
			}
		}
		var err error
		if peers, err = k.awaitSpeech(ctx, peers, wait); len(peers) == 0 || err != nil {
			return nil, err
		}
	}
	return peers, nil
}

// silent are those of peers that no handshake was had with.
func (k *Kernel) silent(peers []spec.Peer) ([]spec.Peer, error) {
	spoke := map[peerKey]bool{}
	for _, link := range linksOf(peers) {
		d, err := k.wgDevice(link)
		if err != nil {
			return nil, err
		}
		if d == nil {
			continue
		}
		for _, p := range d.Peers {
			spoke[peerKey{link, p.PublicKey.String()}] = !sessionOf(link, p).Handshake.IsZero()
		}
	}
	return slices.DeleteFunc(slices.Clone(peers), func(p spec.Peer) bool { return spoke[keyPeer(p)] }), nil
}

func linksOf(peers []spec.Peer) []string {
	var out []string
	for _, p := range peers {
		out = append(out, p.Link)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// awaitSpeech waits until none of peers is silent, or no longer.
func (k *Kernel) awaitSpeech(ctx context.Context, peers []spec.Peer, wait time.Duration) ([]spec.Peer, error) {
	over := time.NewTimer(wait)
	defer over.Stop()
	tick := time.NewTicker(speakPoll)
	defer tick.Stop()
	for {
		silent, err := k.silent(peers)
		if len(silent) == 0 || err != nil {
			return nil, err
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

// nudge makes a device say something to peers that is no packet of anybody's: one
// that begins to keep its peer alive does so at once.
func (k *Kernel) nudge(peers []spec.Peer) error {
	if err := k.keepalives(peers, func(spec.Peer) int { return 0 }); err != nil {
		return err
	}
	return k.keepalives(peers, nudging)
}

// nudging is the interval in seconds while a peer's answer is awaited.
func nudging(p spec.Peer) int { return max(p.Keepalive, 1) }

// keepQuiet gives peers the keepalive that is wanted.
func (k *Kernel) keepQuiet(peers []spec.Peer) error {
	peers = slices.DeleteFunc(slices.Clone(peers), func(p spec.Peer) bool { return p.Keepalive == nudging(p) })
	return k.keepalives(peers, func(p spec.Peer) int { return p.Keepalive })
}

func (k *Kernel) keepalives(peers []spec.Peer, every func(spec.Peer) int) error {
	return k.eachLink(peers, func(p spec.Peer) ([]wgtypes.PeerConfig, error) {
		key, err := wgtypes.ParseKey(p.Key)
		interval := time.Duration(every(p)) * time.Second
		return []wgtypes.PeerConfig{{PublicKey: key, UpdateOnly: true, PersistentKeepaliveInterval: &interval}}, err
	})
}

// startOver forgets peers and what was begun with them, and begins anew: a device
// does not begin twice in five seconds with the same peer. Of an endpoint with several
// addresses the next one has its turn.
func (k *Kernel) startOver(ctx context.Context, peers []spec.Peer, turn int) error {
	var endpoints []string
	for _, p := range peers {
		endpoints = append(endpoints, p.Endpoint)
	}
	k.learnNames(ctx, endpoints)
	return k.eachLink(peers, func(p spec.Peer) ([]wgtypes.PeerConfig, error) {
		key, err := wgtypes.ParseKey(p.Key)
		again := wgtypes.PeerConfig{PublicKey: key}
		p.Keepalive = nudging(p)
		k.peerConfig(&again, p, spec.Peer{}, turn)
		return []wgtypes.PeerConfig{{PublicKey: key, Remove: true, UpdateOnly: true}, again}, err
	})
}

// eachLink configures peers, each device's in one call.
func (k *Kernel) eachLink(peers []spec.Peer, config func(spec.Peer) ([]wgtypes.PeerConfig, error)) error {
	configs := map[string][]wgtypes.PeerConfig{}
	for _, p := range peers {
		list, err := config(p)
		if err != nil {
			return err
		}
		configs[p.Link] = append(configs[p.Link], list...)
	}
	for link, list := range configs {
		if err := k.configure(link, wgtypes.Config{Peers: list}); err != nil {
			return err
		}
	}
	return nil
}
