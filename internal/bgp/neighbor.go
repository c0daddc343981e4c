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
	// connectRetry is the shortest pause in seconds between GoBGP's connection attempts;
	// the longest is twice that. GoBGP's default is minutes.
	connectRetry = 1
	// keepaliveMost bounds the seconds between keepalives, otherwise a third of the hold
	// time (RFC 4271): a neighbour that rebooted answers the next one with a reset, and
	// the session starts again.
	keepaliveMost = 10
	// resetPause is how many seconds GoBGP takes no connection after a reset that an
	// operator asked for. Its default is 30.
	resetPause = 1
	// passiveFor is how long after a restart external neighbours may connect first: see
	// awaits.
	passiveFor = 8 * time.Second
	// deferralMost bounds the wait for neighbours after a restart. They come back within
	// ten seconds: GoBGP pauses for five after a session, and connects within two.
	deferralMost = 20 * time.Second
)

// peerOf is n as GoBGP takes it. restarting says that routes of the daemon before this
// one are in use, here and at the neighbour's. It is pure.
func peerOf(s *spec.BGP, n spec.BGPNeighbor, password string, restarting bool) *api.Peer {
	p := &api.Peer{
		Conf: &api.PeerConf{
			NeighborAddress: n.Addr.String(), PeerAsn: n.AS, LocalAsn: s.AS, AuthPassword: password, Description: n.Name,
		},
		Timers: &api.Timers{Config: &api.TimersConfig{
			ConnectRetry: connectRetry, HoldTime: uint64(s.Hold), KeepaliveInterval: uint64(keepalive(s.Hold)), //nolint:gosec // 3…65535
			IdleHoldTimeAfterReset: resetPause,
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

// awaits says whether only n connects, and this server waits.
//
// GoBGP pauses for five seconds after a session, or an attempt at one, and closes
// connections that it accepts meanwhile. Two speakers that both connect may miss each
// other for half a minute. A neighbour that keeps our routes through its restart drops
// them when its own connection is closed this way (v4.8.0, handleFSMMessage:
// nextStateIdle). So between flock's servers only the one with the lower address
// connects, and after a restart external neighbours may connect first.
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

// families are the address families of a session: next hops have the family of the
// session. Where there are no IPv4 sessions, those over IPv6 carry IPv4 too (RFC 8950).
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
