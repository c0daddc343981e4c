//go:build linux

package agent

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/hint"
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

func (k *Kernel) readDevices() error {
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
func (k *Kernel) network(l netlink.Link) (network string, ours bool) {
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
func (k *Kernel) ours(index int) bool {
	_, ours := k.network(k.devices.byIndex[index])
	return ours
}

func (k *Kernel) observeLinks(have *spec.Host) {
	for _, l := range k.devices.byName {
		network, ours := k.network(l)
		if !ours {
			continue
		}
		a := l.Attrs()
		link := spec.Link{
			Name: a.Name, Network: network, Kind: k.kindOf(l), MTU: a.MTU,
			Master: k.devices.name(a.MasterIndex), Down: a.Flags&net.FlagUp == 0, Tunnel: k.observeTunnel(l),
		}
		if a.EncapType == "ether" { // an IP tunnel has its local address in the place of the MAC
			link.MAC = a.HardwareAddr.String()
		}
		have.Links = append(have.Links, link)
	}
}

func toAddr(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip)
	return a.Unmap()
}

// newLink makes a link, still down.
func (k *Kernel) newLink(ctx context.Context, l spec.Link) error {
	switch l.Kind {
	case spec.WireGuard:
		return k.newWireGuard(ctx, l)
	case spec.UDP:
		return k.newUDP(ctx, l)
	}
	return k.newKernelLink(l)
}

// freshGroup is in the number of the device group that a link of ours is in from its
// creation until it is first set up. Administrators' groups have small numbers.
const freshGroup = 1 << 31

// newKernelLink makes a link that the kernel has a kind for. Its name, MAC, MTU and kind are set in the
// create call; the mark of ownership cannot be (linux 6.18 ignores IFLA_IFALIAS
// there, TestAliasIsIgnoredAtCreation), so it follows in the same system call:
// nothing can end this process in between. The messages after the first are for all
// links of a group that only the create call puts one in. By name, or by an index
// chosen beforehand, they would mark a foreign link where somebody was faster.
func (k *Kernel) newKernelLink(l spec.Link) error {
	create, err := k.createMessage(l)
	if err != nil {
		return fmt.Errorf("create link %s: %w", l.Name, err)
	}
	messages := []*nl.NetlinkRequest{create, aliasMessage(0, spec.Alias(k.cluster, l.Network))}
	messages = append(messages, mtuMessages(0, l)...)
	if l.Master != "" {
		m, err := k.masterMessage(0, l.Master)
		if err != nil {
			return fmt.Errorf("create link %s: %w", l.Name, err)
		}
		messages = append(messages, m)
	}
	group := freshGroup | rand.Uint32()
	for _, m := range messages {
		m.AddData(groupAttr(group))
	}
	if err := k.rt.Do(messages...); err != nil {
		return createError(l, err)
	}
	return k.readDevices()
}

func groupAttr(group uint32) *nl.RtAttr { return nl.NewRtAttr(unix.IFLA_GROUP, nl.Uint32Attr(group)) }

func (k *Kernel) createMessage(l spec.Link) (*nl.NetlinkRequest, error) {
	create := linkMessage(unix.NLM_F_CREATE|unix.NLM_F_EXCL, 0, 0, 0)
	create.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(l.Name)))
	if l.MAC != "" {
		mac, err := net.ParseMAC(l.MAC)
		if err != nil {
			return nil, err
		}
		create.AddData(nl.NewRtAttr(unix.IFLA_ADDRESS, mac))
	}
	if l.MTU != 0 {
		create.AddData(nl.NewRtAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(l.MTU))))
	}
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, []byte(l.Kind))
	if err := k.kindData(l, info.AddRtAttr(nl.IFLA_INFO_DATA, nil)); err != nil {
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
		return hint.With(err, "", "modprobe "+moduleOf(l.Kind))
	}
	return err
}

// kindData adds what is particular to a kind.
func (k *Kernel) kindData(l spec.Link, data *nl.RtAttr) error {
	switch l.Kind {
	case spec.Bridge:
		data.AddRtAttr(nl.IFLA_BR_FORWARD_DELAY, nl.Uint32Attr(0))
		data.AddRtAttr(nl.IFLA_BR_STP_STATE, nl.Uint32Attr(0))
		return nil
	case spec.VXLAN:
		if l.Tunnel == nil {
			return errors.New("a VXLAN link without its tunnel")
		}
		return k.vxlanData(l.Tunnel, data)
	case spec.GRE, spec.IP6GRE, spec.IPIP:
		return k.ipTunnelData(l, data)
	case spec.WireGuard:
		return nil // all of it is wgctrl's
	}
	return fmt.Errorf("unknown kind of link %q", l.Kind)
}

