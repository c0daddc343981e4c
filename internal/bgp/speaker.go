//go:build linux

package bgp

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/osrg/gobgp/v4/api"
	"github.com/osrg/gobgp/v4/pkg/apiutil"
	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
	"github.com/osrg/gobgp/v4/pkg/server"

	"github.com/flocknet/flock/internal/bgp/journal"
	"github.com/flocknet/flock/internal/spec"
)

// speaker is GoBGP, and what this server announces. Its methods may be called
// concurrently.
type speaker struct {
	gobgp   *server.BgpServer
	journal *journal.Journal
	started time.Time

	mu sync.Mutex
	// restarting says that routes of the daemon before this one are in use, here and at
	// the neighbours, which are told so (RFC 4724).
	restarting bool
	running    *spec.BGP
	secrets    map[string]string // password by id
	up         map[netip.Addr]bool
	waiting    map[netip.Addr]bool // neighbours that have not sent all routes since the start
}

// openSpeaker starts GoBGP without neighbours. It listens on the loopback device until
// admit.
func openSpeaker(ctx context.Context, s *spec.BGP, socket string, j *journal.Journal, restarting bool) (*speaker, error) {
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove an old socket: %w", err)
	}
	sp := &speaker{
		journal: j, started: time.Now(), restarting: restarting,
		gobgp:   server.NewBgpServer(server.LoggerOption(j.Logger(), nil), server.GrpcListenAddress("unix://"+socket)),
		running: &spec.BGP{Network: s.Network, AS: s.AS, RouterID: s.RouterID, Hold: s.Hold, Restart: s.Restart, ClusterID: s.ClusterID},
		up:      map[netip.Addr]bool{}, waiting: map[netip.Addr]bool{},
	}
	go sp.gobgp.Serve()
	global := &api.Global{
		Asn: s.AS, RouterId: s.RouterID.String(), ListenPort: spec.BGPPort, UseMultiplePaths: true, BindToDevice: loopback,
		Families: []uint32{uint32(familyIndex[bgp.RF_IPv4_UC]), uint32(familyIndex[bgp.RF_IPv6_UC])},
	}
	if _, err := os.Stat("/proc/net/if_inet6"); err != nil {
		global.ListenAddresses = []string{"0.0.0.0"} // a kernel without IPv6
	}
	if err := sp.gobgp.StartBgp(ctx, &api.StartBgpRequest{Global: global}); err != nil {
		return nil, fmt.Errorf("listen for BGP on TCP port %d: %w", spec.BGPPort, err)
	}
	return sp, sp.filters(ctx)
}

// filters makes the first filters, before there are neighbours.
func (sp *speaker) filters(ctx context.Context) error {
	if err := sp.gobgp.SetPolicies(ctx, filtersOf(sp.running)); err != nil {
		return fmt.Errorf("set filters: %w", err)
	}
	for direction, name := range map[api.PolicyDirection]string{
		api.PolicyDirection_POLICY_DIRECTION_IMPORT: importPolicy, api.PolicyDirection_POLICY_DIRECTION_EXPORT: exportPolicy,
	} {
		if err := sp.gobgp.AddPolicyAssignment(ctx, &api.AddPolicyAssignmentRequest{Assignment: &api.PolicyAssignment{
			Name: "global", Direction: direction, Policies: []*api.Policy{{Name: name}}, DefaultAction: api.RouteAction_ROUTE_ACTION_ACCEPT,
		}}); err != nil {
			return fmt.Errorf("set filters: %w", err)
		}
	}
	return nil
}

// familyIndex are GoBGP's own numbers for address families in Global.Families.
var familyIndex = map[bgp.Family]int{bgp.RF_IPv4_UC: 0, bgp.RF_IPv6_UC: 1}

// apply makes the speaker do what want says. Sessions that do not change stay up. On an
// error, running has what was applied.
func (sp *speaker) apply(ctx context.Context, want *spec.BGP, secrets map[string]string) error {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	have := *sp.running
	if err := sp.filter(ctx, &have, want); err != nil {
		return err
	}
	if err := sp.announce(have.Prefixes, want.Prefixes); err != nil {
		return err
	}
	if err := sp.meet(ctx, &have, want, secrets); err != nil {
		return err
	}
	sp.running, sp.secrets = want, secrets
	return sp.look(ctx, &have, want)
}

// filter sets want's filters.
func (sp *speaker) filter(ctx context.Context, have, want *spec.BGP) error {
	if filtersOf(have).String() == filtersOf(want).String() {
		return nil
	}
	if err := sp.gobgp.SetPolicies(ctx, filtersOf(want)); err != nil {
		return fmt.Errorf("set filters: %w", err)
	}
	return nil
}

