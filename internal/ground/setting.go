package ground

import (
	"fmt"
	"net/netip"

	"github.com/flocknet/flock/internal/state"
)

// Setting is the command that gives a network other values; flags are those of setnetwork.
func Setting(name, flags string) string { return "flock setnetwork " + name + " " + flags }

// Resubnet is the command that gives the network called name another subnet in the place of
// refused, one of s that is free, or CIDR, and leaves its others.
func (s Space) Resubnet(c *state.Cluster, name string, refused netip.Prefix) string {
	with := "CIDR"
	if p, ok := s.Instead(c, refused); ok {
		with = p.String()
	}
	return Setting(name, subnetFlags(c.Networks[name], refused, with))
}

// subnetFlags are n's subnets as flags, with another text in the place of one.
func subnetFlags(n *state.Network, but netip.Prefix, with string) string {
	flags := "-s " + with
	for _, p := range n.Subnets {
		if p != but {
			flags += " -s " + p.String()
		}
	}
	return flags
}

// NarrowError says that a subnet of a network has nothing left for a member.
type NarrowError struct {
	Subnet netip.Prefix
	Server string
	Part   int  // what each member gets for distributed DHCP, as the length of a prefix; 0: an address
	Mesh   bool // it is the subnet of an l2 network's mesh, which has no flag
}

func (e *NarrowError) Error() string {
	if e.Part != 0 {
		return fmt.Sprintf("%s has no part left that %s could hand out: distributed DHCP deals out /%d parts", e.Subnet, e.Server, e.Part)
	}
	return fmt.Sprintf("%s has no address left for %s", e.Subnet, e.Server)
}

// Next is what to do about it in n, the network called name; tunnel says that it is one.
func (e *NarrowError) Next(name string, n *state.Network, tunnel bool) string {
	wider := fmt.Sprintf(", with a wider subnet than a /%d", e.Subnet.Bits())
	switch {
	case e.Mesh:
		return "flock apply -f FILE" + wider + " for mesh there"
	case tunnel:
		return Setting(name, "--addresses A/30,B/30")
	case e.Part != 0:
		return Setting(name, "--dhcp single") + ", or " + Setting(name, subnetFlags(n, e.Subnet, "CIDR")) + wider
	}
	return Setting(name, subnetFlags(n, e.Subnet, "CIDR")) + wider
}