func (k *Kernel) vxlanData(t *spec.Tunnel, data *nl.RtAttr) error {
	data.AddRtAttr(nl.IFLA_VXLAN_ID, nl.Uint32Attr(t.VNI))
	data.AddRtAttr(nl.IFLA_VXLAN_PORT, binary.BigEndian.AppendUint16(nil, t.Port))
	learning := uint8(1)
	if t.Static {
		learning = 0
	}
	data.AddRtAttr(nl.IFLA_VXLAN_LEARNING, nl.Uint8Attr(learning))
	addAddr(data, nl.IFLA_VXLAN_LOCAL, nl.IFLA_VXLAN_LOCAL6, t.Local)
	addAddr(data, nl.IFLA_VXLAN_GROUP, nl.IFLA_VXLAN_GROUP6, t.Group)
	dev, err := k.tunnelDevice(t)
	if err != nil {
		return err
	}
	if dev != 0 {
		data.AddRtAttr(nl.IFLA_VXLAN_LINK, nl.Uint32Attr(uint32(dev)))
	}
	if t.TTL != 0 {
		data.AddRtAttr(nl.IFLA_VXLAN_TTL, nl.Uint8Attr(t.TTL))
	}
	if t.GBP {
		data.AddRtAttr(nl.IFLA_VXLAN_GBP, []byte{})
	}
	return nil
}

func addAddr(data *nl.RtAttr, four, six int, a netip.Addr) {
	switch {
	case a.Is4():
		data.AddRtAttr(four, a.AsSlice())
	case a.Is6():
		data.AddRtAttr(six, a.AsSlice())
	}
}

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

func aliasMessage(index int, alias string) *nl.NetlinkRequest {
	m := linkMessage(0, index, 0, 0)
	m.AddData(nl.NewRtAttr(unix.IFLA_IFALIAS, []byte(alias)))
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
		m := linkMessage(0, index, 0, 0)
		m.AddData(nl.NewRtAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(mtu))))
		out = append(out, m)
	}
	return out
}

// masterMessage makes the link a port of master; an empty master takes it out.
func (k *Kernel) masterMessage(index int, master string) (*nl.NetlinkRequest, error) {
	var to uint32
	if master != "" {
		dev := k.devices.byName[master]
		if dev == nil {
			return nil, fmt.Errorf("there is no bridge %s", master)
		}
		to = uint32(dev.Attrs().Index)
	}
	m := linkMessage(0, index, 0, 0)
	m.AddData(nl.NewRtAttr(unix.IFLA_MASTER, nl.Uint32Attr(to)))
	return m, nil
}

// changeLink brings a living link to want; what cannot change there is made anew.
func (k *Kernel) changeLink(ctx context.Context, want, have spec.Link) (anew bool, err error) {
	if _, anew := linkDifference(want, have); anew {
		if err := k.deleteLink(ctx, have); err != nil {
			return true, err
		}
		return true, k.newLink(ctx, want)
	}
	index, err := k.index(want.Name)
	if err != nil {
		return false, fmt.Errorf("change link %s: %w", want.Name, err)
	}
	var messages []*nl.NetlinkRequest
	if want.Network != have.Network {
		messages = append(messages, aliasMessage(index, spec.Alias(k.cluster, want.Network)))
	}
	if want.MAC != have.MAC {
		mac, err := net.ParseMAC(want.MAC)
		if err != nil {
			return false, fmt.Errorf("change link %s: %w", want.Name, err)
		}
		m := linkMessage(0, index, 0, 0)
		m.AddData(nl.NewRtAttr(unix.IFLA_ADDRESS, mac))
		messages = append(messages, m)
	}
	if want.Master != have.Master {
		m, err := k.masterMessage(index, want.Master)
		if err != nil {
			return false, fmt.Errorf("change link %s: %w", want.Name, err)
		}
		messages = append(messages, m)
	}
	if want.MTU != have.MTU {
		messages = append(messages, mtuMessages(index, want)...)
	}
	if have.Down {
		messages = append(messages, upMessage(k.devices.byIndex[index]))
	}
	if len(messages) > 0 {
		if err := k.rt.Do(messages...); err != nil {
			return false, fmt.Errorf("change link %s: %w", want.Name, err)
		}
	}
	switch want.Kind {
	case spec.WireGuard:
		return false, k.mendWireGuard(ctx, want, have)
	case spec.UDP:
		return false, k.mendUDP(ctx, want, have)
	}
	return false, nil
}

// deleteLink removes a link of ours. Its mark is read again just before.
func (k *Kernel) deleteLink(ctx context.Context, l spec.Link) error {
	if err := k.readDevices(); err != nil {
		return err
	}
	dev := k.devices.byName[l.Name]
	if dev == nil {
		return nil // it went with the device below it
	}
	if _, ours := k.network(dev); !ours {
		return fmt.Errorf("remove link %s: it does not carry the mark of cluster %s", l.Name, k.cluster)
	}
	if k.userspace(l.Name) {
		if err := errors.Join(k.services.stopWireGuard(ctx, l.Name), k.services.stopUDP(ctx, l.Name)); err != nil {
			return fmt.Errorf("remove link %s: %w", l.Name, err)
		}
	}
	m := nl.NewNetlinkRequest(unix.RTM_DELLINK, 0)
	info := nl.NewIfInfomsg(unix.AF_UNSPEC)
	info.Index = int32(dev.Attrs().Index)
	m.AddData(info)
	if err := k.rt.Do(m); err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("remove link %s: %w", l.Name, err)
	}
	return k.readDevices()
}

// raise sets new links up, when all that stands on them is in place.
func (k *Kernel) raise(names []string) error {
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

func (k *Kernel) index(name string) (int, error) {
	if l := k.devices.byName[name]; l != nil {
		return l.Attrs().Index, nil
	}
	return 0, fmt.Errorf("there is no link %s", name)
}
