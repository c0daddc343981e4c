package verify

import (
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// Service is what a new container of a network gets on the bridge of one member: an address of
// each family by DHCP or router advertisements, and answers about names.
type Service struct {
	Network, Server, Bridge string
	By                      string // the member whose DHCP and DNS they are; Server itself, or the one that has the network's
	Full                    bool   // By says that it has no address left
	Err                     error  // why nothing could be tried; nil: it was

	own     mac
	name    string // that the resolver is asked for
	sides   []*side
	begun   bool
	probing bool // for addresses: whether somebody has those that were offered
	naming  bool // what concerns addresses is over
	settle  int  // milliseconds that probing takes
	waited  int  // milliseconds, for addresses or for names
	said    int  // how often what is not answered was said
}

// Services are those of a network, of members that answered, with their plans, and whose DHCP runs
// on one that did. What is lost between the two by legs explains all: nothing is tried there.
func Services(c *state.Cluster, compiled *ground.Compiled, network string, plans map[string]*spec.Plan, legs []Tried) (out []*Service) {
	n := c.Networks[network]
	for i, m := range n.Members {
		server := ground.ServerOf(m)
		d, by := dhcpOf(compiled, network, server), server
		if d == nil || len(d.Ranges) == 0 { // of names alone
			// One server has it for all, if it is one segment: the resolver's address floats there.
			by = ground.DHCPServer(n)
			if d = dhcpOf(compiled, network, by); d == nil || !d.Floats {
				continue
			}
		}
		bridge := bridgeOf(compiled.Hosts[server], network)
		lost := slices.ContainsFunc(legs, func(t Tried) bool {
			return t.Network == network && t.State() == Lost && (t.From == server && t.To == by || t.From == by && t.To == server)
		})
		if bridge == "" || plans[server] == nil || plans[by] == nil || lost {
			continue
		}
		_, text := ground.ContainerMAC(c.Name, server, "verify/"+network, "")
		s := &Service{Network: network, Server: server, Bridge: bridge, By: by, own: macOf(text)}
		s.Full = slices.ContainsFunc(plans[by].Pools, func(p spec.PoolUse) bool { return p.Network == network && p.Full() })
		s.sides, s.name = sidesOf(d, by, i)
		s.settle = settling(network, legs)
		out = append(out, s)
	}
	return out
}

// settling is how many milliseconds an answer may take from whoever is in a network, by its legs.
func settling(network string, legs []Tried) int {
	settle := short
	for _, t := range legs {
		if t.Network == network {
			settle = max(settle, int(3*t.Median/millisecond))
		}
	}
	return settle
}

func dhcpOf(compiled *ground.Compiled, network, server string) *spec.DHCP {
	if h := compiled.Hosts[server]; h != nil {
		if i := slices.IndexFunc(h.DHCPs, func(d spec.DHCP) bool { return d.Network == network }); i >= 0 {
			return &h.DHCPs[i]
		}
	}
	return nil
}

// bridgeOf is the bridge of a network on a server; "": it has none there.
func bridgeOf(h *spec.Host, network string) string {
	if h == nil {
		return ""
	}
	for _, l := range h.Links {
		if l.Network == network && l.Kind == spec.Bridge {
			return l.Name
		}
	}
	return ""
}

func macOf(text string) (m mac) {
	b, _ := hex.DecodeString(strings.ReplaceAll(text, ":", ""))
	copy(m[:], b)
	return m
}

// sidesOf are the families that d hands out addresses of, and the name that its resolver is to
// know: the server's own. The member at place asks for an address from the end of a range, which
// is handed out last, and each for another one.
func sidesOf(d *spec.DHCP, by string, place int) (out []*side, name string) {
	for _, four := range []bool{true, false} {
		at := slices.IndexFunc(d.Ranges, func(r spec.Range) bool { return r.Subnet.Addr().Is4() == four })
		resolver := slices.IndexFunc(d.DNS, func(a netip.Addr) bool { return a.Is4() == four })
		if at < 0 || resolver < 0 {
			continue
		}
		r := d.Ranges[at]
		one := &side{taken: map[netip.Addr]mac{}, subnet: r.Subnet, auto: !four && r.Subnet.Bits() == 64, ask: r.Last, resolver: d.DNS[resolver]}
		for range place {
			if one.ask != r.First {
				one.ask = one.ask.Prev()
			}
		}
		for _, r := range d.Ranges {
			if r.Subnet.Addr().Is4() == four {
				one.dealt = append(one.dealt, r.Subnet)
			}
		}
		for _, h := range d.Hosts {
			if h.Name == by && (!one.right.IsValid() || h.Addr.Is4() == four) {
				one.right = h.Addr
			}
		}
		if one.right.IsValid() {
			out = append(out, one)
		}
	}
	return out, strings.TrimSuffix(by+"."+d.Domain, ".")
}

// Well says whether all that was tried answered as it should.
func (s *Service) Well() bool {
	return s.Leases() && s.Names() && !s.strange()
}

// strange says whether what was offered is not as it should be.
func (s *Service) strange() bool {
	return s.Err == nil && slices.ContainsFunc(s.sides, func(d *side) bool { return d.clash() || d.other.from.IsValid() })
}

// Asked says whether the resolver was asked, by some family.
func (s *Service) Asked() bool {
	return s.Err == nil && slices.ContainsFunc(s.sides, func(d *side) bool { return d.source(s.own).IsValid() })
}

// Leases says whether there were addresses of each family.
func (s *Service) Leases() bool {
	return s.Err != nil || s.all(func(d *side) bool { return d.lease.IsValid() })
}

// Names says whether the name was known, of each family as far as it could be asked.
func (s *Service) Names() bool {
	return s.Err != nil || s.all(func(d *side) bool { return d.agrees || !d.source(s.own).IsValid() })
}
