package edit

import (
	"fmt"
	"slices"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/state"
)

// Leaving names what a cluster that becomes now no longer has of was, in the order
// in which a person would miss it: networks, servers, members, subnets and routers.
// Gone are the servers that leave and are still in now (see Replace). What goes with
// something that is named is not named again.
func Leaving(was, now *state.Cluster, gone []string) []string {
	var out []string
	was = was.Clone()
	_ = renameAlike(was, now) // what now has was accepted
	for _, name := range was.NetworkNames() {
		if now.Networks[name] == nil {
			out = append(out, "network "+name)
		}
	}
	for _, name := range gone {
		out = append(out, "server "+name)
	}
	for _, name := range was.NetworkNames() {
		if n := now.Networks[name]; n != nil {
			out = append(out, leavingOf(name, was.Networks[name], n, gone)...)
		}
	}
	for _, name := range was.ServerNames() {
		s := now.Servers[name]
		if old := was.Servers[name].Subnet; s != nil && old.IsValid() && (s.Subnet != old || s.Adopt != was.Servers[name].Adopt) && !slices.Contains(gone, name) {
			out = append(out, fmt.Sprintf("subnet %s of %s", old.Masked(), name))
		}
	}
	return out
}

// leavingOf are the members, shared subnets and routers of was that n lacks.
func leavingOf(name string, was, n *state.Network, gone []string) []string {
	var out []string
	stays := func(server string) bool { return ground.HasMember(n, server) }
	for _, m := range was.Members {
		if server := ground.ServerOf(m); !stays(server) && !slices.Contains(gone, server) {
			out = append(out, server+" from "+name)
		}
	}
	for _, text := range was.Shares {
		share, err := state.ParseShare(text)
		if err == nil && stays(share.Server) && !slices.Contains(n.Shares, text) {
			out = append(out, fmt.Sprintf("subnet %s of %s from %s", share.Subnet, share.Server, name))
		}
	}
	for _, e := range was.Externals {
		if stays(e.Server) && network.ExternalAt(n, e.Server, e.Address) < 0 {
			out = append(out, fmt.Sprintf("router %s of %s from %s", e.Address, e.Server, name))
		}
	}
	return out
}
