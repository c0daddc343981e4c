//go:build linux

package link

import (
	"context"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/family"
	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/rtnl"
	"github.com/flocknet/flock/internal/spec"
)

// observeNeighs takes the permanent neighbours on our links; what the kernel
// resolved itself is none of our business.
func observeNeighs(k *host.Host, have *spec.Host) error {
	if len(have.Links) == 0 {
		return nil
	}
	list, err := rtnl.Dump(func() ([]netlink.Neigh, error) { return k.Handle.NeighList(0, unix.AF_UNSPEC) })
	if err != nil {
		return err
	}
	for _, n := range list {
		ip := n.Family == unix.AF_INET || n.Family == unix.AF_INET6
		if ip && k.Ours(n.LinkIndex) && n.State == unix.NUD_PERMANENT && n.Flags&unix.NTF_PROXY == 0 {
			have.Neighs = append(have.Neighs, spec.Neigh{Link: k.Devices.Name(n.LinkIndex), IP: host.ToAddr(n.IP), MAC: n.HardwareAddr.String()})
		}
	}
	return nil
}

// neighMessage sets or removes a permanent neighbour.
func neighMessage(k *host.Host, kind, flags int, n spec.Neigh) (*nl.NetlinkRequest, error) {
	head := netlink.Ndmsg{Family: uint8(host.IPFamily(n.IP)), State: unix.NUD_PERMANENT}
	return entryMessage(k, kind, flags, n.Link, n.MAC, n.IP.AsSlice(), head)
}

// entryMessage is what neighbours and forwarding entries have in common.
func entryMessage(k *host.Host, kind, flags int, link, mac string, dst []byte, head netlink.Ndmsg) (*nl.NetlinkRequest, error) {
	index, err := k.Index(link)
	if err != nil {
		return nil, err
	}
	hw, err := net.ParseMAC(mac)
	if err != nil {
		return nil, err
	}
	head.Index = uint32(index)
	m := nl.NewNetlinkRequest(kind, flags)
	m.AddData(&head)
	rtnl.Put(m, netlink.NDA_DST, slices.Clone(dst))
	rtnl.Put(m, netlink.NDA_LLADDR, hw)
	return m, nil
}

// NeighFamily is permanent neighbours.
var NeighFamily = family.Family{
	Stage: family.StageMake, What: "neighbours",
	Observe: func(_ context.Context, k *host.Host, _, have *spec.Host) error { return observeNeighs(k, have) },
	Diff: func(d *family.Difference) {
		object := func(n spec.Neigh) string { return "neigh " + n.IP.String() + " dev " + n.Link }
		d.Put(family.Compare(d.Want.Neighs, d.Have.Neighs, keyNeigh, object), family.Lapsing, family.Coming)
	},
	StandsOn: func(have *spec.Host, vanish map[string]bool) {
		have.Neighs = spec.Without(have.Neighs, func(n spec.Neigh) bool { return vanish[n.Link] })
	},
	Batch: neighMessages,
	Glance: func(k *host.Host, _, have *spec.Host) error {
		have.Neighs = nil
		return observeNeighs(k, have)
	},
}

func neighMessages(a *family.Applier, op family.Op) (family.Messages, error) {
	n, wanted := op.Want.(spec.Neigh)
	if !wanted {
		return family.Alone(neighMessage(a.Host, unix.RTM_DELNEIGH, 0, op.Have.(spec.Neigh)))
	}
	// The kernel may have resolved the address meanwhile: that entry gives way.
	return family.Alone(neighMessage(a.Host, unix.RTM_NEWNEIGH, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, n))
}

type neighKey struct {
	link string
	ip   netip.Addr
}

func keyNeigh(n spec.Neigh) neighKey { return neighKey{n.Link, n.IP} }
