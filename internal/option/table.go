package option

import (
	"slices"
	"strconv"

	"github.com/flocknet/flock/internal/state"
)

// The table of options: a line for each, in the order in which listings show them.

func makeOptions() []Option {
	return slices.Concat(sessionOptions(), deviceOptions(), containerOptions())
}

// sessionOptions are subnets, and what BGP networks and tunnels have.
func sessionOptions() []Option {
	return []Option{
		{
			Key: "subnet", Short: "s", Help: "the containers' subnet; twice for IPv4 and IPv6",
			field: func(n *state.Network) any { return &n.Subnets }, assign: assignSubnets, said: unsaid,
		},
		{
			Key: "add-pool", Set: "pools: one `CIDR` more, for members that come when the pool is full; repeatable", Among: OfPools,
			field: func(n *state.Network) any { return &n.More }, assign: addPools,
		},
		{Key: "as", Set: "bgp: the members' autonomous system `ASN`", Parse: parseAS, Among: ofBGP, field: func(n *state.Network) any { return &n.AS }, check: func(n *state.Network) error { return givenAS(n.AS) }},
		{Key: "mode", Set: "bgp: `mesh|reflector`, who has sessions", Offer: []string{state.Mesh, state.Reflector}, Among: ofBGP, field: func(n *state.Network) any { return &n.Mode }, check: func(n *state.Network) error { return text(n.Mode, CheckMode) }},
		{Key: "hold", Set: "bgp: `SECONDS` until a silent neighbour is lost", Among: ofBGP, field: func(n *state.Network) any { return &n.Hold }, span: &holdSpan, said: saidHold},
		{Key: "bfd", Set: "bgp: watch members by packets `MS` milliseconds apart (BFD); 0 ends that", Bare: strconv.Itoa(DefaultBFD), Parse: ParseBFD, Among: ofBGP, field: func(n *state.Network) any { return &n.BFD }, span: &bfdSpan},
		{Key: "reflectors", Among: ofBGP, field: func(n *state.Network) any { return &n.Reflectors }, check: checkReflectors},
		{Key: "before", Among: ofBGP, field: func(n *state.Network) any { return &n.Before }, said: unsaid},
		{Key: "anycast", Among: ofBGP, field: func(n *state.Network) any { return &n.Anycast }},
		{Key: "external", Among: ofBGP, field: func(n *state.Network) any { return &n.Externals }, said: unsaid},
		{Key: "tunnel", field: func(n *state.Network) any { return &n.Tunnel }},
		{Key: "key", Set: "gre: key `N` from 1 to 4294967295", Among: ofTunnels, field: func(n *state.Network) any { return &n.Key }, span: &keySpan},
		{Key: "ttl", Set: "tunnels: TTL `N` of the outer packets", Among: ofTunnels, field: func(n *state.Network) any { return &n.TTL }, span: &ttlSpan},
	}
}

// deviceOptions are about the devices that members' packets take.
func deviceOptions() []Option {
	return []Option{
		{
			Key: "vni", Short: "v", Help: "VXLAN network identifier, `N` from 1 to 16777215",
			Among: OfSegments, field: func(n *state.Network) any { return &n.VNI }, span: &vniSpan,
		},
		{
			Key: "vlan", Help: "VLAN `N` from 1 to 4094 on the members' interfaces (default: frames without a tag)",
			Among: OfSegments, field: func(n *state.Network) any { return &n.VLAN }, span: &vlanSpan,
		},
		{
			Key: "port", Short: "p", Help: "UDP port `N`",
			field: func(n *state.Network) any { return &n.Port }, span: &portSpan,
		},
		{
			Key: "topology", Help: "`mesh|hub`: who is a WireGuard peer of whom", Offer: []string{state.Mesh, state.Hub},
			Among: OfMeshes, field: func(n *state.Network) any { return &n.Topology }, check: func(n *state.Network) error {
				return text(n.Topology, oneOf("--topology", "topology", state.Mesh, state.Hub))
			},
		},
		{Key: "lead", Among: OfMeshes, field: func(n *state.Network) any { return &n.Lead }, check: func(n *state.Network) error { return text(n.Lead, checkServerName) }},
		{
			Key: "keepalive", Help: "`SECONDS` between packets that keep WireGuard's peers in touch (default: 25, by servers behind NAT)",
			Among: OfMeshes, field: func(n *state.Network) any { return &n.Keepalive }, span: &keepaliveSpan,
		},
		{Key: "mesh", Among: OfSegments, field: func(n *state.Network) any { return &n.Mesh }},
		{
			Key: "subnet-len", Help: "prefix length `N` of a member's subnet (default 24 and 64); once per pool",
			Among: OfPools, field: func(n *state.Network) any { return &n.SubnetLens }, check: checkLengths, assign: assignLengths,
		},
		{
			Key: "bridge", Short: "b", Help: "name of the bridge `IFACE` on every member",
			Among: OfSegments, field: func(n *state.Network) any { return &n.Bridge }, check: func(n *state.Network) error { return text(n.Bridge, checkBridgeName) },
		},
		{
			Key: "mtu", Help: "MTU in `BYTES` of the containers' interfaces (default: what the underlay leaves)",
			field: func(n *state.Network) any { return &n.MTU }, span: &mtuSpan,
		},
	}
}

