//go:build linux

package claim

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/link"
	"github.com/flocknet/flock/internal/spec"
)

// ipTunnelConflicts are the foreign tunnels that w cannot live beside: those
// between the same ends, for the kernel cannot tell them apart.
func ipTunnelConflicts(k *host.Host, w spec.Link) []spec.Problem {
	var out []spec.Problem
	for _, name := range slices.Sorted(maps.Keys(k.Devices.ByName)) {
		l := k.Devices.ByName[name]
		if _, ours := k.Network(l); ours || l.Type() != w.Kind {
			continue
		}
		h := link.ObserveTunnel(k, l)
		if h == nil || h.Local != w.Tunnel.Local || h.Remote != w.Tunnel.Remote || h.Key != w.Tunnel.Key || h.Dev != w.Tunnel.Dev {
			continue
		}
		advice := setting(w.Network, "-l LOCALIP -r REMOTEIP")
		if w.Kind != spec.IPIP {
			advice = setting(w.Network, "--key N")
		}
		out = append(out, spec.Problem{
			What: fmt.Sprintf("link %s of network %s: the link %s has the same ends, %s", w.Name, w.Network, name, endsText(w)),
			Next: orRemove(advice, l),
		})
	}
	return out
}

func endsText(l spec.Link) string {
	text := "local " + orAny(l.Tunnel.Local) + " remote " + orAny(l.Tunnel.Remote)
	if l.Tunnel.Key != 0 {
		text += " key " + link.Decimal(l.Tunnel.Key)
	}
	return text
}

func orAny(a netip.Addr) string {
	if !a.IsValid() {
		return "any"
	}
	return a.String()
}
