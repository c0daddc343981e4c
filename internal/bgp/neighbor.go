//go:build linux

package bgp

import (
	"net/netip"
	"time"

	"github.com/osrg/gobgp/v4/api"
	"github.com/osrg/gobgp/v4/pkg/apiutil"
	"github.com/osrg/gobgp/v4/pkg/packet/bgp"

	"github.com/flocknet/flock/internal/spec"
)

const (
	// connectRetry is how long in seconds GoBGP waits between attempts at least, and
	// twice that at most; its own default is minutes.
	connectRetry = 1
	// keepaliveMost bounds the time in seconds between keepalives, a third of the
	// hold time by RFC 4271: a neighbour whose machine restarted answers the next one
	// with a reset, and is taken back then.
	keepaliveMost = 10
	// passiveFor is how long after a restart external neighbours are waited for: see
	// awaits.
	passiveFor = 8 * time.Second
	// deferralMost is how long neighbours are waited for after a restart. They come back
	// within ten seconds: GoBGP rests for five after a session, and connects within two.
	deferralMost = 20 * time.Second
)

// peerOf is n in GoBGP's form. Restarting says that routes of a daemon before this
// one are in use, here and at the neighbour's. It is pure.
func peerOf(s *spec.BGP, n spec.BGPNeighbor, password string, restarting bool) *api.Peer {
	p := &api.Peer{
		Conf: &api.PeerConf{
			NeighborAddress: n.Addr.String(), PeerAsn: n.AS, LocalAsn: s.AS, AuthPassword: password, Description: n.Name,
		},
		Timers: &api.Timers{Config: &api.TimersConfig{
			ConnectRetry: connectRetry, HoldTime: uint64(s.Hold), KeepaliveInterval: uint64(keepalive(s.Hold)), //nolint:gosec // 3…65535
		}},
		Transport: &api.Transport{PassiveMode: awaits(n, restarting)},
		GracefulRestart: &api.GracefulRestart{
			Enabled: true, RestartTime: uint32(restartTime(s)), DeferralTime: uint32(deferral(s).Seconds()), LocalRestarting: restarting, //nolint:gosec // 1…4095
		},
	}
	if n.Local.IsValid() {
		p.Transport.LocalAddress = n.Local.String()
	}
	if n.Client {
		p.RouteReflector = &api.RouteReflector{RouteReflectorClient: true, RouteReflectorClusterId: s.ClusterID.String()}
	}
	switch {
	case n.TTLSecurity:
		p.TtlSecurity = &api.TtlSecurity{Enabled: true, TtlMin: uint32(256 - max(n.Multihop, 1))} //nolint:gosec // 1…255
	case n.Multihop > 0:
		p.EbgpMultihop = &api.EbgpMultihop{Enabled: true, MultihopTtl: uint32(n.Multihop)} //nolint:gosec // 2…255
	}
	for _, f := range families(s, n) {
		p.AfiSafis = append(p.AfiSafis, afiSafi(f, n.MaxPrefixes))
	}
	return p
}

// awaits says whether connections are left to n.
//
// GoBGP rests for five seconds after a session, or an attempt at one, and closes
// what it accepts meanwhile. Two of them that both connect may go on missing each
// other for half a minute; and one that keeps the routes of the other through its
// restart drops them when a connection of its own fails so (v4.8.0,
// handleFSMMessage: nextStateIdle). So between our own servers only the lower
// address connects, and after a restart external neighbours may come first.
func awaits(n spec.BGPNeighbor, restarting bool) bool {
	if n.External {
		return restarting
	}
	return n.Local.IsValid() && n.Addr.Less(n.Local)
}

func afiSafi(family bgp.Family, limit int) *api.AfiSafi {
	f := apiutil.ToApiFamily(family.Afi(), family.Safi())
	return &api.AfiSafi{
		Config:            &api.AfiSafiConfig{Family: f, Enabled: true},
		MpGracefulRestart: &api.MpGracefulRestart{Config: &api.MpGracefulRestartConfig{Enabled: true}},
		PrefixLimits:      &api.PrefixLimit{Family: f, MaxPrefixes: uint32(limit)}, //nolint:gosec // checked by the workstation
	}
}

func keepalive(hold int) int { return max(1, min(hold/3, keepaliveMost)) }

// deferral is the Selection_Deferral_Timer (RFC 4724, 4.1): well below the time for
// which neighbours keep our routes.
func deferral(s *spec.BGP) time.Duration {
	return min(deferralMost, time.Duration(restartTime(s))*time.Second/2)
}

func restartTime(s *spec.BGP) int {
	if s.Restart == 0 {
		return spec.DefaultBGPRestart
	}
	return s.Restart
}

// families is what a session carries: next hops are of its own family. Where there
// are no IPv4 sessions, those over IPv6 carry IPv4 too (RFC 8950).
func families(s *spec.BGP, n spec.BGPNeighbor) []bgp.Family {
	if n.Addr.Is4() {
		return []bgp.Family{bgp.RF_IPv4_UC}
	}
	for _, other := range s.Neighbors {
		if other.Addr.Is4() {
			return []bgp.Family{bgp.RF_IPv6_UC}
		}
	}
	return []bgp.Family{bgp.RF_IPv6_UC, bgp.RF_IPv4_UC}
}

func familyOf(p netip.Prefix) bgp.Family {
	if p.Addr().Is4() {
		return bgp.RF_IPv4_UC
	}
	return bgp.RF_IPv6_UC
}
