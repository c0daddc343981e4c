package iptunnel

import (
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/prefix"
	"github.com/flocknet/flock/internal/state"
)

// Allocate gives the ends the first two addresses of every subnet, the first
// member the first. An end that has one keeps it.
func Allocate(n *state.Network, servers []string) error {
	taken := map[netip.Addr]bool{}
	for _, a := range n.Allocated {
		for _, addr := range a.Addrs {
			taken[addr] = true
		}
	}
	for i, m := range n.Members {
		server := ground.ServerOf(m)
		if !slices.Contains(servers, server) {
			continue
		}
		a := &state.Allocation{ID: uint16(i + 1)}
		for _, p := range n.Subnets {
			addr := p.Addr()
			for taken[addr] || !prefix.HostOf(p, addr) {
				if addr = addr.Next(); !p.Contains(addr) {
					return &ground.NarrowError{Subnet: p, Server: server}
				}
			}
			taken[addr] = true
			a.Addrs = append(a.Addrs, addr)
		}
		n.Allocated[server] = a
	}
	return nil
}

// Fits says whether what an end was dealt belongs to the tunnel as it is.
func Fits(n *state.Network, a *state.Allocation) bool {
	if a.ID == 0 || len(a.Addrs) != len(n.Subnets) || len(a.Pool) > 0 || a.Mesh.IsValid() || a.Key != "" {
		return false
	}
	for i, p := range n.Subnets {
		if !prefix.HostOf(p, a.Addrs[i]) {
			return false
		}
	}
	return true
}
