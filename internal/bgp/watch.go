//go:build linux

package bgp

import (
	"context"
	"fmt"
	"net/netip"

	api "github.com/osrg/gobgp/v3/api"
)

// watch passes best paths on to changes and sessions' news to the speaker, until ctx
// ends. It starts before there are neighbours.
func (sp *speaker) watch(ctx context.Context, changes chan<- map[netip.Prefix][]netip.Addr, moves chan<- move) error {
	r := &api.WatchEventRequest{
		Peer: &api.WatchEventRequest_Peer{},
		Table: &api.WatchEventRequest_Table{Filters: []*api.WatchEventRequest_Table_Filter{
			{Type: api.WatchEventRequest_Table_Filter_BEST}, {Type: api.WatchEventRequest_Table_Filter_EOR},
		}},
	}
	err := sp.gobgp.WatchEvent(ctx, r, func(e *api.WatchEventResponse) {
		if p := e.GetPeer().GetPeer(); p != nil {
			if addr, err := netip.ParseAddr(p.GetState().GetNeighborAddress()); err == nil {
				send(ctx, moves, move{addr: addr, up: p.State.SessionState == api.PeerState_ESTABLISHED})
			}
			return
		}
		paths := e.GetTable().GetPaths()
		if len(paths) == 1 && paths[0].GetNlri() == nil {
			send(ctx, moves, move{addr: sourceOf(paths[0]), up: true, all: true, family: paths[0].GetFamily()})
			return
		}
		if c := best(paths); len(c) > 0 {
			send(ctx, changes, c)
		}
	})
	if err != nil {
		return fmt.Errorf("watch routes: %w", err)
	}
	return nil
}

// move is something about a neighbour's session.
type move struct {
	addr   netip.Addr
	up     bool
	all    bool        // all of its routes of family are here (End-of-RIB)
	family *api.Family // nil: of all families
}

func send[T any](ctx context.Context, to chan<- T, v T) {
	select {
	case to <- v:
	case <-ctx.Done():
	}
}

// best is where the kernel is to send what goes to the destinations of paths: their
// best paths, several where they are equally good. A withdrawal and a route of our
// own have no next hops.
func best(paths []*api.Path) map[netip.Prefix][]netip.Addr {
	out := make(map[netip.Prefix][]netip.Addr, len(paths))
	for _, path := range paths {
		p, ok := prefixOf(path)
		if !ok {
			continue
		}
		hops := out[p]
		if nh := nextHopOf(path); !path.GetIsWithdraw() && sourceOf(path).IsValid() && nh.IsValid() {
			hops = append(hops, nh)
		}
		out[p] = hops
	}
	return out
}

// others are the next hops of all paths to p, best first, one by one: for the case
// that those of the best cannot be reached.
func (sp *speaker) others(p netip.Prefix) [][]netip.Addr {
	var out [][]netip.Addr
	r := &api.ListPathRequest{
		TableType: api.TableType_GLOBAL, Family: familyOf(p), Prefixes: []*api.TableLookupPrefix{{Prefix: p.String()}},
	}
	err := sp.gobgp.ListPath(context.Background(), r, func(d *api.Destination) {
		for _, path := range d.Paths {
			if nh := nextHopOf(path); nh.IsValid() && sourceOf(path).IsValid() {
				out = append(out, []netip.Addr{nh})
			}
		}
	})
	if err != nil {
		return nil // no longer there: its withdrawal is under way
	}
	return out
}
