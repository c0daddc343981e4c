//go:build linux

package bgp

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/osrg/gobgp/v4/api"
	"github.com/osrg/gobgp/v4/pkg/apiutil"
	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
	"github.com/osrg/gobgp/v4/pkg/server"
)

// watch passes best paths on to changes and sessions' news to the speaker, until ctx
// ends. It starts before there are neighbours.
func (sp *speaker) watch(ctx context.Context, changes chan<- map[netip.Prefix][]netip.Addr, moves chan<- move) error {
	best := bests{}
	err := sp.gobgp.WatchEvent(ctx, server.WatchEventMessageCallbacks{
		OnBestPath: func(paths []*apiutil.Path, _ time.Time) {
			if c := best.take(paths); len(c) > 0 {
				send(ctx, changes, c)
			}
		},
		OnPathEor: func(path *apiutil.Path, _ time.Time) {
			send(ctx, moves, move{addr: path.PeerAddress, up: true, all: true})
		},
		OnPeerUpdate: func(e *apiutil.WatchEventMessage_PeerEvent, _ time.Time) {
			s := e.Peer.State
			send(ctx, moves, move{addr: s.NeighborAddress, up: s.SessionState == bgp.BGP_FSM_ESTABLISHED})
		},
	}, server.WatchPeer(), server.WatchBestPath(false), server.WatchEor(false))
	if err != nil {
		return fmt.Errorf("watch routes: %w", err)
	}
	return nil
}

// move is something about a neighbour's session.
type move struct {
	addr netip.Addr
	up   bool
	all  bool // all of its routes of one family are here (End-of-RIB)
}

func send[T any](ctx context.Context, to chan<- T, v T) {
	select {
	case to <- v:
	case <-ctx.Done():
	}
}

// bests are the best paths to each destination, several where they are equally good.
// GoBGP tells only which of them came and went.
type bests map[netip.Prefix][]learned

// learned is a path as far as the kernel's route depends on it.
type learned struct {
	from, hop netip.Addr // invalid: of our own
}

// take notes what GoBGP told, and returns where the kernel is to send what goes to the
// destinations that it was about. A route of our own has no next hops.
func (b bests) take(paths []*apiutil.Path) map[netip.Prefix][]netip.Addr {
	out := make(map[netip.Prefix][]netip.Addr, 1)
	for _, path := range paths {
		p, ok := prefixOf(path)
		if !ok {
			continue
		}
		b.note(p, learned{path.PeerAddress, nextHopOf(path)}, path.Withdrawal)
		out[p] = nil
	}
	for p := range out {
		for _, l := range b[p] {
			if l.from.IsValid() && l.hop.IsValid() {
				out[p] = append(out[p], l.hop)
			}
		}
	}
	return out
}

// note is about one path; each neighbour has one to a destination at most.
func (b bests) note(p netip.Prefix, l learned, gone bool) {
	at := slices.IndexFunc(b[p], func(o learned) bool { return o.from == l.from })
	switch {
	case gone && at >= 0 && len(b[p]) == 1:
		delete(b, p)
	case gone && at >= 0:
		b[p] = slices.Delete(b[p], at, at+1)
	case gone:
	case at >= 0:
		b[p][at] = l
	default:
		b[p] = append(b[p], l)
	}
}

// others are the next hops of all paths to p, best first, one by one: for the case
// that those of the best cannot be reached.
func (sp *speaker) others(p netip.Prefix) [][]netip.Addr {
	var out [][]netip.Addr
	r := apiutil.ListPathRequest{
		TableType: api.TableType_TABLE_TYPE_GLOBAL, Family: familyOf(p), Prefixes: []*apiutil.LookupPrefix{{Prefix: p.String()}},
	}
	err := sp.gobgp.ListPath(r, func(_ bgp.NLRI, paths []*apiutil.Path) {
		for _, path := range paths {
			if nh := nextHopOf(path); nh.IsValid() && path.PeerAddress.IsValid() {
				out = append(out, []netip.Addr{nh})
			}
		}
	})
	if err != nil {
		return nil // no longer there: its withdrawal is under way
	}
	return out
}
