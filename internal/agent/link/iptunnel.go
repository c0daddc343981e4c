//go:build linux

package link

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/rtnl"
	"github.com/flocknet/flock/internal/spec"
)

// IP tunnels are devices of the kernel's without an Ethernet of their own: GRE over
// IPv4 and IPv6, IPv4 in IPv4. The module that makes them also makes devices nobody
// asked for, one per namespace (gre0, gretap0, erspan0, tunl0, ip6gre0), which take
// in what no other tunnel does. They carry no mark of ours, so they are left alone.

// ModuleOf is the kernel module that has a kind of link.
func ModuleOf(kind string) string {
	switch kind {
	case spec.GRE:
		return "ip_gre"
	case spec.IP6GRE:
		return "ip6_gre"
	case spec.UDP:
		return "tun"
	case spec.VLAN:
		return "8021q"
	}
	return kind
}

// ignoreEncapLimit is IP6_TNL_F_IGN_ENCAP_LIMIT of linux/ip6_tunnel.h: no option of
// 8 bytes in every packet that limits tunnels in tunnels (RFC 2473, 4.1.1).
const ignoreEncapLimit = 1

// ipTunnelData adds what an IP tunnel is made with.
func ipTunnelData(k *host.Host, l spec.Link, data *nl.RtAttr) error {
	t := l.Tunnel
	if t == nil {
		return fmt.Errorf("a link of the kind %s without its tunnel", l.Kind)
	}
	dev, err := tunnelDevice(k, t)
	if err != nil {
		return err
	}
	if l.Kind == spec.IPIP {
		addOutside(data, t, outside{nl.IFLA_IPTUN_LOCAL, nl.IFLA_IPTUN_REMOTE, nl.IFLA_IPTUN_LINK, nl.IFLA_IPTUN_TTL}, dev)
		rtnl.Nest(data, nl.IFLA_IPTUN_PROTO, nl.Uint8Attr(unix.IPPROTO_IPIP))
		rtnl.Nest(data, nl.IFLA_IPTUN_PMTUDISC, nl.Uint8Attr(1))
		return nil
	}
	addOutside(data, t, outside{nl.IFLA_GRE_LOCAL, nl.IFLA_GRE_REMOTE, nl.IFLA_GRE_LINK, nl.IFLA_GRE_TTL}, dev)
	if t.Key != 0 {
		key, flags := binary.BigEndian.AppendUint32(nil, t.Key), binary.BigEndian.AppendUint16(nil, uint16(nl.GRE_KEY))
		rtnl.Nest(data, nl.IFLA_GRE_IKEY, key)
		rtnl.Nest(data, nl.IFLA_GRE_OKEY, key)
		rtnl.Nest(data, nl.IFLA_GRE_IFLAGS, flags)
		rtnl.Nest(data, nl.IFLA_GRE_OFLAGS, flags)
	}
	if l.Kind == spec.IP6GRE {
		rtnl.Nest(data, nl.IFLA_GRE_FLAGS, nl.Uint32Attr(ignoreEncapLimit))
	} else {
		rtnl.Nest(data, nl.IFLA_GRE_PMTUDISC, nl.Uint8Attr(1))
	}
	return nil
}

// outside are the attributes of the outer header, by their numbers in a kind.
type outside struct{ local, remote, link, ttl int }

func addOutside(data *nl.RtAttr, t *spec.Tunnel, as outside, dev int) {
	if t.Local.IsValid() {
		rtnl.Nest(data, as.local, t.Local.AsSlice())
	}
	if t.Remote.IsValid() {
		rtnl.Nest(data, as.remote, t.Remote.AsSlice())
	}
	if dev != 0 {
		rtnl.Nest(data, as.link, nl.Uint32Attr(uint32(dev)))
	}
	rtnl.Nest(data, as.ttl, nl.Uint8Attr(t.TTL))
}

