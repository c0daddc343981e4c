//go:build linux

package attach

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"

	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/spec"
)

// looks are the containers that were looked into, nil where one does not run.
type looks map[string]*Inside

func (l looks) into(container string) (*Inside, error) {
	if in, done := l[container]; done {
		return in, nil
	}
	in, err := lookInto(container)
	l[container] = in
	return in, err
}

// observeAttached fills in have.Attached, and Host.Awaited. What is wanted for a
// container that is not there stands, as far as it can.
func observeAttached(k *host.Host, want, have *spec.Host) error {
	k.Awaited, k.Held = nil, map[int]bool{}
	var machines, spaces []spec.Attachment
	for _, w := range want.Attached {
		if guestsOf(w.Container) != nil {
			machines = append(machines, w)
		} else {
			spaces = append(spaces, w)
		}
	}
	return errors.Join(observeSpaces(k, spaces, have), guests.observe(k, machines, have))
}

// observeSpaces is observeAttached for those that have network namespaces.
func observeSpaces(k *host.Host, want []spec.Attachment, have *spec.Host) error {
	inside, wants := looks{}, map[string]spec.Attachment{}
	for _, w := range want {
		wants[w.Object()] = w
		in, err := inside.into(w.Container)
		if err != nil {
			return err
		}
		if in == nil && !slices.Contains(k.Awaited, w.Container) && !exists(w.Container) {
			k.Awaited = append(k.Awaited, w.Container)
		}
	}
	links := attachedLinks(k)
	for _, l := range links {
		if a, _, _ := attachedAs(k, l); wants[a.Object()].Container == "" && inside[a.Container] != nil {
			inside[a.Container].lapse(a.Interface)
		}
	}
	found := map[string]bool{}
	for _, l := range links {
		a, m, _ := attachedAs(k, l)
		if w := wants[a.Object()]; w.Container != "" && inside[a.Container] == nil {
			a = w // the kernel takes a namespace that was deleted, and its end here, away when it likes
		} else {
			completeAttached(&a, w, l, inside[a.Container], m.given)
		}
		have.Attached = append(have.Attached, a)
		found[a.Object()] = true
	}
	if err := observeKept(k, wants, inside, found, have); err != nil {
		return err
	}
	for _, w := range want {
		if inside[w.Container] == nil && !found[w.Object()] && (keeperOf(w.Container) == nil || !exists(w.Container)) {
			have.Attached = append(have.Attached, w)
		}
	}
	return seeKept(k, wants, have.Attached)
}

// observeKept adds what containers have by their own configuration, without a mark on the
// server.
func observeKept(k *host.Host, wants map[string]spec.Attachment, inside looks, found map[string]bool, have *spec.Host) error {
	for _, s := range sorts {
		if s.keeper == nil {
			continue
		}
		list, err := s.kept(k.Cluster)
		if err != nil {
			return err
		}
		for _, one := range list {
			a := one.a
			w, wanted := wants[a.Object()]
			in, err := inside.into(a.Container)
			switch port := portIn(k, in, a.Interface); {
			case err != nil:
				return err
			case found[a.Object()]:
				continue
			case port != nil:
				k.Held[port.Attrs().Index] = true
				a.Host, a.Bridge = port.Attrs().Name, k.Devices.Name(port.Attrs().MasterIndex)
				completeAttached(&a, w, port, in, one.given)
			case in == nil && wanted:
				a = w
			}
			have.Attached = append(have.Attached, a)
			found[a.Object()] = true
		}
	}
	return nil
}

// seeKept notes which of list their containers would not have again at the next start.
func seeKept(k *host.Host, wants map[string]spec.Attachment, list []spec.Attachment) error {
	for i, a := range list {
		keeper, w := keeperOf(a.Container), wants[a.Object()]
		if keeper == nil || w.Container == "" {
			continue
		}
		kept, err := keeper.holds(k.Cluster, w)
		if err != nil {
			return err
		}
		list[i].Unkept = !kept
	}
	return nil
}

// portIn is the other end of a container's interface, if that is a pair with one end on the
// server; nil otherwise.
func portIn(k *host.Host, in *Inside, iface string) netlink.Link {
	if in == nil {
		return nil
	}
	end := in.Link(iface)
	if end == nil || end.Type() != veth {
		return nil
	}
	l := k.Devices.ByIndex[end.Attrs().ParentIndex]
	if l == nil || !isPair(end, l) {
		return nil
	}
	return l
}

// isPair says whether end, in a container, and l, on the server, are the two ends of a pair.
func isPair(end, l netlink.Link) bool {
	return l.Type() == veth && end.Attrs().ParentIndex == l.Attrs().Index && end.Attrs().Index == l.Attrs().ParentIndex
}

// completeAttached adds what is in the container, if the other end of l is there under its
// name. Of addresses and routes that counts what w wants, of the MTUs the one that differs,
// and of the port's name only that of a pair that flock made.
func completeAttached(a *spec.Attachment, w spec.Attachment, l netlink.Link, in *Inside, given string) {
	var end netlink.Link
	if in != nil {
		end = in.Link(a.Interface)
	}
	if w.Container != "" {
		if a.Moved = w.Moved; !isOwn(l) {
			a.Host = w.Host
		}
	}
	if end == nil || !isPair(end, l) {
		return
	}
	a.MAC = end.Attrs().HardwareAddr.String()
	a.Down = (l.Attrs().Flags&end.Attrs().Flags)&net.FlagUp == 0
	if w.MTU != 0 {
		if a.MTU = l.Attrs().MTU; a.MTU == w.MTU {
			a.MTU = end.Attrs().MTU
		}
	}
	has := in.Prefixes(end.Attrs().Index)
	for _, p := range w.Addrs {
		if slices.Contains(has, p) {
			a.Addrs = append(a.Addrs, p)
		}
	}
	if given != joined(w.Addrs) { // and what was given before is still there
		for text := range strings.SplitSeq(given, ",") {
			if p, err := netip.ParsePrefix(text); err == nil && !slices.Contains(a.Addrs, p) {
				a.Addrs = append(a.Addrs, p)
			}
		}
	}
	a.Gateways = in.Routed(w)
}

// isOwn says whether flock made the pair whose end on the server l is.
func isOwn(l netlink.Link) bool { return strings.HasPrefix(l.Attrs().Name, spec.AttachPrefix) }
