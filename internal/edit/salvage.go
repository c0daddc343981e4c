package edit

import (
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// Fault is why a network, or a server, of a cluster file makes no sense.
type Fault struct {
	Network, Server string // one of them
	Err             error  // carries its advice
}

// Salvage looks at a cluster that a hand broke: it completes and compiles those of its
// networks that make sense together, for listings. The cluster that it returns has the
// others and all servers as they were written; the compiled one is of the rest. Without
// faults it is c complete, and what Compile says. Faults are in order of servers, then
// networks. C is not changed.
func Salvage(c *state.Cluster) (*state.Cluster, *ground.Compiled, []Fault) {
	whole := c.Clone()
	if compiled, err := Do(whole, unchanged); err == nil {
		return whole, compiled, nil
	}
	s := &salvage{c: c.Clone()}
	s.c.Networks = map[string]*state.Network{}
	s.servers()
	s.networks(c, c.NetworkNames())
	compiled, err := network.Compile(s.c)
	if err != nil { // cannot be: what was taken in compiled
		compiled = &ground.Compiled{Hosts: map[string]*spec.Host{}}
	}
	shown := c.Clone()
	for name, n := range s.c.Networks {
		shown.Networks[name] = n
	}
	return shown, withAll(shown, compiled), s.faults
}

// withAll gives compiled an empty host for every server that c names and that has none.
func withAll(c *state.Cluster, compiled *ground.Compiled) *ground.Compiled {
	names := c.ServerNames()
	for _, n := range c.Networks {
		for _, m := range n.Members {
			names = append(names, ground.ServerOf(m))
		}
	}
	for _, name := range names {
		if compiled.Hosts[name] == nil {
			compiled.Hosts[name] = &spec.Host{Cluster: c.Name, Store: c.ID, Server: name}
		}
	}
	return compiled
}

func unchanged(*state.Cluster) error { return nil }

// salvage is what was found good so far.
type salvage struct {
	c      *state.Cluster
	faults []Fault
}

// servers takes from servers what contradicts itself or others.
func (s *salvage) servers() {
	subnets, adopt := map[string]netip.Prefix{}, map[string]string{}
	for _, name := range s.c.ServerNames() {
		server := s.c.Servers[name]
		subnets[name], server.Subnet = network.BridgeAddr(server.Subnet), netip.Prefix{}
		adopt[name], server.Adopt = server.Adopt, ""
		if err := network.CheckServer(s.c, name, server); err != nil {
			server.Interface, server.Endpoint, server.NAT = "", "", false
			s.faults = append(s.faults, Fault{Server: name, Err: ground.Locate("server "+name, err)})
		}
	}
	for _, name := range s.c.ServerNames() {
		server := s.c.Servers[name]
		if network.CheckServer(s.c, name, server) != nil { // its name, already said
			delete(s.c.Servers, name)
			continue
		}
		server.Subnet, server.Adopt = subnets[name], adopt[name]
		err := network.CheckServer(s.c, name, server)
		if err == nil {
			err = network.CheckOverlaps(s.c)
		}
		if err != nil {
			server.Subnet, server.Adopt = netip.Prefix{}, ""
			s.faults = append(s.faults, Fault{Server: name, Err: hint.Pin(err, "server "+name+", subnet")})
		}
	}
}

// networks takes those of names in that make sense beside what is in already: all at
// once if they do, otherwise half by half.
func (s *salvage) networks(from *state.Cluster, names []string) {
	trial := s.c.Clone()
	for _, name := range names {
		trial.Networks[name] = from.Clone().Networks[name]
	}
	_, err := Do(trial, unchanged)
	switch {
	case err == nil:
		s.c = trial
	case len(names) == 1:
		s.faults = append(s.faults, Fault{Network: names[0], Err: ground.Locate("network "+names[0], err)})
	default:
		half := len(names) / 2
		s.networks(from, slices.Clone(names[:half]))
		s.networks(from, slices.Clone(names[half:]))
	}
}
