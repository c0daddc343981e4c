//go:build linux

package link

import (
	"context"
	"errors"
	"fmt"
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

// observeFDB takes the permanent and static entries of our VXLAN devices. Not
// ours: what they learn, and the flood entry that a multicast group makes.
func observeFDB(k *host.Host, have *spec.Host) error {
	group := map[string]spec.FDB{}
	for _, l := range have.Links {
		if l.Tunnel != nil {
			group[l.Name] = spec.FDB{Link: l.Name, MAC: spec.ZeroMAC, Dst: l.Tunnel.Group}
		}
	}
	if len(group) == 0 {
		return nil
	}
	list, err := rtnl.Dump(func() ([]netlink.Neigh, error) { return k.Handle.NeighList(0, unix.AF_BRIDGE) })
	if err != nil {
		return err
	}
	for _, n := range list {
		name := k.Devices.Name(n.LinkIndex)
		made, tunnel := group[name]
		if !tunnel || n.Flags&unix.NTF_SELF == 0 || n.State&(unix.NUD_PERMANENT|unix.NUD_NOARP) == 0 || n.IP == nil {
			continue
		}
		if f := (spec.FDB{Link: name, MAC: n.HardwareAddr.String(), Dst: host.ToAddr(n.IP)}); f != made {
			have.FDB = append(have.FDB, f)
		}
	}
	return nil
}

// ForgetLearned deletes what our VXLAN devices learned about the destinations that
// were taken off their flood lists: a server that left would otherwise be sent
// frames until the entries age (300 s).
func ForgetLearned(k *host.Host) error {
	if len(k.Departed) == 0 {
		return nil
	}
	list, err := rtnl.Dump(func() ([]netlink.Neigh, error) { return k.Handle.NeighList(0, unix.AF_BRIDGE) })
	if err != nil {
		return fmt.Errorf("look at learned entries: %w", err)
	}
	var batch []*nl.NetlinkRequest
	for _, n := range list {
		f := spec.FDB{Link: k.Devices.Name(n.LinkIndex), MAC: spec.ZeroMAC, Dst: host.ToAddr(n.IP)}
		if n.Flags&unix.NTF_SELF == 0 || n.State&unix.NUD_PERMANENT != 0 || !slices.Contains(k.Departed, f) {
			continue
		}
		f.MAC = n.HardwareAddr.String()
		m, err := fdbMessage(k, unix.RTM_DELNEIGH, f)
		if err != nil {
			return err
		}
		batch = append(batch, m)
	}
	if len(batch) == 0 {
		return nil
	}
	answers, err := k.RT.Send(batch...)
	for _, answer := range answers {
		if answer != nil && !host.Gone(answer) { // aged meanwhile
			err = errors.Join(err, fmt.Errorf("forget learned entry: %w", answer))
		}
	}
	return err
}

// fdbMessage adds or removes a permanent forwarding entry of a VXLAN device. Flood
// entries are appended to their list; another MAC has one destination.
func fdbMessage(k *host.Host, kind int, f spec.FDB) (*nl.NetlinkRequest, error) {
	flags := 0
	switch {
	case kind == unix.RTM_DELNEIGH:
	case f.MAC == spec.ZeroMAC:
		flags = unix.NLM_F_CREATE | unix.NLM_F_APPEND
	default:
		flags = unix.NLM_F_CREATE | unix.NLM_F_REPLACE
	}
	head := netlink.Ndmsg{Family: unix.AF_BRIDGE, State: unix.NUD_PERMANENT, Flags: unix.NTF_SELF}
	return entryMessage(k, kind, flags, f.Link, f.MAC, f.Dst.AsSlice(), head)
}

// FDBFamily is forwarding entries of VXLAN devices.
var FDBFamily = family.Family{
	Stage: family.StageMake, What: "forwarding entries",
	Observe: func(_ context.Context, k *host.Host, _, have *spec.Host) error { return observeFDB(k, have) },
	Diff: func(d *family.Difference) {
		d.Put(family.Compare(d.Want.AllFDB(), d.Have.AllFDB(), keyFDB, objectFDB), family.Lapsing, family.Coming)
	},
	StandsOn: func(have *spec.Host, vanish map[string]bool) {
		have.FDB = spec.Without(have.AllFDB(), func(f spec.FDB) bool { return vanish[f.Link] })
		have.Floods = nil
	},
	Batch: fdbMessages,
	Took: func(k *host.Host, op family.Op) {
		if f, ok := op.Have.(spec.FDB); ok && f.MAC == spec.ZeroMAC {
			k.Departed = append(k.Departed, f)
		}
	},
	Finish: func(_ context.Context, k *host.Host, _ *spec.Host) error { return ForgetLearned(k) },
	Glance: func(k *host.Host, _, have *spec.Host) error {
		have.FDB = nil
		return observeFDB(k, have)
	},
}

func fdbMessages(a *family.Applier, op family.Op) (family.Messages, error) {
	f, wanted := op.Want.(spec.FDB)
	if !wanted {
		return family.Alone(fdbMessage(a.Host, unix.RTM_DELNEIGH, op.Have.(spec.FDB)))
	}
	return family.Alone(fdbMessage(a.Host, unix.RTM_NEWNEIGH, f))
}

// keyFDB leaves the destination out for a MAC that lives in one place; flood
// entries are a list.
func keyFDB(f spec.FDB) spec.FDB {
	if f.MAC != spec.ZeroMAC {
		f.Dst = netip.Addr{}
	}
	return f
}

func objectFDB(f spec.FDB) string { return f.String() }
