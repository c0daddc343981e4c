package segment

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/prefix"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// A segment can be a network of Docker's and Podman's on its members. These hand out
// addresses by themselves, so that each member has a range of its own, which it keeps and
// DHCP leaves alone.

// dockerWidest is the prefix length of the largest range, 256 addresses; dockerLeast that of
// the smallest, 4 for Docker and 4 for Podman.
const dockerWidest, dockerLeast = 24, 29

// InDocker says whether n is to be a network of Docker's on a member.
func InDocker(n *state.Network, server string) bool {
	return slices.Contains(n.Docker, server) || slices.Contains(n.Docker, state.AllMembers)
}

// DealDocker deals ranges to the members on which n is to be a network of Docker's, and takes
// those of others back. Whether n is a segment at all, its kind knows.
func DealDocker(c *state.Cluster, n *state.Network, isSegment bool) error {
	if err := checkDocker(n, isSegment); err != nil {
		return err
	}
	subnet, kept := ipv4Of(n), dockerKept(c, n)
	var fresh []string
	for _, server := range slices.Sorted(maps.Keys(n.Allocated)) {
		a := n.Allocated[server]
		was := a.Docker
		if a.Docker = (netip.Prefix{}); !InDocker(n, server) {
			continue
		}
		if kept.free(was) && subnet.Contains(was.Addr()) {
			a.Docker = was
			kept.ranges = append(kept.ranges, was)
		} else {
			fresh = append(fresh, server)
		}
	}
	for i, server := range fresh {
		free := kept.deal(n, subnet, len(fresh)-i)
		if !free.IsValid() {
			return hint.Errorf("docker", "name fewer servers, or make a network with a wider subnet",
				"%s has no range of addresses left that Docker on %s could hand out", subnet, server)
		}
		n.Allocated[server].Docker = free
		kept.ranges = append(kept.ranges, free)
	}
	return nil
}

func checkDocker(n *state.Network, isSegment bool) error {
	switch {
	case len(n.Docker) == 0:
		return nil
	case !isSegment:
		return hint.Errorf("docker", "a network of the type vxlan or l2; a pool has a subnet of its own on each member: docker network create makes one of it there",
			"a %s network is no segment, and cannot be a network of Docker's", n.Type)
	case !ipv4Of(n).IsValid():
		return hint.Errorf("docker", "a network with an IPv4 subnet", "the network has no IPv4 subnet, which Docker needs")
	}
	for i, server := range n.Docker {
		switch {
		case server == state.AllMembers && len(n.Docker) > 1:
			return hint.Errorf("docker", `docker = ["*"]`, "all members, and %s beside them", n.Docker[1-min(i, 1)])
		case server != state.AllMembers && !ground.HasMember(n, server):
			return hint.Errorf("docker", "one of the members", "%s is not a member", server)
		case slices.Contains(n.Docker[:i], server):
			return hint.Errorf("docker", "leave one of them away", "%s is there twice", server)
		}
	}
	return nil
}

// ipv4Of is the IPv4 subnet of n; invalid if it has none.
func ipv4Of(n *state.Network) netip.Prefix {
	if at := slices.IndexFunc(n.Subnets, func(p netip.Prefix) bool { return p.Addr().Is4() }); at >= 0 {
		return n.Subnets[at]
	}
	return netip.Prefix{}
}

// taken is what Docker cannot hand out.
type taken struct {
	addrs  []netip.Addr
	ranges []netip.Prefix
}

// dockerKept are the addresses of gateways, servers and containers, those that are kept for
// them, and the blocks of DHCP.
func dockerKept(c *state.Cluster, n *state.Network) *taken {
	t := &taken{}
	for _, p := range n.Subnets {
		t.addrs = append(t.addrs, p.Addr(), GatewayOf(p), prefix.Last(p), NameServerOf(p))
	}
	if p := ipv4Of(n); p.IsValid() {
		_, servers := serversBits(n, p) // what guards keep for servers; static addresses are in the first block
		t.ranges = append(t.ranges, netip.PrefixFrom(prefix.Top(p), servers).Masked(), netip.PrefixFrom(p.Addr(), poolBits(p)))
	}
	for _, a := range n.Allocated {
		t.addrs = append(t.addrs, a.Addrs...)
		t.ranges = append(t.ranges, a.Pool...)
	}
	for _, s := range c.Servers {
		for _, a := range s.Attached {
			t.addrs = append(t.addrs, a.Addrs...)
		}
	}
	return t
}

func (t *taken) free(p netip.Prefix) bool {
	return p.IsValid() && !slices.ContainsFunc(t.addrs, p.Contains) && !slices.ContainsFunc(t.ranges, p.Overlaps)
}

