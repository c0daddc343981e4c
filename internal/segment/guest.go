package segment

import (
	"net/netip"
	"regexp"
	"slices"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// A guest of libvirt's is a machine of its own: its interfaces are known by their MACs, and an
// address is given to it by DHCP alone.

var mac = regexp.MustCompile(`^[0-9a-f]{2}(:[0-9a-f]{2}){5}$`)

// checkKnown refuses an interface that could not be found, by what its container is.
func checkKnown(a state.Attachment) error {
	switch guest := spec.IsGuest(a.Container); {
	case !guest && a.MAC != "":
		return hint.Errorf("", "leave mac away", "%s %s: only an interface of a guest is known by its MAC", a.Container, a.Interface)
	case a.MAC != "" && !mac.MatchString(a.MAC):
		return hint.Errorf("", "write it as 52:54:00:0a:0b:0c", "%s %s: %q is not a MAC address", a.Container, a.Interface, a.MAC)
	case guest && a.Moved != (a.MAC != ""):
		return hint.Errorf("", "mac, with moved = true, as virsh domiflist shows it; neither of one that is to be made",
			"%s %s: an interface of a guest's own is known by its MAC", a.Container, a.Interface)
	case guest && a.Bridge == "":
		return hint.Errorf("", "name a bridge, IFACE:BRIDGE", "%s %s: an interface of a guest is always on a bridge", a.Container, a.Interface)
	}
	return nil
}

// checkAsked refuses a fixed address that nobody could tell the guest that a is of.
func (s *socket) checkAsked(a state.Attachment, addr netip.Addr) error {
	if !spec.IsGuest(a.Container) {
		return nil
	}
	const next = "leave --ip away, and set the address inside of the guest"
	i := slices.IndexFunc(s.subnets, func(p netip.Prefix) bool { return p.Contains(addr) })
	switch {
	case s.silent:
		return hint.Errorf("", next+", or flock setnetwork "+s.network+" --dhcp distributed",
			"%s: network %s has no DHCP, by which a guest could be told its address", addr, s.network)
	case i >= 0 && !Reservable(s.subnets[i].Masked()):
		return hint.Errorf("", next, "%s: guests choose their addresses in %s themselves", addr, s.subnets[i].Masked())
	}
	return nil
}
