//go:build linux

package claim

import (
	"fmt"
	"maps"
	"slices"

	"github.com/vishvananda/netlink"

	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/socket"
	"github.com/flocknet/flock/internal/spec"
)

// holder is who has a port.
type holder struct {
	name string // in a sentence: named (process 77), the WireGuard device wg0
	stop string // what to do about it
	pid  int    // 0: no process
}

// problem says that l's port is not free. In advice %s stands for what to do about who
// has it.
func (h holder) problem(l socket.Listener, advice string) spec.Problem {
	return spec.Problem{What: fmt.Sprintf("%s is in use by %s", l, h.name), Next: fmt.Sprintf(advice, h.stop)}
}

// holderOf finds out who holds the port in l's way: a process, or a device of the
// kernel's, whose sockets stand in the same tables but are nobody's.
func holderOf(k *host.Host, l socket.Listener) holder {
	if name, pid := l.Process(); pid != 0 {
		return holder{fmt.Sprintf("%s (process %d)", name, pid), "stop " + name, pid}
	}
	for _, name := range slices.Sorted(maps.Keys(k.Devices.ByName)) {
		dev := k.Devices.ByName[name]
		word := listens(k, dev, l.At.Port())
		switch {
		case word == "" || l.Stream:
		case host.Flocks(dev):
			return holder{fmt.Sprintf("the %s device %s", word, name), "have its cluster, " + ownerOf(dev) + ", use another", 0}
		default:
			return holder{fmt.Sprintf("the %s device %s", word, name), "remove it: ip link delete " + name, 0}
		}
	}
	return holder{"the kernel, or by a process that is not shown here", "find out who has it: ss -lntup", 0}
}

// listens says of what kind a device is that has the kernel listen on a UDP port, ""
// if it does not.
func listens(k *host.Host, dev netlink.Link, port uint16) string {
	switch v := dev.(type) {
	case *netlink.Vxlan:
		if v.Port == int(port) {
			return "VXLAN"
		}
	case *netlink.Wireguard:
		if d, err := k.WG.Device(v.Name); err == nil && d != nil && d.ListenPort == int(port) {
			return "WireGuard"
		}
	}
	return ""
}
