package state

import (
	"maps"
	"slices"
)

// Clone returns a copy that shares nothing with c.
func (c *Cluster) Clone() *Cluster {
	d := *c
	d.Servers = cloneMap(c.Servers, (*Server).clone)
	d.Networks = cloneMap(c.Networks, (*Network).clone)
	d.Gone, d.Clouds = slices.Clone(c.Gone), slices.Clone(c.Clouds)
	for i := range d.Clouds {
		of := &d.Clouds[i]
		of.Tables, of.Checked, of.Routes = slices.Clone(of.Tables), slices.Clone(of.Checked), slices.Clone(of.Routes)
	}
	return &d
}

func (s *Server) clone() *Server {
	d := *s
	d.Attached = slices.Clone(s.Attached)
	for i := range d.Attached {
		d.Attached[i].Addrs = slices.Clone(d.Attached[i].Addrs)
	}
	if s.Facts != nil {
		d.Facts = s.Facts.clone()
	}
	if s.Confirmed != nil {
		confirmed := *s.Confirmed
		d.Confirmed = &confirmed
	}
	return &d
}

func (f *Facts) clone() *Facts {
	d := *f
	d.Prefixes = slices.Clone(f.Prefixes)
	d.Routed = slices.Clone(f.Routed)
	d.Local, d.Awaited = slices.Clone(f.Local), slices.Clone(f.Awaited)
	d.Interfaces, d.Cloud = slices.Clone(f.Interfaces), slices.Clone(f.Cloud)
	for i := range d.Interfaces {
		d.Interfaces[i].Addrs = slices.Clone(d.Interfaces[i].Addrs)
		d.Interfaces[i].Direct = slices.Clone(d.Interfaces[i].Direct)
	}
	return &d
}

func (n *Network) clone() *Network {
	d := *n
	d.Subnets, d.More = slices.Clone(n.Subnets), slices.Clone(n.More)
	d.SubnetLens = slices.Clone(n.SubnetLens)
	d.Members = slices.Clone(n.Members)
	d.Moves = slices.Clone(n.Moves)
	d.Shares, d.Forced = slices.Clone(n.Shares), slices.Clone(n.Forced)
	d.Anycast, d.Reflectors = slices.Clone(n.Anycast), slices.Clone(n.Reflectors)
	d.Docker, d.Tables = slices.Clone(n.Docker), slices.Clone(n.Tables)
	if n.Before != nil {
		d.Before = &Sessions{n.Before.Mode, slices.Clone(n.Before.Reflectors)}
	}
	d.Externals = slices.Clone(n.Externals)
	for i := range d.Externals {
		e := &d.Externals[i]
		e.Accept, e.Announce, e.Communities = slices.Clone(e.Accept), slices.Clone(e.Announce), slices.Clone(e.Communities)
	}
	d.Allocated = cloneMap(n.Allocated, (*Allocation).clone)
	return &d
}

func (a *Allocation) clone() *Allocation {
	d := *a
	d.Addrs = slices.Clone(a.Addrs)
	d.Pool = slices.Clone(a.Pool)
	d.Subnets = slices.Clone(a.Subnets)
	return &d
}

func cloneMap[V any](m map[string]*V, clone func(*V) *V) map[string]*V {
	d := maps.Clone(m)
	for name, v := range d {
		if v != nil {
			d[name] = clone(v)
		}
	}
	return d
}
