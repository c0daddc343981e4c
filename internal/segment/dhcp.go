package segment

import (
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// AddDHCP adds DHCP and DNS where the network wants them, and makes the network one of
// Docker's where it is to be one.
func AddDHCP(b *ground.Builder, name string, n *state.Network, places []ground.Underlay, mtu int) {
	for _, u := range places {
		addDocker(b.Out.Hosts[u.Server], name, n, mtu)
	}
	noteFewDocker(b, name, n)
	if n.DHCP == state.DHCPOff {
		return
	}
	only := ground.DHCPServer(n)
	NoteFull(b, name, n, only)
	for _, u := range places {
		if only != "" && u.Server != only && !InDocker(n, u.Server) {
			continue
		}
		h := b.Out.Hosts[u.Server]
		d := spec.DHCP{Network: name, Bridge: n.Bridge, Domain: n.Domain, MTU: mtu, Hosts: memberNames(n)}
		switch {
		case only == u.Server:
			singleDHCP(&d, n, u.Server)
			for _, a := range d.DNS {
				h.Addrs = append(h.Addrs, spec.Addr{Link: n.Bridge, Prefix: netip.PrefixFrom(a, a.BitLen())})
			}
		case only != "": // it knows the names of Docker's containers, and hands out nothing
			d.Listen = n.Allocated[u.Server].Addrs
			d.DNS = d.Listen
		default:
			distributedDHCP(&d, n, u.Server)
		}
		for _, other := range places {
			if other.Server != u.Server && (only == "" || len(n.Docker) > 0 && (other.Server == only || InDocker(n, other.Server))) {
				d.Peers = append(d.Peers, n.Allocated[other.Server].Addrs[0])
			}
		}
		if p := ipv4Of(n); p.IsValid() && len(d.Ranges) > 0 {
			d.Router = GatewayOf(p)
		}
		h.DHCPs = append(h.DHCPs, d)
		h.Claims = append(h.Claims, ClaimDNSMasq(name))
	}
}

// singleDHCP: one server hands out everything and knows every name.
func singleDHCP(d *spec.DHCP, n *state.Network, server string) {
	d.Floats = true
	for _, p := range n.Subnets {
		d.DNS = append(d.DNS, NameServerOf(p))
	}
	d.Listen = append(slices.Clone(n.Allocated[server].Addrs), d.DNS...)
	for i, p := range n.Subnets {
		var lowest netip.Addr
		for _, a := range n.Allocated {
			if !lowest.IsValid() || a.Addrs[i].Less(lowest) {
				lowest = a.Addrs[i]
			}
		}
		d.Ranges = append(d.Ranges, without(dhcpRange(p, lowest), dockerRanges(n))...)
	}
}

// distributedDHCP: every server hands out its own pool and answers on the
// gateway's address; names of the others' containers it asks the others for.
func distributedDHCP(d *spec.DHCP, n *state.Network, server string) {
	a := n.Allocated[server]
	d.Listen = append(slices.Clone(a.Addrs), Gateways(n)...)
	d.DNS = Gateways(n)
	for i, p := range n.Subnets {
		if p.Addr().Is6() {
			d.Ranges = append(d.Ranges, partRange(p, a.Addrs[i]))
			continue
		}
		d.Ranges = append(d.Ranges, poolRanges(p, a.Pool)...)
	}
}

// memberNames are the servers' own names in the network's domain.
func memberNames(n *state.Network) []spec.HostName {
	var out []spec.HostName
	for _, m := range n.Members {
		server := ground.ServerOf(m)
		for _, addr := range n.Allocated[server].Addrs {
			out = append(out, spec.HostName{Name: server, Addr: addr})
		}
	}
	return out
}