// look passes the routes of neighbours that stay through changed filters; what is not
// permitted any more is withdrawn.
func (sp *speaker) look(ctx context.Context, have, want *spec.BGP) error {
	if filtersOf(have).String() == filtersOf(want).String() {
		return nil
	}
	for _, n := range want.Neighbors {
		if !sp.up[n.Addr] || !n.External && slices.Equal(have.Prefixes, want.Prefixes) {
			continue
		}
		direction := api.ResetPeerRequest_DIRECTION_IN
		if n.External {
			direction = api.ResetPeerRequest_DIRECTION_BOTH
		}
		r := &api.ResetPeerRequest{Address: n.Addr.String(), Soft: true, Direction: direction}
		if err := sp.gobgp.ResetPeer(ctx, r); err != nil {
			return fmt.Errorf("filter the routes of %s anew: %w", n.Addr, err)
		}
	}
	return nil
}

// announce adds and withdraws this server's own prefixes.
func (sp *speaker) announce(have, want []netip.Prefix) error {
	for _, p := range have {
		if slices.Contains(want, p) {
			continue
		}
		path, err := localPath(p)
		if err == nil {
			err = sp.gobgp.DeletePath(apiutil.DeletePathRequest{Paths: []*apiutil.Path{path}})
		}
		if err != nil {
			return fmt.Errorf("withdraw %s: %w", p, err)
		}
	}
	for _, p := range want {
		if slices.Contains(have, p) {
			continue
		}
		path, err := localPath(p)
		if err == nil {
			_, err = sp.gobgp.AddPath(apiutil.AddPathRequest{Paths: []*apiutil.Path{path}})
		}
		if err != nil {
			return fmt.Errorf("announce %s: %w", p, err)
		}
	}
	return nil
}

// localPath is a route that this server announces; its next hop is the address that the
// session comes from.
func localPath(p netip.Prefix) (*apiutil.Path, error) {
	nlri, err := bgp.NewIPAddrPrefix(p)
	if err != nil {
		return nil, err
	}
	none := netip.IPv6Unspecified()
	if p.Addr().Is4() {
		none = netip.IPv4Unspecified()
	}
	hop, err := bgp.NewPathAttributeNextHop(none)
	if err != nil {
		return nil, err
	}
	attrs := []bgp.PathAttributeInterface{bgp.NewPathAttributeOrigin(bgp.BGP_ORIGIN_ATTR_TYPE_IGP), hop}
	return &apiutil.Path{Family: familyOf(p), Nlri: nlri, Attrs: attrs, Age: time.Now().Unix()}, nil
}

// meet adds, changes and removes neighbours.
func (sp *speaker) meet(ctx context.Context, have, want *spec.BGP, secrets map[string]string) error {
	for _, h := range have.Neighbors {
		if !slices.ContainsFunc(want.Neighbors, func(n spec.BGPNeighbor) bool { return n.Addr == h.Addr }) {
			if err := sp.part(ctx, have, h); err != nil {
				return err
			}
		}
	}
	for _, n := range want.Neighbors {
		at := slices.IndexFunc(have.Neighbors, func(h spec.BGPNeighbor) bool { return h.Addr == n.Addr })
		if at >= 0 {
			h := have.Neighbors[at]
			limit := h.MaxPrefixes != n.MaxPrefixes
			if sp.secrets[h.Secret] == secrets[n.Secret] && !newSession(have, want, h, n) && (!limit || sp.up[n.Addr]) {
				if err := sp.limit(ctx, want, n, secrets[n.Secret], limit); err != nil {
					return err
				}
				continue
			}
			if err := sp.part(ctx, have, h); err != nil {
				return err
			}
		}
		if err := sp.greet(ctx, want, n, secrets[n.Secret]); err != nil {
			return err
		}
	}
	return nil
}

// limit sets how many prefixes n may announce, if that changed; its session stays up.
func (sp *speaker) limit(ctx context.Context, s *spec.BGP, n spec.BGPNeighbor, password string, changed bool) error {
	if !changed {
		return nil
	}
	if _, err := sp.gobgp.UpdatePeer(ctx, &api.UpdatePeerRequest{Peer: peerOf(s, n, password, false)}); err != nil {
		return fmt.Errorf("limit the prefixes of neighbor %s: %w", n.Addr, err)
	}
	return nil
}

// newSession says whether the change from h to n needs a new session. Passwords are not
// compared: their ids say nothing.
func newSession(have, want *spec.BGP, h, n spec.BGPNeighbor) bool {
	h.Secret = n.Secret
	return h.Session() != n.Session() || !slices.Equal(families(have, h), families(want, n))
}

func (sp *speaker) greet(ctx context.Context, s *spec.BGP, n spec.BGPNeighbor, password string) error {
	if err := sp.gobgp.AddPeer(ctx, &api.AddPeerRequest{Peer: peerOf(s, n, password, sp.restarting)}); err != nil {
		return fmt.Errorf("add neighbor %s: %w", n.Addr, err)
	}
	sp.journal.Explains(true)
	return nil
}

