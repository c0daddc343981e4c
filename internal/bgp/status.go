//go:build linux

package bgp

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/osrg/gobgp/v4/api"
	"github.com/osrg/gobgp/v4/pkg/apiutil"
	"github.com/osrg/gobgp/v4/pkg/packet/bgp"

	"github.com/flocknet/flock/internal/bgp/journal"
	"github.com/flocknet/flock/internal/spec"
)

// negotiated is what both ends of addr's session agreed on: how many address families,
// and whether the neighbour keeps our routes while we restart and marks the end of its
// own (End-of-RIB).
func (sp *speaker) negotiated(ctx context.Context, addr netip.Addr) (keeps bool, families int, err error) {
	err = sp.gobgp.ListPeer(ctx, &api.ListPeerRequest{Address: addr.String()}, func(p *api.Peer) { keeps, families = common(p) })
	if err != nil {
		return false, 0, fmt.Errorf("look at neighbor %s: %w", addr, err)
	}
	return keeps, families, nil
}

// common are the capabilities that both ends of p's session have.
func common(p *api.Peer) (keeps bool, families int) {
	offered := map[api.Family_Afi]bool{}
	for _, c := range p.GetState().GetRemoteCap() {
		if mp := c.GetMultiProtocol(); mp != nil {
			offered[mp.GetFamily().GetAfi()] = true
		}
		keeps = keeps || c.GetGracefulRestart() != nil
	}
	for _, f := range p.GetAfiSafis() {
		// Without the capability it is IPv4 (RFC 4760).
		if afi := f.GetConfig().GetFamily().GetAfi(); offered[afi] || len(offered) == 0 && afi == api.Family_AFI_IP {
			families++
		}
	}
	return keeps, families
}

// status is the daemon's report.
func (d *daemon) status(ctx context.Context) (*spec.BGPStatus, error) {
	kernel, err := d.fib.state(ctx)
	if err != nil {
		return nil, err
	}
	sp := d.speaker
	sp.mu.Lock()
	running, secrets := sp.running, sp.secrets
	restarts := sp.restarting && len(sp.waiting) > 0 && time.Since(sp.started) < time.Duration(restartTime(running))*time.Second
	sp.mu.Unlock()
	s := &spec.BGPStatus{
		Network: running.Network, AS: running.AS, RouterID: running.RouterID,
		Uptime: time.Since(sp.started).Round(time.Second), Restarts: restarts,
	}
	if s.Neighbors, err = sp.neighbors(ctx, running, secrets); err != nil {
		return nil, err
	}
	d.watched.Describe(s.Neighbors, running)
	if s.Routes, err = sp.routes(running, kernel); err != nil {
		return nil, err
	}
	countAccepted(s)
	return s, nil
}

// countAccepted counts per neighbour what the filters accepted: its paths in the global
// table.
func countAccepted(s *spec.BGPStatus) {
	accepted := map[netip.Addr]int{}
	for _, r := range s.Routes {
		for _, p := range r.Paths {
			accepted[p.From]++
		}
	}
	for i := range s.Neighbors {
		s.Neighbors[i].Accepted = accepted[s.Neighbors[i].Addr]
	}
}

