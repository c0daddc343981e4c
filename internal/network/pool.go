package network

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/prefix"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// A pool network cuts its subnet into one container subnet per member and routes packets
// between them. How is up to its backend: there is one kind per backend, and changetype
// replaces it. A CNI plugin or Docker attaches the containers, unless the network has a
// bridge.

// backend is what the kinds of pool networks differ in.
type backend struct {
	port       uint16 // UDP port; 0: it has none
	vni        uint32 // VNI; 0: it has none
	direct     bool   // --direct-routing makes sense
	v4         bool   // carries IPv4 in IPv4 only
	routes     bool   // brings packets to the others at all
	over4      int    // bytes of encapsulation in an IPv4 underlay
	over6      int    // in IPv6
	wire, mark string // what the encapsulation is called; the end of its device's name
	adjacent   bool   // every member must be on one segment with every other
	// apart refuses members that networks of the kind cannot share; nil: they can.
	apart func(n *state.Network, others map[string]*state.Network) error
}

// backendOf is the backend of a pool network; nil where n is none.
func backendOf(n *state.Network) *backend {
	return meaning(n).pool
}

const (
	maxSubnetLen4 = 30 // a gateway and one container
	maxSubnetLen6 = minBits6
)

// poolHelp is what createnetwork says of all pool networks.
const poolHelp = `Pool networks, flannel's and Calico's backends: every member gets a subnet of the pool
(-s, 10.244.0.0/16 or the next free one) for its containers, /24 or --subnet-len, and
routes to the others'. The subnet is written to /run/flock/NAME/subnet.env there, for
CNI plugins and Docker; with -b flock makes the containers' bridge itself, with DHCP, DNS
and masquerade. host-gw: plain routes, on one layer 2 segment. vxlan-l3: VXLAN as flannel
has it (VNI 1, port 8472). ipip: IPv4 in IPv4. alloc: deals out subnets, no routes. udp:
a process on each server and UDP port 8285, slow, for debugging and for kernels without
VXLAN. --direct-routing: no encapsulation between members of one segment.`

// poolKind is the Kind of a backend: the kinds differ in how members' routes are
// compiled, and in the options that they take besides.
func poolKind(name string, back backend, routes func(p *pool, m *poolMember), takes ...string) *Kind {
	return &Kind{
		Name: name, wire: back.wire, Help: poolHelp, pool: &back, space: &poolSpace, commands: memberCommands,
		columns: []string{"SUBNET"}, device: poolDevice, overlays: poolOverlays, probe: probePool,
		takes:    append([]string{"subnet", "interface", "mtu", "subnet-len", "bridge", "domain", "dhcp", "no-masquerade", "isolate", "shares"}, takes...),
		complete: completePool, allocate: allocatePool, fits: fitsPool,
		compile: func(b *builder, name string, n *state.Network) error { return b.compilePool(name, n, routes) },
	}
}

func completePool(c *state.Cluster, name string, n *state.Network) error {
	kind := meaning(n)
	back := kind.pool
	if n.DHCP != "" && n.DHCP != state.DHCPOff { // each member hands out its own subnet
		return kind.refusal(n, optionOf("dhcp"))
	}
	if err := checkBridgeless(n); err != nil {
		return err
	}
	others := otherNetworks(c, name)
	if len(n.Subnets) == 0 {
		p, err := freeSubnet(c, poolSpace)
		if err != nil {
			return err
		}
		n.Subnets = []netip.Prefix{p}
	}
	if n.Port == 0 {
		n.Port = back.port
	}
	if n.VNI == 0 && back.vni != 0 {
		n.VNI = freeVNIFrom(others, back.vni)
	}
	if n.Bridge != "" && n.Domain == "" && n.DHCP != state.DHCPOff {
		n.Domain = vxlanDomain
	}
	if err := checkSubnets(c, n); err != nil {
		return err
	}
	if err := completeLengths(n); err != nil {
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

// completeLengths fills in how long the members' subnets are: /24 and /64, or what
// a smaller pool gives.
func completeLengths(n *state.Network) error {
	if len(n.SubnetLens) == 0 {
		for _, p := range n.Subnets {
			n.SubnetLens = append(n.SubnetLens, defaultLength(p))
		}
	}
	if len(n.SubnetLens) != len(n.Subnets) {
		return hint.Errorf("subnet-len", "--subnet-len once per subnet, in their order", "%d subnets and %d lengths", len(n.Subnets), len(n.SubnetLens))
	}
	for i, p := range n.Subnets {
		longest := maxSubnetLen4
		if p.Addr().Is6() {
			longest = maxSubnetLen6
		}
		if bits := n.SubnetLens[i]; bits < p.Bits() || bits > longest {
			return hint.Errorf("subnet-len", fmt.Sprintf("--subnet-len with a number from %d to %d", p.Bits(), longest),
				"subnets of length %d cannot be cut out of the pool %s", bits, p)
		}
	}
	return nil
}

func defaultLength(pool netip.Prefix) int {
	if pool.Addr().Is6() {
		if pool.Bits() < 64 {
			return 64
		}
		return min(pool.Bits()+16, maxSubnetLen6)
	}
	if pool.Bits() < 24 {
		return 24
	}
	return min(pool.Bits()+2, maxSubnetLen4)
}

func checkPool(c *state.Cluster, n *state.Network, back *backend, others map[string]*state.Network) error {
	if err := checkFamily(c, n); err != nil {
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
	if back.vni != 0 {
		if err := checkVXLAN(n, others); err != nil {
			return err
		}
	}
	if back.v4 {
		if err := onlyIPv4(c, n); err != nil {
			return err
		}
	}
	if back.apart != nil {
		if err := back.apart(n, others); err != nil {
			return err
		}
	}
	return checkDealtSubnets(n)
}

// assignLengths takes the lengths as they were typed: one per subnet in order; a single
// one for two subnets is meant for the family that it suits better.
func assignLengths(n *state.Network, value any) error {
	lengths, _ := value.([]int)
	switch {
	case len(lengths) == 0 || len(lengths) == len(n.Subnets):
		n.SubnetLens = slices.Clone(lengths)
	case len(lengths) == 1 && len(n.Subnets) == 0:
		n.SubnetLens = slices.Clone(lengths)
	case len(lengths) == 1:
		for _, p := range n.Subnets {
			length := defaultLength(p)
			if p.Addr().Is6() == (lengths[0] > maxSubnetLen4) {
				length = lengths[0]
			}
			n.SubnetLens = append(n.SubnetLens, length)
		}
	default:
		return hint.Errorf("", "--subnet-len once per -s, in their order", "%d subnets and %d lengths", max(len(n.Subnets), 1), len(lengths))
	}
	if backendOf(n) == nil && len(lengths) > 0 {
		return hint.Errorf("", "leave --subnet-len away, or take one of: "+JoinWords(pooledKinds()), "a %s network has no --subnet-len", n.Type)
	}
	return nil
}

// PoolTypes are the types that changetype knows, sorted.
func PoolTypes() []string { return pooledKinds() }

func pooledKinds() []string { return namesOf(func(k *Kind) bool { return k.pool != nil }) }

// poolDevice names the device that a pool network's packets leave by; "" where that
// is the underlay's.
func poolDevice(name string, n *state.Network) string {
	if back := backendOf(n); back != nil && back.mark != "" {
		return spec.IfName(name, back.mark)
	}
	return ""
}

// subnetsDealt is what members of a pool network have, in order of address.
func subnetsDealt(n *state.Network) []dealt {
	var all []dealt
	for _, server := range slices.Sorted(keys(n.Allocated)) {
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
