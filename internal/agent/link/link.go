//go:build linux

package link

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/rtnl"
	"github.com/flocknet/flock/internal/spec"
)

func observeLinks(k *host.Host, have *spec.Host) error {
	release, err := kernelRelease()
	if err != nil {
		return err
	}
	for _, l := range k.Devices.ByName {
		network, ours := k.Network(l)
		if !ours || l.Type() == "veth" { // which is a container's
			continue
		}
		a := l.Attrs()
		link := spec.Link{
			Name: a.Name, Network: network, Kind: KindOf(k, l), MTU: a.MTU,
			Master: k.Devices.Name(a.MasterIndex), Down: a.Flags&net.FlagUp == 0, Tunnel: ObserveTunnel(k, l),
		}
		link.Stiff = k.Userspace(a.Name) || !spec.LiveRename(release)
		if a.EncapType == "ether" { // an IP tunnel has its local address in the place of the MAC
			link.MAC = a.HardwareAddr.String()
		}
		link.Extra = deviceExtra(k, l)
		have.Links = append(have.Links, link)
	}
	return observeFlags(k, have.Links)
}

// NewLink makes a link, still down.
func NewLink(ctx context.Context, k *host.Host, l spec.Link) error {
	switch l.Kind {
	case spec.Port:
		return takePort(k, l)
	case spec.WireGuard:
		return newWireGuard(ctx, k, l)
	case spec.UDP:
		return newUDP(ctx, k, l)
	}
	return newKernelLink(k, l)
}

// newKernelLink makes a link that the kernel has a kind for. Its name, MAC, MTU and kind are set in the
// create call; the mark of ownership cannot be (linux 6.18 ignores IFLA_IFALIAS
// there, TestAliasIsIgnoredAtCreation), so it follows in the same system call:
// nothing can end this process in between. The messages after the first are for all
// links of a group that only the create call puts one in. By name, or by an index
// chosen beforehand, they would mark a foreign link where somebody was faster.
func newKernelLink(k *host.Host, l spec.Link) error {
	create, err := createMessage(k, l)
	if err != nil {
		return fmt.Errorf("create link %s: %w", l.Name, err)
	}
	messages := []*nl.NetlinkRequest{create, aliasMessage(0, spec.Alias(k.Cluster, l.Network))}
	messages = append(messages, mtuMessages(0, l)...)
	if l.Master != "" {
		m, err := masterMessage(k, 0, l.Master)
		if err != nil {
			return fmt.Errorf("create link %s: %w", l.Name, err)
		}
		messages = append(messages, m)
	}
	group := host.FreshGroup | rand.Uint32()
	for _, m := range messages {
		m.AddData(host.GroupAttr(group))
	}
	if err := k.RT.Do(messages...); err != nil {
		return createError(l, err)
	}
	if err := k.ReadDevices(); err != nil || l.Turn == "" {
		return err
	}
	index, err := k.Index(l.Name) // the kernel does not set it by group
	if err != nil {
		return err
	}
	return k.RT.Do(turnMessage(index, l.Turn))
}

func createMessage(k *host.Host, l spec.Link) (*nl.NetlinkRequest, error) {
	create := host.LinkMessage(unix.NLM_F_CREATE|unix.NLM_F_EXCL, 0, 0, 0)
	rtnl.Put(create, unix.IFLA_IFNAME, nl.ZeroTerminated(l.Name))
	if l.MAC != "" {
		mac, err := net.ParseMAC(l.MAC)
		if err != nil {
			return nil, err
		}
		rtnl.Put(create, unix.IFLA_ADDRESS, mac)
	}
	if l.MTU != 0 {
		rtnl.Put(create, unix.IFLA_MTU, nl.Uint32Attr(uint32(l.MTU)))
	}
	if l.Kind == spec.VLAN {
		below, err := tunnelDevice(k, l.Tunnel)
		if err != nil {
			return nil, err
		}
		rtnl.Put(create, unix.IFLA_LINK, nl.Uint32Attr(uint32(below)))
	}
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	rtnl.Nest(info, nl.IFLA_INFO_KIND, []byte(l.Kind))
	if err := kindData(k, l, info.AddRtAttr(nl.IFLA_INFO_DATA, nil)); err != nil {
		return nil, err
	}
	create.AddData(info)
	return create, nil
}