// deal is a range for the first of some newcomers: the largest that all of them can have and
// that leaves as much for one who comes later, otherwise one that does for them, or for some
// of them.
func (t *taken) deal(n *state.Network, subnet netip.Prefix, newcomers int) netip.Prefix {
	for _, want := range []struct{ all, spare int }{{newcomers, 1}, {newcomers, 0}, {1, 0}} {
		for bits := max(subnet.Bits()+3, dockerWidest); bits <= dockerLeast; bits++ {
			first, found := t.ranging(n, subnet, bits)
			_, least := t.ranging(n, subnet, dockerLeast)
			if found >= want.all && least >= (want.all+want.spare)<<(dockerLeast-bits) {
				return first
			}
		}
	}
	return netip.Prefix{}
}

// ranging is how many ranges of a prefix length are free, and the first from the top down. The
// first quarter of a subnet stays DHCP's, the last one the servers' and of fixed addresses;
// where DHCP has blocks, it is what these leave.
func (t *taken) ranging(n *state.Network, subnet netip.Prefix, bits int) (first netip.Prefix, found int) {
	quarter := min(subnet.Bits()+2, 32)
	low, high := netip.PrefixFrom(subnet.Addr(), quarter), netip.PrefixFrom(prefix.Last(subnet), quarter).Masked()
	for p := netip.PrefixFrom(prefix.Last(subnet), bits).Masked(); subnet.Contains(p.Addr()); p = netip.PrefixFrom(p.Addr().Prev(), bits).Masked() {
		if n.DHCP != state.DHCPDistributed && (low.Overlaps(p) || high.Overlaps(p)) || !t.free(p) {
			continue
		}
		if found++; found == 1 {
			first = p
		}
	}
	return first, found
}

// Redeal forgets Docker's ranges if n has another IPv4 subnet than was: Docker's network is made
// anew then, and a wider subnet has more for it.
func Redeal(was, n *state.Network) {
	if ipv4Of(was) == ipv4Of(n) {
		return
	}
	for _, a := range n.Allocated {
		a.Docker = netip.Prefix{}
	}
}

// noteFewDocker says on which members Docker has the smallest range there is.
func noteFewDocker(b *ground.Builder, name string, n *state.Network) {
	var servers []string
	for _, server := range slices.Sorted(maps.Keys(n.Allocated)) {
		if n.Allocated[server].Docker.Bits() == dockerLeast {
			servers = append(servers, server)
		}
	}
	if len(servers) > 0 {
		b.Note(name, "Docker hands out 4 addresses on %s, Podman 4: flock setnetwork %s -s with a wider subnet deals more, as long as no containers are on it",
			ground.JoinWords(servers), name)
	}
}

// without is what of r is in none of ranges.
func without(r spec.Range, ranges []netip.Prefix) []spec.Range {
	out := []spec.Range{r}
	for _, p := range ranges {
		var left []spec.Range
		for _, r := range out {
			first, last := p.Masked().Addr(), prefix.Last(p)
			if last.Less(r.First) || r.Last.Less(first) {
				left = append(left, r)
				continue
			}
			if r.First.Less(first) {
				left = append(left, spec.Range{First: r.First, Last: first.Prev(), Subnet: r.Subnet})
			}
			if last.Less(r.Last) {
				left = append(left, spec.Range{First: last.Next(), Last: r.Last, Subnet: r.Subnet})
			}
		}
		out = left
	}
	return out
}

// dockerRanges are those of all members of n, in order.
func dockerRanges(n *state.Network) []netip.Prefix {
	var out []netip.Prefix
	for _, a := range n.Allocated {
		if a.Docker.IsValid() {
			out = append(out, a.Docker)
		}
	}
	slices.SortFunc(out, netip.Prefix.Compare)
	return out
}

// addDocker makes the network one of Docker's and Podman's on a member. Names that their
// containers ask for are answered by the member's own DNS.
func addDocker(h *spec.Host, name string, n *state.Network, mtu int) {
	a, subnet := n.Allocated[h.Server], ipv4Of(n)
	if a == nil || !a.Docker.IsValid() {
		return
	}
	own := a.Addrs[slices.Index(n.Subnets, subnet)]
	lower := netip.PrefixFrom(a.Docker.Addr(), a.Docker.Bits()+1)
	h.Dockers = append(h.Dockers, spec.DockerNet{
		Network: name, Range: a.Docker, Asked: !slices.Contains(n.Docker, state.AllMembers),
		Options: fmt.Sprintf("bridge %s subnet %s gateway %s docker %s podman %s-%s mtu %d",
			n.Bridge, subnet, own, lower, prefix.Last(lower).Next(), prefix.Last(a.Docker), mtu),
	})
	if at := slices.IndexFunc(h.Guards, func(g spec.Guard) bool { return g.Bridge == n.Bridge }); at >= 0 && n.DHCP != state.DHCPOff {
		h.Guards[at].Resolve = &spec.Resolve{From: a.Docker, At: own}
	}
}
