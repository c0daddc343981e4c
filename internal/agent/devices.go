//go:build linux

package agent

import (
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/rtnl"
	"github.com/flocknet/flock/internal/spec"
)

// devices are all network devices of the server.
type devices struct {
	byName  map[string]netlink.Link
	byIndex map[int]netlink.Link
}

func (d devices) name(index int) string {
	if l := d.byIndex[index]; l != nil {
		return l.Attrs().Name
	}
	return ""
}

func (k *Host) readDevices() error {
	list, err := rtnl.Dump(k.handle.LinkList)
	if err != nil {
		return fmt.Errorf("list links: %w", err)
	}
	k.devices = devices{byName: make(map[string]netlink.Link, len(list)), byIndex: make(map[int]netlink.Link, len(list))}
	for _, l := range list {
		k.devices.byName[l.Attrs().Name] = l
		k.devices.byIndex[l.Attrs().Index] = l
	}
	return nil
}

// network returns the network whose link l is; ours is false for everything that
// does not carry this cluster's mark.
func (k *Host) network(l netlink.Link) (network string, ours bool) {
	if l == nil {
		return "", false
	}
	return strings.CutPrefix(l.Attrs().Alias, spec.Alias(k.cluster, ""))
}

// flocks says whether l is any cluster's.
func flocks(l netlink.Link) bool {
	return l != nil && strings.HasPrefix(l.Attrs().Alias, spec.AliasPrefix)
}

// ours says whether the device with this index is one of this cluster's.
func (k *Host) ours(index int) bool {
	_, ours := k.network(k.devices.byIndex[index])
	return ours
}

func (k *Host) index(name string) (int, error) {
	if l := k.devices.byName[name]; l != nil {
		return l.Attrs().Index, nil
	}
	return 0, fmt.Errorf("there is no link %s", name)
}

func toAddr(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip)
	return a.Unmap()
}

func toPrefix(n *net.IPNet) netip.Prefix {
	if n == nil {
		return netip.Prefix{}
	}
	bits, _ := n.Mask.Size()
	return netip.PrefixFrom(toAddr(n.IP), bits)
}

func ipFamily(a netip.Addr) int {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// userspace says whether the device is a TUN device.
func (k *Host) userspace(name string) bool {
	_, tun := k.devices.byName[name].(*netlink.Tuntap)
	return tun
}
