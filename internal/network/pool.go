package network

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/option"
	"github.com/flocknet/flock/internal/pool"
	"github.com/flocknet/flock/internal/prefix"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// backendOf is the backend of a pool network; nil where n is none.
func backendOf(n *state.Network) *pool.Backend {
	return meaning(n).pool
}

// poolHelp is what createnetwork says of all pool networks.
const poolHelp = `Pool networks, flannel's and Calico's backends: every member gets a subnet of the pool
(-s, 10.244.0.0/16 or the next free one) for its containers, /24 or --subnet-len, and
routes to the others'. The subnet is written to /run/flock/NAME/subnet.env there, for
CNI plugins and Docker; with -b flock makes the containers' bridge itself, with DHCP,
masquerade, and DNS: c2.NAME is c2 on whichever member. host-gw: plain routes, on one
layer 2 segment. vxlan-l3: VXLAN as flannel has it (VNI 1, port 8472). ipip: IPv4 in
IPv4. alloc: deals out subnets, no routes. udp: a process on each server and UDP port
8285, slow, for debugging and for kernels without VXLAN. --direct-routing: no
encapsulation between members of one segment.`

// poolKind is the Kind of a backend: the kinds differ in how members' routes are
// compiled, and in the options that they take besides.
func poolKind(name string, back pool.Backend, routes func(p *pool.Pool, m *pool.Member), takes ...string) *Kind {
	return &Kind{
		Name: name, wire: back.Wire, Help: poolHelp, pool: &back, space: &ground.PoolSpace, commands: memberCommands,
		columns: []string{"SUBNET"}, device: poolDevice, overlays: poolOverlays, probe: probePool,
		takes:    append([]string{"subnet", "add-pool", "interface", "mtu", "subnet-len", "bridge", "domain", "dhcp", "no-masquerade", "isolate", "shares"}, takes...),
		complete: completePool, allocate: pool.Allocate, fits: pool.Fits,
		compile: func(b *builder, name string, n *state.Network) error { return b.compilePool(name, n, routes) },
	}
}

// compilePool adds what the members of a pool network must look like.
func (b *builder) compilePool(name string, n *state.Network, routes func(p *pool.Pool, m *pool.Member)) error {
	places, err := b.underlays(name, n)
	if err != nil {
		return err
	}
	p, err := pool.Gather(b.Builder, name, n, backendOf(n), poolDevice(name, n), places)
	if err != nil {
		return err
	}
	if n.Bridge != "" && n.DHCP == state.DHCPOff && backendOf(n).Routes && len(n.Members) > 1 {
		b.Note(name, "without DHCP flock has no DNS on %s: containers there do not find each other by name", n.Bridge)
	}
	left, over := p.Underlays()
	if mtu, ok := b.tunnelMTU(name, n, left, over); ok {
		p.Compile(mtu, routes)
	}
	return nil
}

func completePool(c *state.Cluster, name string, n *state.Network) error {
	kind := meaning(n)
	back := kind.pool
	if n.DHCP != "" && n.DHCP != state.DHCPOff {
		return hint.Errorf("dhcp", "leave --dhcp away", "%s networks have no --dhcp %s: each member hands out its own subnet", n.Type, n.DHCP)
	}
	if err := checkBridgeless(n); err != nil {
		return err
	}
	others := ground.OtherNetworks(c, name)
	if len(n.Subnets) == 0 {
		p, err := ground.FreeSubnet(c, ground.PoolSpace)
		if err != nil {
			return err
		}
		n.Subnets = []netip.Prefix{p}
	}
	if n.Port == 0 {
		n.Port = back.Port
	}
	if n.VNI == 0 && back.VNI != 0 {
		n.VNI = ground.FreeVNIFrom(others, back.VNI)
	}
	if n.Bridge != "" && n.Domain == "" && n.DHCP != state.DHCPOff {
		n.Domain = option.DefaultDomain
	}
	if err := checkSubnets(c, n); err != nil {
		return err
	}
	if err := option.CompleteLengths(n); err != nil {
		return err
	}
	if err := option.CheckMore(c, n); err != nil {
		return err
	}
	return checkPool(c, n, back, others)
}

// checkBridgeless refuses what is about a container bridge where there is none.
func checkBridgeless(n *state.Network) error {
	if n.Bridge == "" && (n.Domain != "" || n.DHCP != "" || n.NoMasq || n.Isolate) {
		return hint.Errorf("", "-b with a name, for example -b cbr0", "-d, --no-dhcp, --no-masquerade and --isolate are about a container bridge, and the network has none")
	}
	return nil
}

func checkPool(c *state.Cluster, n *state.Network, back *pool.Backend, others map[string]*state.Network) error {
	if err := ground.CheckFamily(c, n); err != nil {
		return err
	}
	if err := checkMTU(n); err != nil {
		return err
	}
	if n.Bridge != "" {
		if err := checkBridge(n, others, "cbr"); err != nil {
			return err
		}
	}
	if back.VNI != 0 {
		if err := checkVXLAN(n, others); err != nil {
			return err
		}
	}
	if back.V4 {
		if err := onlyIPv4(c, n); err != nil {
			return err
		}
	}
	if back.Apart != nil {
		if err := back.Apart(n, others); err != nil {
			return err
		}
	}
	return checkDealtSubnets(n)
}

// Give assigns what flags say to a new network.
func Give(n *state.Network, o option.Options) error {
	if err := o.Give(n); err != nil {
		return err
	}
	if backendOf(n) == nil && len(n.SubnetLens) > 0 {
		return hint.Errorf("", "leave --subnet-len away, or take one of: "+ground.JoinWords(pooledKinds()), "a %s network has no --subnet-len", n.Type)
	}
	return nil
}

// PoolTypes are the types that changetype knows, sorted.
func PoolTypes() []string { return pooledKinds() }

func pooledKinds() []string { return namesOf(func(k *Kind) bool { return k.pool != nil }) }

// poolDevice names the device that a pool network's packets leave by; "" where that
// is the underlay's.
func poolDevice(name string, n *state.Network) string {
	if back := backendOf(n); back != nil && back.Mark != "" {
		return spec.IfName(name, back.Mark)
	}
	return ""
}

// subnetsDealt is what members of a pool network have, in order of address.
func subnetsDealt(n *state.Network) []dealt {
	var all []dealt
	for _, server := range slices.Sorted(maps.Keys(n.Allocated)) {
		for _, p := range n.Allocated[server].Subnets {
			all = append(all, dealt{p, server})
		}
	}
	slices.SortStableFunc(all, func(a, b dealt) int { return prefix.Compare(a.subnet, b.subnet) })
	return all
}

// checkDealtSubnets refuses two members with one subnet. Only an edit of the file by hand
// makes that.
func checkDealtSubnets(n *state.Network) error {
	all := subnetsDealt(n)
	for i := 1; i < len(all); i++ {
		if a, b := all[i-1], all[i]; a.subnet.Overlaps(b.subnet) {
			return hint.Errorf("", "delete the lines allocated."+b.server+" of the network from the cluster file, then flock apply",
				"%s and %s were dealt subnets that overlap: %s, %s", a.server, b.server, a.subnet, b.subnet)
		}
	}
	return nil
}
