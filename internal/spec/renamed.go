package spec

import (
	"slices"
	"strconv"
	"strings"
)

// LiveRename says whether a kernel, by its release (6.1.0-57-amd64), renames devices that are
// up: from 6.2 on (linux dev_change_name).
func LiveRename(release string) bool {
	major, rest, _ := strings.Cut(release, ".")
	minor, _, _ := strings.Cut(rest, ".")
	minor, _, _ = strings.Cut(minor, "-")
	m, err := strconv.Atoi(major)
	n, _ := strconv.Atoi(minor)
	return err != nil || m > 6 || m == 6 && n >= 2 // of one without a number nothing is known
}

// Renamed is h with another name of a device, in everything that names it.
func (h *Host) Renamed(from, to string) *Host {
	out := *h
	name := func(text *string) {
		if *text == from {
			*text = to
		}
	}
	out.Links = each(h.Links, func(l *Link) { name(&l.Name); name(&l.Master) })
	addr := func(a *Addr) { name(&a.Link) }
	out.Addrs, out.Adopted = each(h.Addrs, addr), each(h.Adopted, addr)
	out.Routes = each(h.Routes, func(r *Route) { name(&r.Dev) })
	out.Neighs = each(h.Neighs, func(n *Neigh) { name(&n.Link) })
	out.FDB = each(h.FDB, func(f *FDB) { name(&f.Link) })
	out.Floods = each(h.Floods, func(f *Flood) { name(&f.Link) })
	out.Members = each(h.Members, func(m *Member) { name(&m.Link) })
	out.Peers = each(h.Peers, func(p *Peer) { name(&p.Link) })
	out.Gateways = each(h.Gateways, func(g *Gateway) { name(&g.Uplink); name(&g.Bridge) })
	out.Guards = each(h.Guards, func(g *Guard) { name(&g.Uplink); name(&g.Bridge) })
	out.NATs = each(h.NATs, func(n *NAT) { name(&n.Bridge) })
	out.Keeps = each(h.Keeps, func(k *PreserveSource) { name(&k.Link) })
	out.Forwards = each(h.Forwards, func(f *Forward) { name(&f.Link) })
	out.Sysctls = each(h.Sysctls, func(s *Sysctl) {
		name(&s.Link)
		s.Key = strings.ReplaceAll(s.Key, "/"+from+"/", "/"+to+"/")
	})
	links := func(u *Unmanage) { u.Links = each(u.Links, name) }
	out.Unmanaged, out.Firewalld, out.UFW = each(h.Unmanaged, links), each(h.Firewalld, links), each(h.UFW, links)
	return &out
}

// each is a copy of list with every value changed. As a part of Renamed, it would be there once
// for each list, in the program that every server is sent.
//
//go:noinline
func each[T any](list []T, change func(*T)) []T {
	out := slices.Clone(list)
	for i := range out {
		change(&out[i])
	}
	return out
}