func createError(l spec.Link, err error) error {
	err = fmt.Errorf("create link %s: %w", l.Name, err)
	switch {
	case errors.Is(err, unix.EEXIST) && l.Tunnel != nil:
		return hint.With(err, "", "ip -d link show type "+l.Kind)
	case errors.Is(err, unix.EEXIST):
		return hint.With(err, "", "ip -d link show "+l.Name)
	case errors.Is(err, unix.EOPNOTSUPP):
		return hint.With(err, "", "modprobe "+ModuleOf(l.Kind))
	}
	return err
}

// kindData adds what is particular to a kind.
func kindData(k *host.Host, l spec.Link, data *nl.RtAttr) error {
	switch l.Kind {
	case spec.Bridge:
		rtnl.Nest(data, nl.IFLA_BR_FORWARD_DELAY, nl.Uint32Attr(0))
		rtnl.Nest(data, nl.IFLA_BR_STP_STATE, nl.Uint32Attr(0))
		return nil
	case spec.VXLAN:
		if l.Tunnel == nil {
			return errors.New("a VXLAN link without its tunnel")
		}
		return vxlanData(k, l.Tunnel, data)
	case spec.GRE, spec.IP6GRE, spec.IPIP:
		return ipTunnelData(k, l, data)
	case spec.VLAN:
		// Loose: it can be set up before the device below it is, as at boot (ip-link(8)).
		const loose = 1 << 2
		rtnl.Nest(data, nl.IFLA_VLAN_ID, nl.Uint16Attr(uint16(l.Tunnel.VNI)))
		rtnl.Nest(data, nl.IFLA_VLAN_FLAGS, append(nl.Uint32Attr(loose), nl.Uint32Attr(loose)...))
		return nil
	case spec.WireGuard:
		return nil // all of it is wgctrl's
	}
	return fmt.Errorf("unknown kind of link %q", l.Kind)
}

func vxlanData(k *host.Host, t *spec.Tunnel, data *nl.RtAttr) error {
	rtnl.Nest(data, nl.IFLA_VXLAN_ID, nl.Uint32Attr(t.VNI))
	rtnl.Nest(data, nl.IFLA_VXLAN_PORT, binary.BigEndian.AppendUint16(nil, t.Port))
	learning := uint8(1)
	if t.Static {
		learning = 0
	}
	rtnl.Nest(data, nl.IFLA_VXLAN_LEARNING, nl.Uint8Attr(learning))
	addAddr(data, nl.IFLA_VXLAN_LOCAL, nl.IFLA_VXLAN_LOCAL6, t.Local)
	addAddr(data, nl.IFLA_VXLAN_GROUP, nl.IFLA_VXLAN_GROUP6, t.Group)
	dev, err := tunnelDevice(k, t)
	if err != nil {
		return err
	}
	if dev != 0 {
		rtnl.Nest(data, nl.IFLA_VXLAN_LINK, nl.Uint32Attr(uint32(dev)))
	}
	if t.TTL != 0 {
		rtnl.Nest(data, nl.IFLA_VXLAN_TTL, nl.Uint8Attr(t.TTL))
	}
	if t.GBP {
		rtnl.Nest(data, nl.IFLA_VXLAN_GBP, []byte{})
	}
	return nil
}

func addAddr(data *nl.RtAttr, four, six int, a netip.Addr) {
	switch {
	case a.Is4():
		rtnl.Nest(data, four, a.AsSlice())
	case a.Is6():
		rtnl.Nest(data, six, a.AsSlice())
	}
}

func aliasMessage(index int, alias string) *nl.NetlinkRequest {
	m := host.LinkMessage(0, index, 0, 0)
	rtnl.Put(m, unix.IFLA_IFALIAS, []byte(alias))
	return m
}

func macMessage(index int, mac net.HardwareAddr) *nl.NetlinkRequest {
	m := host.LinkMessage(0, index, 0, 0)
	rtnl.Put(m, unix.IFLA_ADDRESS, mac)
	return m
}

// mtuMessages set the MTU. A bridge follows its smallest port until somebody
// changes its MTU; setting the value that it has is no change (linux 6.18,
// TestBridgeMTUStays). So it is set to something else first.
func mtuMessages(index int, l spec.Link) []*nl.NetlinkRequest {
	if l.MTU == 0 {
		return nil
	}
	values := []int{l.MTU}
	if l.Kind == spec.Bridge {
		values = []int{l.MTU - 1, l.MTU}
	}
	var out []*nl.NetlinkRequest
	for _, mtu := range values {
		m := host.LinkMessage(0, index, 0, 0)
		rtnl.Put(m, unix.IFLA_MTU, nl.Uint32Attr(uint32(mtu)))
		out = append(out, m)
	}
	return out
}

