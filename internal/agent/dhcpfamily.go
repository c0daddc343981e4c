//go:build linux

package agent

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/flocknet/flock/internal/agent/family"
	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/unit"
	"github.com/flocknet/flock/internal/spec"
)

var dhcpFamily = family.Family{
	Stage: family.StageUse, What: "services: look at dnsmasq",
	Observe: func(ctx context.Context, k *host.Host, want, have *spec.Host) error {
		return k.DHCP.Observe(ctx, want, have)
	},
	Diff: func(d *family.Difference) {
		key := func(d spec.DHCP) string { return d.Network }
		d.Put(family.Compare(d.Want.DHCPs, d.Have.DHCPs, key, func(d spec.DHCP) string { return "dhcp " + d.Network }), family.Going, family.Serving)
	},
	One: func(ctx context.Context, a *family.Applier, op family.Op) error {
		want, ok := op.Want.(spec.DHCP)
		if !ok {
			return a.Host.DHCP.Remove(ctx, op.Have.(spec.DHCP).Network)
		}
		if err := errors.Join(a.Flush(ctx), a.Up()); err != nil { // routes, too: it asks peers at once
			return err
		}
		return a.Host.DHCP.Set(ctx, want)
	},
	Tried: family.Tried{
		Files: func(*host.Files, family.Op) ([]string, bool) { return nil, true },
		Watcher: func(_ *host.Host, op family.Op) (string, error) {
			if op.Want == nil {
				return "", nil
			}
			return "dnsmasq", nil
		},
		Listens: dhcpSockets,
		Claim: func(ctx context.Context, k *host.Host, _ *spec.Host, ops []family.Op) (out []spec.Problem, _ error) {
			for _, op := range ops {
				if d, ok := op.Want.(spec.DHCP); ok {
					if p := k.DHCP.Try(ctx, d); p != nil {
						out = append(out, *p)
					}
				}
			}
			return out, nil
		},
	},
	Daemons: func(s *host.Files, want *spec.Host) (out []unit.Daemon) {
		for _, d := range want.DHCPs {
			if len(d.Peers) > 0 {
				out = append(out, s.DHCP.NamesDaemon(d.Network))
			}
		}
		return out
	},
	Strays: func(ctx context.Context, k *host.Host) error {
		if forgotten, err := k.HasForgotten(); err != nil || !forgotten {
			return err
		}
		return k.DHCP.EndStrays(ctx)
	},
	Apart:   true,
	Marked:  true,
	Remains: func(k *host.Host) ([]string, error) { return k.DHCP.Remains() },
}

// dhcpSockets are those that op has dnsmasq open. Those of ours that lost their files run on.
func dhcpSockets(k *host.Host, op family.Op) []host.Sockets {
	d, ok := op.Want.(spec.DHCP)
	if !ok {
		return nil
	}
	var before *spec.DHCP
	if have, ok := op.Have.(spec.DHCP); ok {
		before = &have
	}
	own := func(pid int) bool { return k.DHCP.Owns(d.Network, pid) }
	var out []host.Sockets
	for _, list := range k.DHCP.Listeners(d, before) {
		out = append(out, host.Sockets{At: list, Own: own, Advice: "%s, or have it listen on addresses of its own only"})
	}
	return out
}

// Names answers the front of the network mark (CLUSTER/NETWORK) until it is told to
// end: it asks all leaves and says what one of them knows.
func Names(ctx context.Context, mark string, log io.Writer) error {
	cluster, network, _ := strings.Cut(mark, "/")
	return host.NewFiles(cluster).DHCP.Answer(ctx, network, log)
}
