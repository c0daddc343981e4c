//go:build linux

package attach

import (
	"fmt"
	"math/rand/v2"
	"net"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/rtnl"
	"github.com/flocknet/flock/internal/spec"
)

// plug makes the pair, with one end in the namespace, marks the other and plugs it in: as
// newKernelLink does, in one system call.
func plug(k *host.Host, a spec.Attachment, namespace int) error {
	mac, err := net.ParseMAC(a.MAC)
	if err != nil {
		return err
	}
	create := host.LinkMessage(unix.NLM_F_CREATE|unix.NLM_F_EXCL, 0, 0, 0)
	rtnl.Put(create, unix.IFLA_IFNAME, nl.ZeroTerminated(a.Host))
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	rtnl.Nest(info, nl.IFLA_INFO_KIND, []byte(veth))
	peer := rtnl.Nest(info, nl.IFLA_INFO_DATA, nil).AddRtAttr(nl.VETH_INFO_PEER, nil)
	nl.NewIfInfomsgChild(peer, unix.AF_UNSPEC)
	rtnl.Nest(peer, unix.IFLA_IFNAME, nl.ZeroTerminated(a.Interface))
	rtnl.Nest(peer, unix.IFLA_ADDRESS, mac)
	rtnl.Nest(peer, unix.IFLA_NET_NS_FD, nl.Uint32Attr(uint32(namespace)))
	if a.MTU != 0 {
		rtnl.Put(create, unix.IFLA_MTU, nl.Uint32Attr(uint32(a.MTU)))
		rtnl.Nest(peer, unix.IFLA_MTU, nl.Uint32Attr(uint32(a.MTU)))
	}
	create.AddData(info)
	messages := []*nl.NetlinkRequest{create, changed(0, aliasAttr(k, a))}
	if a.Bridge != "" {
		m, err := masterAttr(k, a.Bridge)
		if err != nil {
			return err
		}
		messages = append(messages, changed(0, m))
	}
	messages = append(messages, host.LinkMessage(0, 0, unix.IFF_UP, unix.IFF_UP))
	group := host.FreshGroup | rand.Uint32()
	for _, m := range messages {
		m.AddData(host.GroupAttr(group))
	}
	if err := k.RT.Do(messages...); err != nil {
		return fmt.Errorf("make %s in %s: %w", a.Interface, a.Container, err)
	}
	leave := host.LinkMessage(0, 0, 0, 0)
	rtnl.Put(leave, unix.IFLA_IFNAME, nl.ZeroTerminated(a.Host))
	leave.AddData(host.GroupAttr(0))
	return k.RT.Do(leave)
}

// changed is a message that gives a link, by its index or by what else the message says, attr.
func changed(index int, attr *nl.RtAttr) *nl.NetlinkRequest {
	m := host.LinkMessage(0, index, 0, 0)
	m.AddData(attr)
	return m
}

func aliasAttr(k *host.Host, a spec.Attachment) *nl.RtAttr {
	return nl.NewRtAttr(unix.IFLA_IFALIAS, []byte(attachedAlias(k.Cluster, a)))
}

// masterAttr makes a link a port of bridge, "" of none.
func masterAttr(k *host.Host, bridge string) (*nl.RtAttr, error) {
	index := 0
	if bridge != "" {
		var err error
		if index, err = k.Index(bridge); err != nil {
			return nil, err
		}
	}
	return nl.NewRtAttr(unix.IFLA_MASTER, nl.Uint32Attr(uint32(index))), nil //nolint:gosec // the kernel's own number
}

// replug brings the end on the server, by its index, to a, with marks if there are any.
func replug(k *host.Host, a spec.Attachment, index int, marks ...*nl.RtAttr) error {
	plug, err := masterAttr(k, a.Bridge)
	if err != nil {
		return err
	}
	messages := []*nl.NetlinkRequest{changed(index, plug)}
	for _, m := range marks {
		messages = append(messages, changed(index, m))
	}
	if a.MTU != 0 {
		messages = append(messages, changed(index, nl.NewRtAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(a.MTU))))) //nolint:gosec // at most 65535
	}
	messages = append(messages, host.LinkMessage(0, index, unix.IFF_UP, unix.IFF_UP))
	if err := k.RT.Do(messages...); err != nil {
		return fmt.Errorf("plug %s of %s in: %w", a.Interface, a.Container, err)
	}
	return nil
}
