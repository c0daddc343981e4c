//go:build linux

package agent

import (
	"context"
	"errors"
	"path/filepath"
	"slices"

	"github.com/vishvananda/netlink"

	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/agent/unit"
	"github.com/flocknet/flock/internal/agent/wg"
	"github.com/flocknet/flock/internal/spec"
)

// userspace says whether the device is a TUN device.
func (k *Kernel) userspace(name string) bool {
	_, tun := k.devices.byName[name].(*netlink.Tuntap)
	return tun
}

// kindOf is the kind of a link of ours as spec has it. Of TUN devices the process behind it
// tells.
func (k *Kernel) kindOf(l netlink.Link) string {
	if _, tun := l.(*netlink.Tuntap); !tun {
		return l.Type()
	}
	if k.services.runsUDP(l.Attrs().Name) {
		return spec.UDP
	}
	return spec.WireGuard
}

// observeWireGuard completes have.Links and fills have.Peers.
func (k *Kernel) observeWireGuard(want, have *spec.Host) error {
	k.hung = map[uint16]bool{}
	k.wg.Confirmed(k.confirmedPeers)
	return k.wg.Observe(want, have, func(device string) { k.silentPort(k.services.wgDaemon(device, ""), device) })
}

// confirmedPeers are those of the last confirmed spec, none where a change was cut short.
func (k *Kernel) confirmedPeers() []spec.Peer {
	last := k.services.last()
	if last == nil || k.services.begun() {
		return nil
	}
	return last.Peers
}

// silentPort notes the confirmed port of a device as held if its process d runs: the process
// does not answer, and nobody else can say.
func (k *Kernel) silentPort(d unit.Daemon, device string) {
	last := k.services.last()
	if last == nil || k.services.units.PID(d) == 0 {
		return
	}
	for _, l := range last.Links {
		if l.Name == device {
			k.hung[portOf(l)] = true
		}
	}
}

// changesOf are what ops do to peers.
func changesOf(ops []Op) []wg.Change {
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

var peerFamily = family{
	stage: stageMake, what: "WireGuard devices",
	observe: func(_ context.Context, k *Kernel, want, have *spec.Host) error { return k.observeWireGuard(want, have) },
	diff:    func(d *difference) { d.put(comparePeers(d.want.Peers, d.have.Peers), going, coming) },
	standsOn: func(have *spec.Host, vanish map[string]bool) {
		have.Peers = slices.DeleteFunc(slices.Clone(have.Peers), func(p spec.Peer) bool { return vanish[p.Link] })
	},
	all:    func(ctx context.Context, a *applier, ops []Op) error { return a.k.wg.SetPeers(ctx, changesOf(ops)) },
	status: func(k *Kernel, plan *spec.Plan) { plan.Sessions = k.wg.Sessions() },
	tried: tried{ask: func(ctx context.Context, k *Kernel, _ *spec.Host, ops []Op) []spec.Problem {
		return k.wg.Unresolved(ctx, changesOf(ops))
	}},
}

// handshake has this server begin handshakes with the peers of the request.
func (s *session) handshake(ctx context.Context, r spec.Request) (*spec.Reply, error) {
	k, err := s.kernel(r.Want.Cluster)
	if err != nil {
		return nil, err
	}
	k.wg.Confirmed(k.confirmedPeers)
	silent, err := k.wg.Handshake(ctx, r.Peers)
	return &spec.Reply{Silent: silent}, err
}

// keys answers with public keys, of pairs that are made where there are none.
func (s *session) keys(r spec.Request) (*spec.Reply, error) {
	k, err := s.kernel(r.Want.Cluster)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, device := range r.Keys {
		public, made, err := k.services.keys.Public(device, r.Rotate)
		if made != "" {
			s.made[made] = device
		}
		if err != nil {
			return nil, err
		}
		out[device] = public
	}
	return &spec.Reply{Keys: out}, nil
}

// dropKeys removes the pairs that this session made and that were not used, so that a plan
// leaves no trace.
func (s *session) dropKeys() error {
	var errs []error
	for path := range s.made {
		errs = append(errs, sysfile.Remove(path), sysfile.RemoveEmpty(filepath.Dir(path), s.paths.lib))
	}
	return errors.Join(errs...)
}

// learnNew resolves the names that want brings before the server's lock is taken: nobody
// waits for a resolver that does not answer.
func (s *session) learnNew(ctx context.Context, want *spec.Host) error {
	if !slices.ContainsFunc(want.Peers, func(p spec.Peer) bool { return wg.IsName(p.Endpoint) }) {
		return nil
	}
	k, err := s.kernel(want.Cluster)
	if err != nil {
		return err
	}
	last := k.services.last()
	known := map[string]bool{}
	if last != nil {
		for _, p := range last.Peers {
			known[p.Endpoint] = true
		}
	}
	var fresh []string
	for _, p := range want.Peers {
		if !known[p.Endpoint] {
			fresh = append(fresh, p.Endpoint)
		}
	}
	k.wg.Learn(ctx, fresh)
	return nil
}
