//go:build linux

package host

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/spec"
)

// devices are all network devices of the server.
type devices struct {
	ByName  map[string]netlink.Link
	ByIndex map[int]netlink.Link
	STP     map[int]bool // bridges that take part in a spanning tree, by index
}

// Name is that of the device with this index, "" if there is none.
func (d devices) Name(index int) string {
	if l := d.ByIndex[index]; l != nil {
		return l.Attrs().Name
	}
	return ""
}

// ReadDevices reads all devices again.
func (k *Host) ReadDevices() error {
	// Without counters: they are most of what the kernel tells of a device, and half the work.
	const skipStats = 1 << 3 // RTEXT_FILTER_SKIP_STATS, which kernels before 4.4 ignore
	list, err := k.RT.Links(unix.AF_UNSPEC, skipStats)
	if err != nil {
		return fmt.Errorf("list links: %w", err)
	}
	k.Devices = devices{ByName: make(map[string]netlink.Link, len(list)), ByIndex: make(map[int]netlink.Link, len(list)), STP: map[int]bool{}}
	for _, text := range list {
		l, err := netlink.LinkDeserialize(nil, text)
		if err != nil {
			return fmt.Errorf("list links: %w", err)
		}
		k.Devices.ByName[l.Attrs().Name] = l
		k.Devices.ByIndex[l.Attrs().Index] = l
		if l.Type() == spec.Bridge && speaksSTP(text) {
			k.Devices.STP[l.Attrs().Index] = true
		}
	}
	return nil
}

// speaksSTP reads what the library leaves out of a bridge.
func speaksSTP(text []byte) bool {
	within := text[unix.SizeofIfInfomsg:]
	for _, attr := range []uint16{unix.IFLA_LINKINFO, nl.IFLA_INFO_DATA, nl.IFLA_BR_STP_STATE} {
		list, _ := nl.ParseRouteAttr(within) // what is damaged has none
		within = nil
		for _, a := range list {
			if a.Attr.Type&^unix.NLA_F_NESTED == attr {
				within = a.Value
			}
		}
	}
	return len(within) > 0 && within[0] != 0
}

// Network returns the network whose link l is; ours is false for everything that
// does not carry this cluster's mark.
func (k *Host) Network(l netlink.Link) (network string, ours bool) {
	if l == nil {
		return "", false
	}
	return strings.CutPrefix(l.Attrs().Alias, spec.Alias(k.Cluster, ""))
}

// Flocks says whether l is any cluster's.
func Flocks(l netlink.Link) bool {
	return l != nil && strings.HasPrefix(l.Attrs().Alias, spec.AliasPrefix)
}

// Passing says whether l is the port that a verification makes of a bridge for a moment.
func Passing(l netlink.Link) bool {
	number, passing := strings.CutPrefix(l.Attrs().Name, spec.PortPrefix)
	_, err := strconv.ParseUint(number, 10, 32)
	return passing && err == nil && l.Type() == "tuntap"
}

// Ours says whether the device with this index is one of this cluster's.
func (k *Host) Ours(index int) bool {
	_, ours := k.Network(k.Devices.ByIndex[index])
	return ours
}

// Index is that of the device with this name.
func (k *Host) Index(name string) (int, error) {
	if l := k.Devices.ByName[name]; l != nil {
		return l.Attrs().Index, nil
	}
	return 0, fmt.Errorf("there is no link %s", name)
}

// ToAddr is ip as netip has it, not valid where ip is none.
func ToAddr(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip)
	return a.Unmap()
}

// ToPrefix is n as netip has it, not valid where n is nil.
func ToPrefix(n *net.IPNet) netip.Prefix {
	if n == nil {
		return netip.Prefix{}
	}
	bits, _ := n.Mask.Size()
	return netip.PrefixFrom(ToAddr(n.IP), bits)
}

// IPFamily is the socket family of a.
func IPFamily(a netip.Addr) int {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// Userspace says whether the device is a TUN device.
func (k *Host) Userspace(name string) bool {
	_, tun := k.Devices.ByName[name].(*netlink.Tuntap)
	return tun
}