// masterMessage makes the link a port of master; an empty master takes it out.
func masterMessage(k *host.Host, index int, master string) (*nl.NetlinkRequest, error) {
	var to uint32
	if master != "" {
		dev := k.Devices.ByName[master]
		if dev == nil {
			return nil, fmt.Errorf("there is no bridge %s", master)
		}
		to = uint32(dev.Attrs().Index)
	}
	m := host.LinkMessage(0, index, 0, 0)
	rtnl.Put(m, unix.IFLA_MASTER, nl.Uint32Attr(to))
	return m, nil
}

// changeLink brings a living link to want; what cannot change there is made anew.
func changeLink(ctx context.Context, k *host.Host, want, have spec.Link) (anew bool, err error) {
	if want.Kind == spec.Port {
		return false, takePort(k, want)
	}
	if _, anew := linkDifference(want, have); anew {
		if err := deleteLink(ctx, k, have); err != nil {
			return true, err
		}
		return true, NewLink(ctx, k, want)
	}
	if err = renameLink(k, want.Name, have.Name); err == nil {
		err = alterLink(k, want, have)
	}
	if err != nil {
		return false, fmt.Errorf("change link %s: %w", want.Name, err)
	}
	switch want.Kind {
	case spec.WireGuard:
		return false, mendWireGuard(ctx, k, want, have)
	case spec.UDP:
		return false, mendUDP(ctx, k, want, have)
	}
	return false, nil
}

// alterLink sets what differs on a link that has its name.
func alterLink(k *host.Host, want, have spec.Link) error {
	index, err := k.Index(want.Name)
	if err != nil {
		return err
	}
	var messages []*nl.NetlinkRequest
	if want.Network != have.Network {
		messages = append(messages, aliasMessage(index, spec.Alias(k.Cluster, want.Network)))
	}
	if spec.IPTunnel(want.Kind) && *want.Tunnel != *have.Tunnel {
		m, err := createMessage(k, want) // with the MTU: the kernel would choose another
		if err != nil {
			return err
		}
		m.Flags &^= unix.NLM_F_CREATE | unix.NLM_F_EXCL
		messages = append(messages, m)
	}
	if want.MAC != have.MAC && want.MAC != "" {
		mac, err := net.ParseMAC(want.MAC)
		if err != nil {
			return err
		}
		messages = append(messages, macMessage(index, mac))
	}
	if want.Master != have.Master {
		m, err := masterMessage(k, index, want.Master)
		if err != nil {
			return err
		}
		messages = append(messages, m)
	}
	if want.MTU != have.MTU {
		messages = append(messages, mtuMessages(index, want)...)
	}
	switch {
	case have.Extra != "":
		messages = append(messages, mendMessages(index, want)...)
	case want.Turn != have.Turn:
		messages = append(messages, turnMessage(index, want.Turn))
	}
	if have.Down {
		messages = append(messages, host.UpMessage(k.Devices.ByIndex[index]))
	}
	if len(messages) == 0 {
		return nil
	}
	return k.RT.Do(messages...)
}

// deleteLink removes a link of ours. Its mark is read again just before.
func deleteLink(ctx context.Context, k *host.Host, l spec.Link) error {
	if err := k.ReadDevices(); err != nil {
		return err
	}
	dev := k.Devices.ByName[l.Name]
	if dev == nil {
		return nil // it went with the device below it
	}
	if l.Kind == spec.Port {
		return releasePort(k, dev)
	}
	if err := giveBack(k, dev.Attrs()); err != nil {
		return err
	}
	if _, ours := k.Network(dev); !ours {
		return fmt.Errorf("remove link %s: it does not carry the mark of cluster %s", l.Name, k.Cluster)
	}
	if k.Userspace(l.Name) {
		if err := errors.Join(stopWireGuard(ctx, k.Files, l.Name), stopUDP(ctx, k.Files, l.Name)); err != nil {
			return fmt.Errorf("remove link %s: %w", l.Name, err)
		}
	}
	m := nl.NewNetlinkRequest(unix.RTM_DELLINK, 0)
	info := nl.NewIfInfomsg(unix.AF_UNSPEC)
	info.Index = int32(dev.Attrs().Index)
	m.AddData(info)
	if err := k.RT.Do(m); err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("remove link %s: %w", l.Name, err)
	}
	return k.ReadDevices()
}
