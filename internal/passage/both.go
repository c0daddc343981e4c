package passage

import (
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/spec"
)

// stages are the specs of a server on the way from was to now: with the new devices
// created, and with the routes changed.
func stages(was, now *spec.Host) [2]*spec.Host {
	ready, turned := both(now, was), both(now, was)
	ready.Routes = merge(was.Routes, now.Routes, func(r spec.Route) netip.Prefix { return r.Dst })
	turned.Routes = merge(now.Routes, was.Routes, func(r spec.Route) netip.Prefix { return r.Dst })
	return [2]*spec.Host{ready, turned}
}

// both combines was and now: a device that stays for a while keeps its peers and
// filters. A link that is in both has the smaller MTU: packets then fit on either path.
// Services are those of now alone: two servers must not hand out the same leases.
func both(now, was *spec.Host) *spec.Host {
	h := *now
	h.Links = merge(now.Links, was.Links, func(l spec.Link) string { return l.Name })
	for i, l := range h.Links {
		at := slices.IndexFunc(was.Links, func(o spec.Link) bool { return o.Name == l.Name })
		if at >= 0 {
			h.Links[i].MTU = min(l.MTU, was.Links[at].MTU)
		}
	}
	h.Addrs = merge(now.Addrs, was.Addrs, func(a spec.Addr) spec.Addr { return a })
	h.Neighs = merge(now.Neighs, was.Neighs, func(n spec.Neigh) spec.Neigh { return spec.Neigh{Link: n.Link, IP: n.IP} })
	h.FDB = merge(now.FDB, was.FDB, func(f spec.FDB) spec.FDB { return spec.FDB{Link: f.Link, MAC: f.MAC} })
	h.Floods = merge(now.Floods, was.Floods, func(f spec.Flood) string { return f.Link })
	h.Members = merge(now.Members, was.Members, func(m spec.Member) spec.Addr {
		return spec.Addr{Link: m.Link, Prefix: netip.PrefixFrom(m.Addr, m.Addr.BitLen())}
	})
	h.Peers = merge(now.Peers, was.Peers, func(p spec.Peer) [2]string { return [2]string{p.Link, p.Key} })
	h.Gateways = merge(now.Gateways, was.Gateways, func(g spec.Gateway) string { return g.Bridge })
	h.Guards = guardsOfBoth(now.Guards, was.Guards)
	h.Doors = merge(now.Doors, was.Doors, func(d spec.Door) uint16 { return d.Port })
	h.NATs = merge(now.NATs, was.NATs, func(n spec.NAT) spec.Addr { return spec.Addr{Link: n.Network, Prefix: n.Subnet} })
	h.Keeps = merge(now.Keeps, was.Keeps, func(k spec.PreserveSource) spec.Addr {
		return spec.Addr{Link: k.Network + "/" + k.Link, Prefix: k.Subnet}
	})
	h.Forwards = merge(now.Forwards, was.Forwards, spec.Forward.Name)
	h.Sysctls = merge(now.Sysctls, was.Sysctls, func(s spec.Sysctl) string { return s.Key })
	h.Claims = merge(now.Claims, was.Claims, spec.Claim.String)
	h.Attached = merge(now.Attached, was.Attached, spec.Attachment.Object)
	h.Adopted = merge(now.Adopted, was.Adopted, spec.AdoptedObject)
	h.Dockers = merge(now.Dockers, was.Dockers, spec.DockerNet.Object)
	if len(now.Unmanaged)+len(was.Unmanaged) > 0 {
		var links []string
		for _, u := range slices.Concat(now.Unmanaged, was.Unmanaged) {
			links = append(links, u.Links...)
		}
		slices.Sort(links)
		h.Unmanaged = []spec.Unmanage{{Links: slices.Compact(links)}}
	}
	return &h
}

// guardsOfBoth are the guards of now and was; no port of either is open meanwhile.
func guardsOfBoth(now, was []spec.Guard) []spec.Guard {
	out := merge(now, was, func(g spec.Guard) string { return g.Bridge })
	for i, g := range out {
		for _, old := range was {
			if old.Bridge == g.Bridge {
				closed := slices.Concat(g.Closed, old.Closed)
				slices.Sort(closed)
				out[i].Closed = slices.Compact(closed)
			}
		}
	}
	return out
}

// merge is first, and what second has in addition.
func merge[T any, K comparable](first, second []T, key func(T) K) []T {
	have := make(map[K]bool, len(first))
	for _, v := range first {
		have[key(v)] = true
	}
	out := slices.Clone(first)
	for _, v := range second {
		if !have[key(v)] {
			out = append(out, v)
		}
	}
	return out
}