// part removes n: its session ends, its routes go.
func (sp *speaker) part(ctx context.Context, s *spec.BGP, n spec.BGPNeighbor) error {
	delete(sp.up, n.Addr)
	if sp.secrets[n.Secret] != "" {
		// GoBGP removes the password from its listening socket when a neighbour loses
		// it, but not when a neighbour is removed (v4.8.0, DeletePeer).
		if _, err := sp.gobgp.UpdatePeer(ctx, &api.UpdatePeerRequest{Peer: peerOf(s, n, "", false)}); err != nil {
			return fmt.Errorf("remove the password of neighbor %s: %w", n.Addr, err)
		}
	}
	if err := sp.gobgp.DeletePeer(ctx, &api.DeletePeerRequest{Address: n.Addr.String()}); err != nil {
		return fmt.Errorf("remove neighbor %s: %w", n.Addr, err)
	}
	sp.journal.Forget(n.Addr)
	return nil
}

// expect notes, before the first apply, which neighbours' routes the sweep has to wait
// for.
func (sp *speaker) expect(s *spec.BGP) {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	for _, n := range s.Neighbors {
		sp.waiting[n.Addr] = true
	}
}

// arrived notes that addr has sent all its routes, and says whether all neighbours have
// now.
func (sp *speaker) arrived(addr netip.Addr) (all bool) {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	if !sp.waiting[addr] {
		return false
	}
	delete(sp.waiting, addr)
	for other := range sp.waiting {
		if slices.ContainsFunc(sp.running.Neighbors, func(n spec.BGPNeighbor) bool { return n.Addr == other }) {
			return false
		}
	}
	return true
}

// restarted notes that the routes of the daemon before this one are not in use any more.
func (sp *speaker) restarted() {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	sp.restarting = false
}

func (sp *speaker) isRestarting() bool {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	return sp.restarting
}

// state notes that a session came up or went down, and says whether it went down just
// now.
func (sp *speaker) state(addr netip.Addr, up bool) (ended bool) {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	ended = sp.up[addr] && !up
	sp.up[addr] = up
	down := func(n spec.BGPNeighbor) bool { return !sp.up[n.Addr] }
	sp.journal.Explains(slices.ContainsFunc(sp.running.Neighbors, down))
	return ended
}

// seek connects to the external neighbours that have not connected since our restart.
func (sp *speaker) seek(ctx context.Context) error {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	for _, n := range sp.running.Neighbors {
		if !n.External || !sp.waiting[n.Addr] || sp.up[n.Addr] {
			continue
		}
		p := peerOf(sp.running, n, sp.secrets[n.Secret], sp.restarting)
		p.Transport.PassiveMode = false
		if _, err := sp.gobgp.UpdatePeer(ctx, &api.UpdatePeerRequest{Peer: p}); err != nil {
			return fmt.Errorf("connect to neighbor %s: %w", n.Addr, err)
		}
	}
	return nil
}

// lost drops the routes of a neighbour that sent nothing for the hold time. GoBGP takes
// that for a restart of the neighbour (v4.8.0, gobgp issue 2174) and would keep them for
// its restart time; but a silent neighbour forwards nothing either.
func (sp *speaker) lost(ctx context.Context, addr netip.Addr) error {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	for _, n := range sp.running.Neighbors {
		if n.Addr != addr {
			continue
		}
		heard := sp.journal.About(addr)
		if err := sp.part(ctx, sp.running, n); err != nil {
			return err
		}
		sp.journal.Restore(addr, heard)
		return sp.greet(ctx, sp.running, n, sp.secrets[n.Secret])
	}
	return nil
}

// tell announces all routes to a neighbour again. After a restart GoBGP holds them back
// until the deferral ends, even for neighbours that kept nothing (v4.8.0,
// localRestarting).
func (sp *speaker) tell(ctx context.Context, addr netip.Addr) error {
	r := &api.ResetPeerRequest{Address: addr.String(), Soft: true, Direction: api.ResetPeerRequest_DIRECTION_OUT}
	if err := sp.gobgp.ResetPeer(ctx, r); err != nil {
		return fmt.Errorf("tell neighbor %s our routes: %w", addr, err)
	}
	return nil
}

// end closes all sessions with a NOTIFICATION, so that neighbours drop our routes.
func (sp *speaker) end(ctx context.Context) error {
	if err := sp.gobgp.StopBgp(ctx, &api.StopBgpRequest{}); err != nil {
		return fmt.Errorf("end the sessions: %w", err)
	}
	return nil
}

// config reads what the agent wrote into dir.
func config(dir string) (*spec.BGP, map[string]string, error) {
	s := &spec.BGP{}
	if err := readJSON(filepath.Join(dir, spec.BGPFile), s); err != nil {
		return nil, nil, err
	}
	secrets := map[string]string{}
	for _, n := range s.Neighbors {
		if n.Secret == "" {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, spec.BGPSecretFile(n.Secret)))
		if err != nil {
			return nil, nil, fmt.Errorf("read the password of neighbor %s: %w", n.Addr, err)
		}
		secrets[n.Secret] = string(data)
	}
	return s, secrets, nil
}
