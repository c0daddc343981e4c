package segment

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// In a layer 3 network every server has a bridge of its own, with its own DHCP and DNS: the
// network's, or the server's own whose subnet is shared. Each DNS knows its own containers.
// A process beside it asks those of the other members for names, by the network itself.

// side is a bridge in a layer 3 network.
type side struct {
	server  string
	dhcp    *spec.DHCP
	listen  []netip.Addr // the process beside its DNS asks, and is asked, at the first
	subnets []netip.Prefix
	named   map[spec.HostName]bool // what its DNS calls servers
}

// JoinNames lets containers on the bridges of a layer 3 network's members find each other by
// name. All that its members have is compiled by then.
func JoinNames(b *ground.Builder, name string, n *state.Network) error {
	sides, err := sidesOf(b, name, n)
	if err != nil || len(sides) < 2 {
		return err
	}
	domain := name
	if !isDomain(name) {
		domain = ""
		b.Note(name, "%s cannot be a domain: containers find each other by the names that they have on their own servers", name)
	}
	for _, s := range sides {
		z, d := spec.Zone{Domain: domain}, s.dhcp
		if d.Domain == domain {
			z.Domain = ""
		}
		for _, other := range sides {
			own, its := d.Listen[0], other.listen[0]
			if its == own || its.Is4() != own.Is4() {
				continue // itself, an anycast address, or of a family that is of no use to it
			}
			d.Peers = append(d.Peers, its)
			z.Subnets = append(z.Subnets, other.subnets...)
			for _, a := range other.listen {
				if h := (spec.HostName{Name: other.server, Addr: a}); !s.named[h] {
					d.Hosts = append(d.Hosts, h)
				}
			}
		}
		if len(d.Peers) > 0 {
			d.Zone = &z
		}
	}
	return nil
}

// sidesOf are the bridges in a network: those in subnets that members were dealt or share.
func sidesOf(b *ground.Builder, name string, n *state.Network) ([]side, error) {
	shares, err := ground.SharesOf(n)
	if err != nil {
		return nil, err
	}
	var out []side
	for _, server := range slices.Sorted(maps.Keys(n.Allocated)) {
		within := append(slices.Clone(n.Allocated[server].Subnets), shares[server]...)
		if len(within) == 0 || b.Cluster.Servers[server].Facts == nil {
			continue
		}
		dhcps := b.Out.Hosts[server].DHCPs
		for i := range dhcps {
			d := &dhcps[i]
			if d.Zone != nil || d.Network != SubnetNetwork && d.Network != name {
				continue
			}
			s := side{server: server, dhcp: d, listen: d.Listen, named: make(map[spec.HostName]bool, len(d.Hosts))}
			for _, h := range d.Hosts {
				s.named[h] = true
			}
			for _, r := range d.Ranges {
				inside := func(p netip.Prefix) bool { return p.Bits() <= r.Subnet.Bits() && p.Contains(r.Subnet.Addr()) }
				if slices.ContainsFunc(within, inside) {
					s.subnets = append(s.subnets, r.Subnet)
				}
			}
			if len(s.subnets) > 0 {
				out = append(out, s)
			}
		}
	}
	return out, nil
}

// isDomain says whether containers can have names below name, and hide no others by that.
func isDomain(name string) bool {
	labels := strings.Split(strings.ToLower(name), ".")
	for _, l := range labels {
		if !isLabel(l) {
			return false
		}
	}
	top := labels[len(labels)-1]
	country := len(top) == 2 && top[0] >= 'a' && top[1] >= 'a' // ISO 3166, and nothing else has two letters
	return !country && !slices.Contains([]string{"com", "net", "org", "edu", "gov", "mil", "int", "info", "biz", "name", "dev", "cloud", "arpa", "local", "localhost", "onion"}, top)
}
