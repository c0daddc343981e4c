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

	"github.com/flocknet/flock/internal/spec"
)

// exchanges are what the neighbours with these addresses tell this server, and are told.
// s has the routes that were accepted of all neighbours.
func (sp *speaker) exchanges(ctx context.Context, peers []netip.Addr, s *spec.BGPStatus) ([]spec.BGPExchange, error) {
	list, err := sp.among(peers)
	if err != nil {
		return nil, err
	}
	routes := make(map[netip.Prefix]*spec.BGPRoute, len(s.Routes))
	for i := range s.Routes {
		routes[s.Routes[i].Prefix] = &s.Routes[i]
	}
	out := make([]spec.BGPExchange, 0, len(list))
	for _, n := range list {
		e, err := sp.exchange(ctx, n, routes)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// among are the neighbours with these addresses.
func (sp *speaker) among(peers []netip.Addr) ([]spec.BGPNeighbor, error) {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	var out []spec.BGPNeighbor
	for _, addr := range peers {
		at := slices.IndexFunc(sp.running.Neighbors, func(n spec.BGPNeighbor) bool { return n.Addr == addr })
		if at < 0 {
			return nil, fmt.Errorf("%s is no neighbor of the daemon that runs", addr)
		}
		out = append(out, sp.running.Neighbors[at])
	}
	return out, nil
}

func (sp *speaker) exchange(ctx context.Context, n spec.BGPNeighbor, routes map[netip.Prefix]*spec.BGPRoute) (spec.BGPExchange, error) {
	sp.mu.Lock()
	s, up := sp.running, sp.up[n.Addr]
	sp.mu.Unlock()
	e := spec.BGPExchange{Addr: n.Addr}
	judge := newJudge(s, n, routes)
	err := sp.list(api.TableType_TABLE_TYPE_ADJ_IN, s, n, func(t spec.BGPTold, path *apiutil.Path) {
		judge.decide(&t, path)
		e.Received = append(e.Received, t)
	})
	if err != nil || !up {
		return e, err
	}
	if sp.isRestarting() {
		// GoBGP lists what it is going to tell.
		if e.Later, _, err = sp.negotiated(ctx, n.Addr); err != nil || e.Later {
			return e, err
		}
	}
	err = sp.list(api.TableType_TABLE_TYPE_ADJ_OUT, s, n, func(t spec.BGPTold, _ *apiutil.Path) {
		t.Age, t.Stale = 0, false // of the path in our own table
		e.Sent = append(e.Sent, t)
	})
	return e, err
}

// list calls each with the routes of one of n's tables, by prefix, IPv4 first.
func (sp *speaker) list(table api.TableType, s *spec.BGP, n spec.BGPNeighbor, each func(spec.BGPTold, *apiutil.Path)) error {
	type one struct {
		told spec.BGPTold
		path *apiutil.Path
	}
	var all []one
	for _, family := range families(s, n) {
		// What the filters refuse is not asked of GoBGP: for that it writes what they
		// change into its table of what the neighbour said (v4.8.0, getAdjRib).
		r := apiutil.ListPathRequest{TableType: table, Name: n.Addr.String(), Family: family}
		err := sp.gobgp.ListPath(r, func(_ bgp.NLRI, paths []*apiutil.Path) {
			for _, path := range paths {
				if t, ok := toldBy(path); ok {
					all = append(all, one{t, path})
				}
			}
		})
		if err != nil {
			return fmt.Errorf("list what neighbor %s says and hears: %w", n.Addr, err)
		}
	}
	slices.SortFunc(all, func(a, b one) int { return a.told.Prefix.Compare(b.told.Prefix) })
	for _, o := range all {
		each(o.told, o.path)
	}
	return nil
}

// toldBy is path as it is shown.
func toldBy(path *apiutil.Path) (t spec.BGPTold, ok bool) {
	t.Prefix, ok = prefixOf(path)
	t.NextHop, t.ASPath, t.Stale = nextHopOf(path), asPathOf(path), path.Stale
	t.Age = time.Since(time.Unix(path.Age, 0)).Round(time.Second)
	for _, a := range path.Attrs {
		switch a := a.(type) {
		case *bgp.PathAttributeMultiExitDisc:
			t.MED = &a.Value
		case *bgp.PathAttributeLocalPref:
			t.LocalPref = &a.Value
		case *bgp.PathAttributeCommunities:
			for _, c := range a.Value {
				t.Communities = append(t.Communities, fmt.Sprintf("%d:%d", c>>16, c&0xffff))
			}
		}
	}
	return t, ok
}
