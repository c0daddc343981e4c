//go:build linux

package agent

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/hint"
)

// linkMessage starts a message about the link with index; 0: attributes say which.
func linkMessage(flags, index int, linkFlags, change uint32) *nl.NetlinkRequest {
	m := nl.NewNetlinkRequest(unix.RTM_NEWLINK, flags)
	info := nl.NewIfInfomsg(unix.AF_UNSPEC)
	info.Index, info.Flags, info.Change = int32(index), linkFlags, change
	m.AddData(info)
	return m
}

// upMessage sets l up; a new link leaves its group of one.
func upMessage(l netlink.Link) *nl.NetlinkRequest {
	m := linkMessage(0, l.Attrs().Index, unix.IFF_UP, unix.IFF_UP)
	if l.Attrs().Group&freshGroup != 0 {
		m.AddData(groupAttr(0))
	}
	return m
}

func groupAttr(group uint32) *nl.RtAttr { return nl.NewRtAttr(unix.IFLA_GROUP, nl.Uint32Attr(group)) }

// freshGroup is in the number of the device group that a link of ours is in from its
// creation until it is first set up. Administrators' groups have small numbers.
const freshGroup = 1 << 31

// raise sets new links up, when all that stands on them is in place.
func (k *Host) raise(names []string) error {
	for _, name := range names {
		index, err := k.index(name)
		if err != nil {
			return fmt.Errorf("set link %s up: %w", name, err)
		}
		if err := k.rt.Do(upMessage(k.devices.byIndex[index])); err != nil {
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