// tunnelDevice is the index of the underlay device that t names, 0 if none.
func tunnelDevice(k *host.Host, t *spec.Tunnel) (int, error) {
	if t.Dev == "" {
		return 0, nil
	}
	dev := k.Devices.ByName[t.Dev]
	if dev == nil {
		return 0, hint.Errorf("", "ip link show", "there is no underlay device %s", t.Dev)
	}
	return dev.Attrs().Index, nil
}

// ObserveTunnel is what the tunnel device l is set to, nil for other devices.
func ObserveTunnel(k *host.Host, l netlink.Link) *spec.Tunnel {
	switch v := l.(type) {
	case *netlink.Vxlan:
		return &spec.Tunnel{
			VNI: uint32(v.VxlanId), Port: uint16(v.Port), Local: host.ToAddr(v.SrcAddr), Group: host.ToAddr(v.Group),
			Dev: k.Devices.Name(v.VtepDevIndex), GBP: v.GBP, Static: !v.Learning, TTL: uint8(v.TTL),
		}
	case *netlink.Vlan:
		return &spec.Tunnel{VNI: uint32(v.VlanId), Dev: k.Devices.Name(v.ParentIndex)}
	case *netlink.Gretun:
		t := &spec.Tunnel{Local: outer(v.Local), Remote: outer(v.Remote), Dev: k.Devices.Name(v.ParentIndex), TTL: v.Ttl, Extra: greExtra(v)}
		if v.IKey == v.OKey {
			t.Key = v.IKey
		}
		return t
	case *netlink.Iptun:
		return &spec.Tunnel{Local: outer(v.Local), Remote: outer(v.Remote), Dev: k.Devices.Name(v.ParentIndex), TTL: v.Ttl, Extra: ipipExtra(v)}
	}
	return nil
}

// outer is an end of a tunnel; any address will do is none.
func outer(ip net.IP) netip.Addr {
	if a := host.ToAddr(ip); a.IsValid() && !a.IsUnspecified() {
		return a
	}
	return netip.Addr{}
}

// greExtra says what a GRE device has set that ours never have, in the words of
// ip-link(8).
func greExtra(v *netlink.Gretun) string {
	var extra []string
	if v.IKey != v.OKey {
		extra = append(extra, fmt.Sprintf("ikey %d okey %d", v.IKey, v.OKey))
	}
	if v.IFlags&^uint16(nl.GRE_KEY) != 0 {
		extra = append(extra, fmt.Sprintf("iflags %#x", v.IFlags))
	}
	if v.OFlags&^uint16(nl.GRE_KEY) != 0 {
		extra = append(extra, fmt.Sprintf("oflags %#x", v.OFlags))
	}
	// Over IPv6 the path's MTU is always looked for: the attribute is not there.
	extra = append(extra, outerExtra(v.Tos, v.PMtuDisc != 0 || v.Type() == spec.IP6GRE, v.EncapType, v.FlowBased)...)
	return strings.Join(extra, " ")
}

func ipipExtra(v *netlink.Iptun) string {
	var extra []string
	if v.Proto != unix.IPPROTO_IPIP {
		extra = append(extra, fmt.Sprintf("proto %d", v.Proto))
	}
	extra = append(extra, outerExtra(v.Tos, v.PMtuDisc != 0, v.EncapType, v.FlowBased)...)
	return strings.Join(extra, " ")
}

func outerExtra(tos uint8, pathMTU bool, encap uint16, external bool) []string {
	var extra []string
	if tos != 0 {
		extra = append(extra, fmt.Sprintf("tos %#x", tos))
	}
	if !pathMTU {
		extra = append(extra, "nopmtudisc")
	}
	if encap != 0 {
		extra = append(extra, fmt.Sprintf("encap %d", encap))
	}
	if external {
		extra = append(extra, "external")
	}
	return extra
}

// Fallback says whether l is a device that a tunnel module made by itself, which
// nobody can remove (linux, net/ipv4/ip_gre.c and others: "%s0").
func Fallback(l netlink.Link) bool {
	return slices.Contains([]string{"gre0", "ip6gre0", "tunl0"}, l.Attrs().Name)
}