// containerOptions are about containers, and who is where.
func containerOptions() []Option {
	return []Option{
		{
			Key: "domain", Short: "d", Help: "DNS domain `NAME` of the containers",
			Among: OfSegments, field: func(n *state.Network) any { return &n.Domain }, check: func(n *state.Network) error { return text(n.Domain, checkDomain) },
		},
		{
			Key: "dhcp", Help: "`single|distributed`: one server hands out addresses, or each to its own containers (64 of a /24 at first, more by apply)",
			Offer: []string{state.DHCPSingle, state.DHCPDistributed}, Among: OfSegments, field: func(n *state.Network) any { return &n.DHCP }, check: checkDHCPMode, said: saidDHCP,
		},
		{
			Key: "dhcp-server", Short: "n", Help: "`SERVER` that hands out addresses (default: the first member)", Servers: true,
			Among: OfSegments, field: func(n *state.Network) any { return &n.DHCPServer }, check: func(n *state.Network) error { return text(n.DHCPServer, checkServerName) }, said: unsaid,
		},
		{
			Key: "interface", Short: "i", Help: "the members' underlay `IFACE` (default: of the default route)",
			field: func(n *state.Network) any { return &n.Interface }, check: func(n *state.Network) error { return text(n.Interface, checkUnderlay) },
		},
		{
			Key: "group", Short: "m", Help: "send frames to unknown destinations to this multicast group",
			Among: OfSegments, field: func(n *state.Network) any { return &n.Group }, check: func(n *state.Network) error { return checkGroup(n.Group) },
		},
		{
			Key: "gbp", Help: "VXLAN group based policy extension",
			Among: OfSegments, field: func(n *state.Network) any { return &n.GBP },
		},
		{
			Key: "direct-routing", Help: "plain routes between members of one segment, encapsulation between others",
			Among: OfPools, field: func(n *state.Network) any { return &n.Direct },
		},
		{
			Key: "no-masquerade", Help: "containers keep their addresses towards the outside",
			Among: OfSegments, field: func(n *state.Network) any { return &n.NoMasq },
		},
		{
			Key: "isolate", Help: "containers reach nothing of the members' own but DHCP, names and ping",
			Among: OfSegments, field: func(n *state.Network) any { return &n.Isolate },
		},
		{
			Key: "route-table", Help: "clouds: route table `ID`; repeatable (default: those of the members' subnets)",
			Among: OfClouds, field: func(n *state.Network) any { return &n.Tables }, check: checkTables,
		},
		{
			Key: "region", Help: "clouds: the members' `REGION` (default: what they say)",
			Among: OfClouds, field: func(n *state.Network) any { return &n.Region }, check: func(n *state.Network) error { return text(n.Region, checkRegion) },
		},
		{
			Key: "project", Help: "gce: the members' `PROJECT`, azure: their subscription (default: what they say)",
			Among: OfClouds, field: func(n *state.Network) any { return &n.Project }, check: func(n *state.Network) error { return text(n.Project, checkProject) },
		},
		{
			Key: "profile", Help: "clouds: log in by this profile `NAME` of the cloud's own configuration",
			Among: OfClouds, field: func(n *state.Network) any { return &n.Profile }, check: func(n *state.Network) error { return text(n.Profile, checkCloudName("--profile")) },
		},
		{Key: "shares", Among: OfMeshes, field: func(n *state.Network) any { return &n.Shares }, said: unsaid},
	}
}
