//go:build linux

package settings

import (
	"maps"
	"net"
	"slices"

	"github.com/vishvananda/netlink"

	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/sysctl"
	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/spec"
)

// lookAround finds out what others have here that wants forwarding. It is asked only when
// a setting of the server is about to go back.
func lookAround(k *host.Host) (*sysctl.Others, error) {
	s := &sysctl.Others{Bridges: otherBridges(k), Tunnels: otherWireGuards(k)}
	var err error
	if s.Rules, err = k.Filters.Others(); err != nil {
		return nil, err
	}
	if s.Daemons, err = sysctl.NetworkDaemons(); err != nil {
		return nil, err
	}
	if s.Files, err = sysctl.BootSettings(k.Paths.Sysctls); err != nil {
		return nil, err
	}
	return s, nil
}

func otherBridges(k *host.Host) []sysctl.Bridge {
	var out []sysctl.Bridge
	for _, name := range slices.Sorted(maps.Keys(k.Devices.ByName)) {
		l, ok := k.Devices.ByName[name].(*netlink.Bridge)
		if !ok || host.Flocks(l) {
			continue
		}
		b := sysctl.Bridge{Name: name, Leads: k.Leads(l.Index)}
		b.Ports = len(spec.Without(k.PortsOf(l.Index), host.Flocks))
		for _, a := range k.Addrs {
			if p := host.ToPrefix(a.IPNet).Addr(); a.LinkIndex == l.Index && p.IsGlobalUnicast() {
				b.Four, b.Six = b.Four || p.Is4(), b.Six || p.Is6()
			}
		}
		out = append(out, b)
	}
	return out
}

// otherWireGuards are devices that are up, of the kernel or of a process (whose socket
// tells, wg(8)).
func otherWireGuards(k *host.Host) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(k.Devices.ByName)) {
		l := k.Devices.ByName[name]
		if host.Flocks(l) || l.Attrs().Flags&net.FlagUp == 0 {
			continue
		}
		if l.Type() == spec.WireGuard || l.Type() == "tuntap" && sysfile.Exists("/var/run/wireguard/"+name+".sock") {
			out = append(out, name)
		}
	}
	return out
}

// AtBoot is what the files of sysctl.d(5) make of keys, paths below /proc/sys, when the
// server starts next. Keys that no file names are left out.
func AtBoot(k *host.Host, keys []string) (out []spec.AtBoot, err error) {
	var boot sysctl.Others
	if len(keys) > 0 {
		boot.Files, err = sysctl.BootSettings(k.Paths.Sysctls)
	}
	for _, key := range keys {
		if set, ok := boot.AtBoot(key); ok {
			out = append(out, spec.AtBoot{Key: key, Value: set.Value, Path: set.Path})
		}
	}
	return out, err
}
