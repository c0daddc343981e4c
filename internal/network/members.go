package network

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/option"
	"github.com/flocknet/flock/internal/prefix"
	"github.com/flocknet/flock/internal/segment"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// CheckServer refuses a server that does not make sense by itself.
func CheckServer(c *state.Cluster, name string, s *state.Server) error {
	if err := state.CheckName("server", name); err != nil {
		return err
	}
	if name != Local && slices.Contains(reserved(), name) {
		return hint.Errorf("", "choose another name", "the name is reserved")
	}
	if name == Local && (s.Address != "" || s.User != "" || s.Port != 0 || s.Identity != "" || s.Jump != "") {
		return hint.Errorf("", "choose another name for a server that is reached by SSH", "the name is reserved for this workstation")
	}
	if err := option.CheckLogin(s); err != nil {
		return err
	}
	if err := option.CheckReach(name, s); err != nil {
		return err
	}
	if s.Endpoint != "" && s.NAT {
		return hint.Errorf("", "leave one of them away", "--endpoint says that other servers can connect to the server, --nat that they cannot")
	}
	if err := checkAdopt(name, s); err != nil || !s.Subnet.IsValid() {
		return err
	}
	p, gw := s.Subnet.Masked(), s.Subnet.Addr()
	if err := ground.CheckSubnet(c, p, ground.OwnSpace); err != nil {
		return hint.Pin(err, "subnet")
	}
	if gw == p.Addr() || gw.Is4() && gw == prefix.Last(p) {
		return hint.Errorf("", "flock setsubnet "+name+" "+p.String(), "%s is not an address that the bridge can have in %s", gw, p)
	}
	return nil
}

// Adoptable are the bridges of other programs that a server's own subnet can be on.
func Adoptable() []string { return slices.Clone(spec.OwnBridges) }

// checkAdopt refuses a bridge of nobody's, and what its program cannot have.
func checkAdopt(name string, s *state.Server) error {
	if s.Adopt == "" {
		return nil
	}
	bridges := Adoptable()
	switch {
	case !slices.Contains(bridges, s.Adopt):
		return hint.Errorf("adopt", "one of: "+strings.Join(bridges, ", "), "%q is no bridge that LXC, Docker or libvirt makes by itself", s.Adopt)
	case !s.Subnet.IsValid():
		return hint.Errorf("adopt", "flock setsubnet "+name+" 10.1.1.0/24 --adopt "+s.Adopt, "%s has no container subnet that %s could have", name, s.Adopt)
	case s.Subnet.Addr().Is6():
		return hint.Errorf("adopt", "flock setsubnet "+name+" 10.1.1.0/24 --adopt "+s.Adopt, "%s is no IPv4 subnet, which %s is", s.Subnet.Masked(), s.Adopt)
	}
	return nil
}

// CheckNetworkName refuses a name that means something else where networks are named.
func CheckNetworkName(name string) error {
	if name == segment.SubnetNetwork {
		return hint.Errorf("", "choose another name", "the name is reserved")
	}
	return nil
}

// BridgeAddr is the address that a server's own bridge has: the first one of subnet
// unless that names another.
func BridgeAddr(subnet netip.Prefix) netip.Prefix {
	if subnet.IsValid() && subnet == subnet.Masked() {
		return netip.PrefixFrom(subnet.Addr().Next(), subnet.Bits())
	}
	return subnet
}
