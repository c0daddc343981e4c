//go:build linux

package link

import (
	"context"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/family"
	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/rtnl"
	"github.com/flocknet/flock/internal/spec"
)

// observeRoutes takes the routes of our protocol numbers in the main table that
// are on our links, or on nobody's of flock and go where want goes or where the
// cluster remembers to have led one. Two clusters on one server share the numbers.
func observeRoutes(k *host.Host, want, have *spec.Host) {
	wanted := make(map[routeKey]bool, len(want.Routes))
	for _, r := range want.Routes {
		wanted[keyRoute(r)] = true
	}
	for _, r := range k.Routes {
		if host.Unreachable(r) {
			if dst := host.ToPrefix(r.Dst); wanted[routeKey{dst, true}] || k.Noted[dst] {
				have.Routes = append(have.Routes, spec.Route{Unreachable: true, Dst: dst, Proto: spec.RouteProto})
			}
			continue
		}
		if r.Table != unix.RT_TABLE_MAIN || r.Protocol != spec.RouteProto && r.Protocol != spec.RouteProtoBGP || r.Type != unix.RTN_UNICAST {
			continue
		}
		if r.Protocol == spec.RouteProtoBGP && r.Priority == spec.BGPMetric {
			continue // the BGP daemon's: removeBGP
		}
		dst := host.ToPrefix(r.Dst)
		if !k.Ours(r.LinkIndex) && (!wanted[routeKey{dst, false}] && !k.Noted[dst] || host.Flocks(k.Devices.ByIndex[r.LinkIndex])) {
			continue
		}
		have.Routes = append(have.Routes, spec.Route{
			Dst: dst, Via: host.ToAddr(r.Gw), Dev: k.Devices.Name(r.LinkIndex), Src: host.ToAddr(r.Src),
			Onlink: r.Flags&unix.RTNH_F_ONLINK != 0, MTU: r.MTU, Proto: uint8(r.Protocol),
		})
	}
}

// unreachableMessage adds or removes a route that answers for what is not there.
// Its metric is part of its key: no other route to Dst is touched.
func unreachableMessage(kind, flags int, r spec.Route) *nl.NetlinkRequest {
	m := nl.NewNetlinkRequest(kind, flags)
	head := nl.NewRtMsg()
	head.Family, head.Dst_len, head.Protocol, head.Type = uint8(host.IPFamily(r.Dst.Addr())), uint8(r.Dst.Bits()), r.Proto, unix.RTN_UNREACHABLE
	m.AddData(head)
	rtnl.Put(m, unix.RTA_DST, r.Dst.Addr().AsSlice())
	rtnl.Put(m, unix.RTA_PRIORITY, nl.Uint32Attr(spec.UnreachableMetric))
	return m
}

// routeMessage adds (flags: exclusively, or in place of ours) or removes a route.
func routeMessage(k *host.Host, kind, flags int, r spec.Route) (*nl.NetlinkRequest, error) {
	if r.Unreachable {
		return unreachableMessage(kind, flags, r), nil
	}
	index, err := k.Index(r.Dev)
	if err != nil {
		return nil, err
	}
	m := nl.NewNetlinkRequest(kind, flags)
	head := nl.NewRtMsg()
	head.Family, head.Dst_len, head.Protocol = uint8(host.IPFamily(r.Dst.Addr())), uint8(r.Dst.Bits()), r.Proto
	if !r.Via.IsValid() && r.Dst.Addr().Is4() {
		head.Scope = unix.RT_SCOPE_LINK
	}
	if r.Onlink {
		head.Flags = unix.RTNH_F_ONLINK
	}
	m.AddData(head)
	rtnl.Put(m, unix.RTA_DST, r.Dst.Addr().AsSlice())
	rtnl.Put(m, unix.RTA_OIF, nl.Uint32Attr(uint32(index)))
	if r.Via.IsValid() {
		rtnl.Put(m, unix.RTA_GATEWAY, r.Via.AsSlice())
	}
	if r.Src.IsValid() {
		rtnl.Put(m, unix.RTA_PREFSRC, r.Src.AsSlice())
	}
	if r.MTU != 0 {
		metrics := nl.NewRtAttr(unix.RTA_METRICS, nil)
		rtnl.Nest(metrics, unix.RTAX_MTU, nl.Uint32Attr(uint32(r.MTU)))
		m.AddData(metrics)
	}
	return m, nil
}

// RouteFamily is routes.
var RouteFamily = family.Family{
	Stage: family.StageUse, What: "routes",
	Observe: func(_ context.Context, k *host.Host, want, have *spec.Host) error {
		observeRoutes(k, want, have)
		return nil
	},
	Diff: func(d *family.Difference) {
		p := family.Compare(d.Want.Routes, d.Have.Routes, keyRoute, spec.Route.Object)
		p.Come = family.InSequence(p.Come, linksFirst)
		d.Put(p, family.Going, family.Coming)
	},
	StandsOn: func(have *spec.Host, vanish map[string]bool) {
		have.Routes = spec.Without(have.Routes, func(r spec.Route) bool { return vanish[r.Dev] })
	},
	Batch:    routeMessages,
	Underlay: routeUnderlay,
	Prepare:  (*host.Host).NoteRoutes,
	Finish:   func(_ context.Context, k *host.Host, want *spec.Host) error { return k.FinishRoutes(want) },
	Remains: func(k *host.Host) ([]string, error) {
		have := &spec.Host{}
		observeRoutes(k, &spec.Host{Cluster: k.Cluster}, have)
		var names []string
		for _, r := range have.Routes {
			names = append(names, r.Object())
		}
		return names, nil
	},
	Glance: func(k *host.Host, want, have *spec.Host) error {
		have.Routes = nil
		err := k.ReadRoutes()
		observeRoutes(k, want, have)
		return err
	},
}

func routeMessages(a *family.Applier, op family.Op) (family.Messages, error) {
	r, wanted := op.Want.(spec.Route)
	if !wanted {
		return family.Alone(routeMessage(a.Host, unix.RTM_DELROUTE, 0, op.Have.(spec.Route)))
	}
	if err := a.UpNow(); err != nil {
		return family.Messages{}, err
	}
	flags := unix.NLM_F_CREATE | unix.NLM_F_EXCL
	if op.Have != nil {
		flags = unix.NLM_F_CREATE | unix.NLM_F_REPLACE
	}
	m, err := routeMessage(a.Host, unix.RTM_NEWROUTE, flags, r)
	if err != nil || !r.Onlink {
		return family.Alone(m, err)
	}
	if a.Cover == nil {
		a.Cover = host.Covers(a.Host, a.Want)
	}
	before, after, err := shelter(a.Host, a.Cover, r)
	return family.Messages{before, m, after}, err
}

// linksFirst puts routes to what is on a link before those by a next hop, which may be
// reached by one of them.
func linksFirst(a, b family.Op) int { return byNextHop(a) - byNextHop(b) }

func byNextHop(op family.Op) int {
	if r, ok := op.Want.(spec.Route); ok && r.Via.IsValid() {
		return 1
	}
	return 0
}

type routeKey struct {
	dst         netip.Prefix
	unreachable bool
}

func keyRoute(r spec.Route) routeKey { return routeKey{r.Dst, r.Unreachable} }
