//go:build linux

package link

import (
	"context"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/flocknet/flock/internal/agent/family"
	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/unit"
	"github.com/flocknet/flock/internal/agent/wg"
	"github.com/flocknet/flock/internal/spec"
)

// KindOf is the kind of a link of ours as spec has it. Of TUN devices the process behind it
// tells.
func KindOf(k *host.Host, l netlink.Link) string {
	if _, tun := l.(*netlink.Tuntap); !tun {
		return l.Type()
	}
	if runsUDP(k.Files, l.Attrs().Name) {
		return spec.UDP
	}
	return spec.WireGuard
}

// observeWireGuard completes have.Links and fills have.Peers.
func observeWireGuard(k *host.Host, want, have *spec.Host) error {
	k.Hung = map[uint16]bool{}
	k.WG.Confirmed(func() []spec.Peer { return ConfirmedPeers(k) })
	return k.WG.Observe(want, have, func(device string) { silentPort(k, WGDaemon(k.Files, device, ""), device) })
}

// ConfirmedPeers are those of the last confirmed spec, none where a change was cut short.
func ConfirmedPeers(k *host.Host) []spec.Peer {
	last := k.Last()
	if last == nil || k.Begun() {
		return nil
	}
	return last.Peers
}

// silentPort notes the confirmed port of a device as held if its process d runs: the process
// does not answer, and nobody else can say.
func silentPort(k *host.Host, d unit.Daemon, device string) {
	last := k.Last()
	if last == nil || k.Units.PID(d) == 0 {
		return
	}
	for _, l := range last.Links {
		if l.Name == device {
			k.Hung[spec.PortOf(l)] = true
		}
	}
}

// changesOf are what ops do to peers.
func changesOf(ops []family.Op) []wg.Change {
	var out []wg.Change
	for _, op := range ops {
		if c := (wg.Change{Want: peerOf(op.Want), Have: peerOf(op.Have)}); c != (wg.Change{}) {
			out = append(out, c)
		}
	}
	return out
}

// peerOf is the peer that v is, nil if it is none.
func peerOf(v any) *spec.Peer {
	if p, ok := v.(spec.Peer); ok {
		return &p
	}
	return nil
}

// PeerFamily is WireGuard's peers, and what their devices are set to.
var PeerFamily = family.Family{
	Stage: family.StageMake, What: "WireGuard devices",
	Observe: func(_ context.Context, k *host.Host, want, have *spec.Host) error {
		return observeWireGuard(k, want, have)
	},
	Diff: func(d *family.Difference) {
		d.Put(comparePeers(d.Want.Peers, d.Have.Peers), family.Going, family.Coming)
	},
	StandsOn: func(have *spec.Host, vanish map[string]bool) {
		have.Peers = spec.Without(have.Peers, func(p spec.Peer) bool { return vanish[p.Link] })
	},
	All: func(ctx context.Context, a *family.Applier, ops []family.Op) error {
		return a.Host.WG.SetPeers(ctx, changesOf(ops))
	},
	Status: func(k *host.Host, plan *spec.Plan) {
		if plan.Sessions = k.WG.Sessions(); len(plan.Sessions) > 0 {
			plan.Clock = time.Now()
		}
	},
	Tried: family.Tried{Ask: func(ctx context.Context, k *host.Host, _ *spec.Host, ops []family.Op) []spec.Problem {
		return k.WG.Unresolved(ctx, changesOf(ops))
	}},
}