// state lists the routes that the kernel should have, and what it does with them; its
// tables are read again for that.
func (f *fib) state(ctx context.Context) (map[netip.Prefix]kept, error) {
	answer := make(chan map[netip.Prefix]kept, 1)
	select {
	case f.looks <- answer:
		return <-answer, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (sp *speaker) neighbors(ctx context.Context, s *spec.BGP, secrets map[string]string) ([]spec.BGPNeighborStatus, error) {
	peers := map[netip.Addr]*api.Peer{}
	err := sp.gobgp.ListPeer(ctx, &api.ListPeerRequest{EnableAdvertised: true}, func(p *api.Peer) {
		if addr, err := netip.ParseAddr(p.GetState().GetNeighborAddress()); err == nil {
			peers[addr] = p
		}
	})
	if err != nil {
		return nil, fmt.Errorf("list neighbors: %w", err)
	}
	drops := md5Drops()
	out := make([]spec.BGPNeighborStatus, 0, len(s.Neighbors))
	for _, n := range s.Neighbors {
		h := sp.journal.About(n.Addr)
		one := neighborStatus(s, n, peers[n.Addr], h, secrets[n.Secret] != "", drops)
		if one.State == spec.BGPEstablished && one.Uptime >= spec.BGPHeard {
			if one.Unmatched, err = sp.unmatched(s, n); err != nil {
				return nil, err
			}
		}
		out = append(out, one)
	}
	slices.SortFunc(out, func(a, b spec.BGPNeighborStatus) int { return a.Addr.Compare(b.Addr) })
	return out, nil
}

// unmatched are the rules of n's Import that match nothing that it announces.
func (sp *speaker) unmatched(s *spec.BGP, n spec.BGPNeighbor) ([]spec.PrefixRule, error) {
	unmatched := slices.Clone(n.Import)
	for _, family := range families(s, n) {
		if len(unmatched) == 0 {
			break
		}
		r := apiutil.ListPathRequest{TableType: api.TableType_TABLE_TYPE_ADJ_IN, Name: n.Addr.String(), Family: family}
		err := sp.gobgp.ListPath(r, func(_ bgp.NLRI, paths []*apiutil.Path) {
			for _, path := range paths {
				if p, ok := prefixOf(path); ok {
					unmatched = slices.DeleteFunc(unmatched, func(rule spec.PrefixRule) bool { return rule.Matches(p) })
				}
			}
		})
		if err != nil {
			return nil, fmt.Errorf("list what neighbor %s announces: %w", n.Addr, err)
		}
	}
	return unmatched, nil
}

// states translates GoBGP's session states to the names of RFC 4271.
var states = map[api.PeerState_SessionState]string{
	api.PeerState_SESSION_STATE_IDLE: spec.BGPIdle, api.PeerState_SESSION_STATE_CONNECT: spec.BGPConnect, api.PeerState_SESSION_STATE_ACTIVE: spec.BGPActive,
	api.PeerState_SESSION_STATE_OPENSENT: spec.BGPOpenSent, api.PeerState_SESSION_STATE_OPENCONFIRM: spec.BGPOpenConfirm, api.PeerState_SESSION_STATE_ESTABLISHED: spec.BGPEstablished,
}

// neighborStatus is one session; p is nil if GoBGP does not have the neighbour.
func neighborStatus(s *spec.BGP, n spec.BGPNeighbor, p *api.Peer, h journal.Heard, password bool, drops uint64) spec.BGPNeighborStatus {
	out := spec.BGPNeighborStatus{Addr: n.Addr, Name: n.Name, AS: n.AS, External: n.External, State: spec.BGPIdle}
	if state, ok := states[p.GetState().GetSessionState()]; ok {
		out.State = state
	}
	for _, f := range p.GetAfiSafis() {
		// GoBGP counts as accepted what has neither our AS in its path nor our router id
		// as its originator: routers also announce our own prefixes to us. Its import
		// filters come after that.
		out.Received += int(f.GetState().GetAccepted()) //nolint:gosec // prefixes
		out.Sent += int(f.GetState().GetAdvertised())   //nolint:gosec // prefixes
	}
	since := func(unix int64) time.Duration {
		if unix == 0 {
			return 0
		}
		return time.Since(time.Unix(unix, 0)).Round(time.Second)
	}
	if out.State == spec.BGPEstablished {
		out.Uptime = max(since(p.GetTimers().GetState().GetUptime().GetSeconds()), time.Second)
		return out
	}
	out.Sent = 0
	if p.GetTimers().GetState().GetUptime().GetSeconds() != 0 {
		out.Uptime = since(p.GetTimers().GetState().GetDowntime().GetSeconds())
	}
	out.Why = whyDown(s, n, p, h, password, drops)
	out.Refused = h.Refused || p.GetState().GetAdminState() == api.PeerState_ADMIN_STATE_PFX_CT
	return out
}

// whyDown says why n's session is not up.
func whyDown(s *spec.BGP, n spec.BGPNeighbor, p *api.Peer, h journal.Heard, password bool, drops uint64) string {
	wrong := fmt.Sprintf("Bad Peer AS: it says another AS than %d, the one expected of it", n.AS)
	if h.AS != 0 {
		wrong = fmt.Sprintf("Bad Peer AS: it says AS %d, and AS %d is expected of it", h.AS, n.AS)
	}
	why := strings.Replace(h.Why, journal.BadPeerAS, wrong, 1)
	switch {
	case p.GetState().GetAdminState() == api.PeerState_ADMIN_STATE_PFX_CT:
		return fmt.Sprintf("it announced more than %d prefixes, so the session ended and stays down: "+
			"raise the limit, or remove the neighbor and add it again", n.MaxPrefixes)
	case (why == "" || strings.HasSuffix(why, journal.WeEnded+journal.Unexpected)) && p.GetState().GetMessages().GetReceived().GetNotification() > 0:
		// Its NOTIFICATION came later than look waits.
		why = fmt.Sprintf("it refuses the session: most often it expects another AS than %d, the one of this server; its log says", s.AS)
	case why == "":
		why = "no session yet"
	case why == journal.NoBGP && h.Last != "":
		why += "; the last session ended: " + h.Last
	}
	if why != journal.NoAnswer {
		return why
	}
	if password {
		why += "; with a password (TCP MD5) that is also how a wrong one shows: is it the same on both sides?"
	}
	if drops > 0 {
		why += fmt.Sprintf("; this server dropped %d TCP segments whose MD5 signature was wrong, missing or not expected", drops)
	}
	return why
}

// routes are all destinations that the speaker knows.
func (sp *speaker) routes(s *spec.BGP, kernel map[netip.Prefix]kept) ([]spec.BGPRoute, error) {
	out := map[netip.Prefix]*spec.BGPRoute{}
	for _, family := range []bgp.Family{bgp.RF_IPv4_UC, bgp.RF_IPv6_UC} {
		r := apiutil.ListPathRequest{TableType: api.TableType_TABLE_TYPE_GLOBAL, Family: family}
		err := sp.gobgp.ListPath(r, func(_ bgp.NLRI, paths []*apiutil.Path) {
			if len(paths) == 0 {
				return
			}
			if p, ok := prefixOf(paths[0]); ok {
				out[p] = route(s, p, paths, kernel)
			}
		})
		if err != nil {
			return nil, fmt.Errorf("list routes: %w", err)
		}
	}
	list := make([]spec.BGPRoute, 0, len(out))
	for _, p := range slices.SortedFunc(maps.Keys(out), netip.Prefix.Compare) {
		list = append(list, *out[p])
	}
	return list, nil
}

func route(s *spec.BGP, p netip.Prefix, paths []*apiutil.Path, kernel map[netip.Prefix]kept) *spec.BGPRoute {
	r := &spec.BGPRoute{Prefix: p}
	has, wanted := kernel[p]
	r.Kernel, r.Why, r.Held, r.Unused = wanted && has.missing == "", has.missing, has.held, has.unused
	for i, path := range paths {
		from := path.PeerAddress
		q := spec.BGPPath{
			From: from, Name: nameOf(s, from), ASPath: asPathOf(path), Stale: path.Stale,
			Age: time.Since(time.Unix(path.Age, 0)).Round(time.Second), Used: path.Best, LocalPref: preferenceOf(path),
		}
		if from.IsValid() {
			q.NextHop = nextHopOf(path)
		} else if i == 0 {
			r.Local, r.Kernel, r.Why, r.Held, r.Unused = true, false, "", false, ""
		}
		r.Paths = append(r.Paths, q)
	}
	return r
}

func nameOf(s *spec.BGP, addr netip.Addr) string {
	for _, n := range s.Neighbors {
		if n.Addr == addr {
			return n.Name
		}
	}
	return ""
}
