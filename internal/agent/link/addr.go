//go:build linux

package link

import (
	"context"
	"encoding/binary"
	"math"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/family"
	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/rtnl"
	"github.com/flocknet/flock/internal/spec"
)

// observeAddrs takes every address on our links for ours, but what the kernel
// makes itself: link-local ones and those of router advertisements.
func observeAddrs(k *host.Host, want, have *spec.Host) {
	var found []foundAddr
	for _, a := range k.Addrs {
		prefix := host.ToPrefix(a.IPNet)
		if !k.Ours(a.LinkIndex) || prefix.Addr().IsLinkLocalUnicast() || a.Flags&unix.IFA_F_PERMANENT == 0 {
			continue
		}
		found = append(found, foundAddr{
			Addr:      spec.Addr{Link: k.Devices.Name(a.LinkIndex), Prefix: prefix},
			secondary: prefix.Addr().Is4() && a.Flags&unix.IFA_F_SECONDARY != 0,
		})
	}
	have.Addrs = displace(want.Addrs, found)
}

// AddrMessage adds or removes an address (kind RTM_NEWADDR, RTM_DELADDR). An IPv6
// address is used at once, without duplicate address detection: the gateway's is
// on every server on purpose, and the others are dealt out.
func AddrMessage(k *host.Host, kind int, a spec.Addr) (*nl.NetlinkRequest, error) {
	index, err := k.Index(a.Link)
	if err != nil {
		return nil, err
	}
	flags := 0
	if kind == unix.RTM_NEWADDR {
		flags = unix.NLM_F_CREATE | unix.NLM_F_EXCL
	}
	m := nl.NewNetlinkRequest(kind, flags)
	ip := a.Prefix.Addr()
	head := nl.NewIfAddrmsg(host.IPFamily(ip))
	head.Prefixlen, head.Index = uint8(a.Prefix.Bits()), uint32(index)
	if ip.Is6() && kind == unix.RTM_NEWADDR {
		head.Flags = unix.IFA_F_NODAD
	}
	m.AddData(head)
	if anycast(k, a) && kind == unix.RTM_NEWADDR {
		rtnl.Put(m, unix.IFA_CACHEINFO, neverSource())
	}
	rtnl.Put(m, unix.IFA_LOCAL, ip.AsSlice())
	rtnl.Put(m, unix.IFA_ADDRESS, ip.AsSlice())
	if ip.Is4() && a.Prefix.Bits() < 31 && kind == unix.RTM_NEWADDR {
		rtnl.Put(m, unix.IFA_BROADCAST, broadcast(a.Prefix).AsSlice())
	}
	return m, nil
}

// neverSource is a struct ifa_cacheinfo: preferred for 0 s, valid for ever, and two
// time stamps that are the kernel's.
func neverSource() []byte {
	info := make([]byte, 16)
	binary.NativeEndian.PutUint32(info[4:], math.MaxUint32)
	return info
}

// shared says whether a is an anycast address beside the server's own. IPv6 picks
// the source that shares most bits with the destination, for which a /128 counts
// in full (RFC 6724, rule 8): without more, the server would talk to containers
// elsewhere as their own gateway, and never get an answer. A deprecated address
// is taken last (rule 3; linux 6.18, TestGatewayIsNoSource).
func anycast(k *host.Host, a spec.Addr) bool {
	_, bridge := k.Devices.ByName[a.Link].(*netlink.Bridge)
	return bridge && a.Prefix.Addr().Is6() && a.Prefix.IsSingleIP()
}

func broadcast(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().As4()
	for bit := p.Bits(); bit < 32; bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	return netip.AddrFrom4(b)
}

// AddrFamily is the addresses of links.
var AddrFamily = family.Family{
	Stage: family.StageMake, What: "addresses",
	Observe: func(_ context.Context, k *host.Host, want, have *spec.Host) error {
		observeAddrs(k, want, have)
		return nil
	},
	Diff: func(d *family.Difference) {
		p := diffAddrs(d.Want.Addrs, d.Have.Addrs)
		for _, op := range p.Gone {
			turn := family.Clearing
			if followed(d.Want, op.Have.(spec.Addr)) {
				turn = family.Lapsing
			}
			d.Found[turn] = append(d.Found[turn], op)
		}
		d.Found[family.Coming] = append(d.Found[family.Coming], p.Come...)
	},
	StandsOn: func(have *spec.Host, vanish map[string]bool) {
		have.Addrs = spec.Without(have.Addrs, func(a spec.Addr) bool { return vanish[a.Link] })
	},
	Batch: addrMessages,
}

func addrMessages(a *family.Applier, op family.Op) (family.Messages, error) {
	addr, wanted := op.Want.(spec.Addr)
	if !wanted {
		return family.Alone(AddrMessage(a.Host, unix.RTM_DELADDR, op.Have.(spec.Addr)))
	}
	m, err := AddrMessage(a.Host, unix.RTM_NEWADDR, addr)
	if err != nil || op.Have == nil {
		return family.Alone(m, err)
	}
	before, err := AddrMessage(a.Host, unix.RTM_DELADDR, addr) // takes its place when it is added
	return family.Messages{before, m, nil}, err
}
