//go:build linux

package bgp

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/osrg/gobgp/v4/api"
	"github.com/osrg/gobgp/v4/pkg/apiutil"
	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
	"github.com/osrg/gobgp/v4/pkg/server"
)

// watch sends best paths to changes and session events to the speaker, until ctx ends.
// It starts before there are neighbours.
func (sp *speaker) watch(ctx context.Context, changes chan<- []told, moves chan<- move) error {
	err := sp.gobgp.WatchEvent(ctx, server.WatchEventMessageCallbacks{
		OnBestPath: func(paths []*apiutil.Path, _ time.Time) {
			c := make([]told, 0, len(paths))
			for _, path := range paths {
				if p, ok := prefixOf(path); ok {
					c = append(c, told{p, learned{path.PeerAddress, nextHopOf(path)}, path.Withdrawal})
				}
			}
			send(ctx, changes, c)
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

// move is one event of a neighbour's session.
type move struct {
	addr netip.Addr
	up   bool
	all  bool // it has sent all routes of one address family (End-of-RIB)
}

func send[T any](ctx context.Context, to chan<- T, v T) {
	select {
	case to <- v:
	case <-ctx.Done():
	}
}

// others are all paths to p, best first: used when no next hop of the best paths
// answers.
func (sp *speaker) others(p netip.Prefix) []learned {
	var out []learned
	r := apiutil.ListPathRequest{
		TableType: api.TableType_TABLE_TYPE_GLOBAL, Family: familyOf(p), Prefixes: []*apiutil.LookupPrefix{{Prefix: p.String()}},
	}
	err := sp.gobgp.ListPath(r, func(_ bgp.NLRI, paths []*apiutil.Path) {
		for _, path := range paths {
			if nh := nextHopOf(path); nh.IsValid() && path.PeerAddress.IsValid() {
				out = append(out, learned{path.PeerAddress, nh})
			}
		}
	})
	if err != nil {
		return nil // gone: its withdrawal will be reported
	}
	return out
}
