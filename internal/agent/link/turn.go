//go:build linux

package link

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/rtnl"
	"github.com/flocknet/flock/internal/spec"
)

// turnOf is what a tunnel that is a bridge's port is to the bridge, by the port's flags.
func turnOf(k *host.Host, l netlink.Link) (string, error) {
	found, err := rtnl.Dump(func() ([]netlink.Protinfo, error) {
		flags, err := k.Handle.LinkGetProtinfo(l)
		return []netlink.Protinfo{flags}, err
	})
	switch {
	case err != nil:
		return "", fmt.Errorf("look at the port %s: %w", l.Attrs().Name, err)
	case !found[0].Isolated:
		return "", nil
	case found[0].Flood:
		return spec.Beside, nil
	}
	return spec.Quiet, nil
}

// turnMessage makes a port what it is to be to its bridge. One that falls quiet is
// forgotten: frames to who was behind it are flooded, which the other way then takes.
func turnMessage(index int, turn string) *nl.NetlinkRequest {
	m := host.LinkMessage(0, index, 0, 0)
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_SLAVE_KIND, []byte(spec.Bridge))
	port := info.AddRtAttr(nl.IFLA_INFO_SLAVE_DATA, nil)
	flag := func(attr int, on bool) {
		var value uint8
		if on {
			value = 1
		}
		port.AddRtAttr(attr, nl.Uint8Attr(value))
	}
	flag(nl.IFLA_BRPORT_ISOLATED, turn != "")
	for _, attr := range []int{nl.IFLA_BRPORT_LEARNING, nl.IFLA_BRPORT_UNICAST_FLOOD, nl.IFLA_BRPORT_MCAST_FLOOD, nl.IFLA_BRPORT_BCAST_FLOOD} {
		flag(attr, turn != spec.Quiet)
	}
	if turn == spec.Quiet {
		port.AddRtAttr(nl.IFLA_BRPORT_FLUSH, nil)
	}
	m.AddData(info)
	return m
}

// renameLink gives a living link another name. Kernels before 6.2 take that of a link that
// is down alone, which loses its routes.
func renameLink(k *host.Host, to, from string) error {
	if to == from {
		return nil
	}
	index, err := k.Index(from)
	if err != nil {
		return err
	}
	m := host.LinkMessage(0, index, 0, 0)
	m.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(to)))
	err = k.RT.Do(m)
	if errors.Is(err, unix.EBUSY) {
		err = k.RT.Do(host.LinkMessage(0, index, 0, unix.IFF_UP), m, host.LinkMessage(0, index, unix.IFF_UP, unix.IFF_UP))
	}
	if err != nil {
		return err
	}
	return k.ReadDevices()
}
