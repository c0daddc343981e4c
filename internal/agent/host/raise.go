//go:build linux

package host

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/hint"
)

// LinkMessage starts a message about the link with index; 0: attributes say which. As a part of its
// many callers it would be in the program once for each.
//
//go:noinline
func LinkMessage(flags, index int, linkFlags, change uint32) *nl.NetlinkRequest {
	m := nl.NewNetlinkRequest(unix.RTM_NEWLINK, flags)
	info := nl.NewIfInfomsg(unix.AF_UNSPEC)
	info.Index, info.Flags, info.Change = int32(index), linkFlags, change
	m.AddData(info)
	return m
}

// UpMessage sets l up; a new link leaves its group of one.
func UpMessage(l netlink.Link) *nl.NetlinkRequest {
	m := LinkMessage(0, l.Attrs().Index, unix.IFF_UP, unix.IFF_UP)
	if l.Attrs().Group&FreshGroup != 0 {
		m.AddData(GroupAttr(0))
	}
	return m
}

// GroupAttr puts a link into a device group.
func GroupAttr(group uint32) *nl.RtAttr { return nl.NewRtAttr(unix.IFLA_GROUP, nl.Uint32Attr(group)) }

// FreshGroup is in the number of the device group that a link of ours is in from its
// creation until it is first set up. Administrators' groups have small numbers.
const FreshGroup = 1 << 31

// Raise sets new links up, when all that stands on them is in place.
func (k *Host) Raise(names []string) error {
	for _, name := range names {
		index, err := k.Index(name)
		if err != nil {
			return fmt.Errorf("set link %s up: %w", name, err)
		}
		if err := k.RT.Do(UpMessage(k.Devices.ByIndex[index])); err != nil {
			return upError(name, err)
		}
	}
	return nil
}

func upError(name string, err error) error {
	err = fmt.Errorf("set link %s up: %w", name, err)
	switch {
	case errors.Is(err, unix.ENOBUFS):
		// One socket joins no more groups than this (linux 6.18: 20).
		return hint.With(err, "", "sysctl -w net.ipv4.igmp_max_memberships=100")
	case errors.Is(err, unix.EADDRINUSE):
		return hint.With(err, "", "ss -ulnp")
	}
	return err
}
