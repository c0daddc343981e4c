package underlay

import (
	"net/netip"

	"github.com/flocknet/flock/internal/spec"
)

// Server is one as it stands below all networks.
type Server struct {
	Name   string
	Addr   netip.Addr // that its networks use there by default
	Device string     // of Addr
	MTU    int        // bytes, of Device
	Login  netip.Addr // as the workstation reaches it; invalid: by a name, or not by an address
	Own    []netip.Addr
	NAT    bool           // the cluster file says so
	Skew   int64          // nanoseconds by which its clock is ahead of the workstation's
	Taken  map[int]string // by UDP port: who has it

	// With are the servers that paths are tried with, of which each has it, too; nil: all.
	With map[string]bool
}

// tries says whether the path from s to another server is tried.
func (s Server) tries(o Server) bool {
	return s.Name != o.Name && s.Addr.Is4() == o.Addr.Is4() && (s.With == nil || s.With[o.Name])
}

// Hidden says whether the address at which the workstation reaches s is not its own: it is
// behind NAT.
func (s Server) Hidden() bool {
	if !s.Login.IsValid() || s.Login.IsLoopback() {
		return false
	}
	for _, a := range s.Own {
		if a == s.Login {
			return false
		}
	}
	return len(s.Own) > 0
}

// Protocols by their numbers (IANA).
const (
	IPIP = 4
	UDP  = 17
	GRE  = 47
)

// Service is what a kind of network needs of the path between two servers.
type Service struct {
	Protocol int
	Port     int        // of UDP
	Group    netip.Addr // multicast; invalid: to the other server
}

// Group is the multicast group that is tried, of those for use within a site (RFC 2365).
var Group = netip.AddrFrom4([4]byte{239, 255, 70, 70})

// Services are those that are tried: the default ports of the kinds that use UDP, protocols of
// tunnels, and a group.
func Services(ports []int) []Service {
	var out []Service
	for _, p := range ports {
		out = append(out, Service{Protocol: UDP, Port: p})
	}
	out = append(out, Service{Protocol: IPIP}, Service{Protocol: GRE})
	if len(ports) > 0 {
		out = append(out, Service{Protocol: UDP, Port: ports[0], Group: Group})
	}
	return out
}

// Probed is a packet from one server to another.
type Probed struct {
	From, To string
	Service
}

// Packets are those of all services between each two of servers, both ways, by number from 1,
// and what each server sends. A packet to a group goes once, for all that hear it: its number
// is that of its sender.
func Packets(servers []Server, services []Service) (by map[uint32]Probed, send map[string][]spec.UnderlayPacket) {
	by, send = map[uint32]Probed{}, map[string][]spec.UnderlayPacket{}
	next := uint32(1)
	add := func(from Server, to string, addr netip.Addr, s Service) {
		by[next] = Probed{from.Name, to, s}
		send[from.Name] = append(send[from.Name], spec.UnderlayPacket{Number: next, To: addr, Protocol: s.Protocol, Port: s.Port})
		next++
	}
	for _, from := range servers {
		for _, s := range services {
			if s.Group.IsValid() {
				if from.Addr.Is4() {
					add(from, "", s.Group, s)
				}
				continue
			}
			for _, to := range servers {
				if from.tries(to) {
					add(from, to.Name, to.Addr, s)
				}
			}
		}
	}
	return by, send
}

// Echoes are ICMP echoes from a server to all others, up to what its device takes.
func Echoes(servers []Server, from Server) (out []spec.Echo, to []string) {
	for _, s := range servers {
		if from.tries(s) {
			out = append(out, spec.Echo{From: from.Addr, To: s.Addr, MTU: from.MTU})
			to = append(to, s.Name)
		}
	}
	return out, to
}
