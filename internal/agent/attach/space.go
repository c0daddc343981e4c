//go:build linux

package attach

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/rtnl"
	"github.com/flocknet/flock/internal/spec"
)

// Space is the network namespace of a container. Close it.
type Space struct {
	FD        int // of the namespace
	container string
	rt        *rtnl.Conn
	handle    *netlink.Handle
}

// Open opens the network namespace of a container, KIND/NAME. The error is
// fs.ErrNotExist where it does not run, or not yet.
func Open(container string) (*Space, error) {
	sort, name, err := sortOf(container)
	if err != nil {
		return nil, err
	}
	fd, err := sort.open(name)
	if err != nil {
		return nil, fmt.Errorf("find %s: %w", container, err)
	}
	s := &Space{FD: fd, container: container}
	err = s.Run(func() (err error) {
		if s.rt, err = rtnl.Open(); err == nil {
			s.handle, err = netlink.NewHandle(unix.NETLINK_ROUTE)
		}
		return err
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("enter %s: %w", container, err), s.Close())
	}
	return s, nil
}

// Run runs do in the namespace. A thread that does not come back from there ends with
// its goroutine.
func (s *Space) Run(do func() error) error {
	runtime.LockOSThread()
	home, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	if err = unix.Setns(s.FD, unix.CLONE_NEWNET); err == nil {
		err = do()
		if back := unix.Setns(home, unix.CLONE_NEWNET); back != nil {
			return errors.Join(err, back, unix.Close(home))
		}
	}
	runtime.UnlockOSThread()
	return errors.Join(err, unix.Close(home))
}

// Close ends it. Nothing in the namespace changes.
func (s *Space) Close() error {
	err := unix.Close(s.FD)
	if s.rt != nil {
		err = errors.Join(err, s.rt.Close())
	}
	if s.handle != nil {
		s.handle.Close()
	}
	return err
}

// Inside is what there is in a namespace.
type Inside struct {
	Links []netlink.Link
	Addrs []netlink.Addr
	// Default4 and Default6 say that there is a default route, or need be none of ours.
	Default4, Default6 bool
	defaults           []netlink.Route
}

// Look reads what is in the namespace.
func (s *Space) Look() (*Inside, error) {
	in := &Inside{}
	var err error
	if in.Links, err = rtnl.Dump(s.handle.LinkList); err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	if in.Addrs, err = rtnl.Dump(func() ([]netlink.Addr, error) { return s.handle.AddrList(nil, netlink.FAMILY_ALL) }); err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	routes, err := rtnl.Dump(func() ([]netlink.Route, error) {
		return s.handle.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_TABLE)
	})
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	for _, r := range routes {
		if r.Dst == nil || r.Dst.IP.IsUnspecified() && len(r.Dst.Mask) > 0 && r.Dst.Mask[0] == 0 {
			in.defaults = append(in.defaults, r)
		}
	}
	in.findDefaults()
	return in, nil
}

func (in *Inside) findDefaults() {
	has := func(family int) bool {
		return slices.ContainsFunc(in.defaults, func(r netlink.Route) bool { return r.Family == family })
	}
	in.Default4, in.Default6 = has(unix.AF_INET), has(unix.AF_INET6)
}

// lapse is for an interface that goes, and takes its default routes along.
func (in *Inside) lapse(iface string) {
	if l := in.Link(iface); l != nil {
		in.defaults = spec.Without(in.defaults, func(r netlink.Route) bool { return r.LinkIndex == l.Attrs().Index })
		in.findDefaults()
	}
}

// Link is the interface of a name; nil if there is none.
func (in *Inside) Link(name string) netlink.Link {
	for _, l := range in.Links {
		if l.Attrs().Name == name {
			return l
		}
	}
	return nil
}

// Prefixes are the addresses of an interface, link-local ones aside.
func (in *Inside) Prefixes(index int) []netip.Prefix {
	var out []netip.Prefix
	for _, a := range in.Addrs {
		ip, _ := netip.AddrFromSlice(a.IP)
		bits, _ := a.Mask.Size()
		if a.LinkIndex == index && !ip.IsLinkLocalUnicast() {
			out = append(out, netip.PrefixFrom(ip.Unmap(), bits))
		}
	}
	return out
}

// gateways are the next hops of the default routes by an interface.
func (in *Inside) gateways(index int) []netip.Addr {
	var out []netip.Addr
	for _, r := range in.defaults {
		if gw, ok := netip.AddrFromSlice(r.Gw); ok && r.LinkIndex == index {
			out = append(out, gw.Unmap())
		}
	}
	return out
}

// Routed are those gateways of an interface that its container needs no default route by: it
// has one of that family, or another interface from which it is to get one.
func (in *Inside) Routed(a spec.Attachment) []netip.Addr {
	if keeper := keeperOf(a.Container); keeper != nil && keeper.elsewhere(a.Container, a.Interface) {
		return a.Gateways
	}
	var out []netip.Addr
	for _, gw := range a.Gateways {
		if gw.Is4() && in.Default4 || gw.Is6() && in.Default6 {
			out = append(out, gw)
		}
	}
	return out
}

// Set gives the interface of a its MTU and addresses, sets it up and adds default routes
// where there are none. What else is there stays.
func (s *Space) Set(a spec.Attachment) error {
	in, err := s.Look()
	if err != nil {
		return err
	}
	l := in.Link(a.Interface)
	if l == nil {
		return fmt.Errorf("set up %s in %s: it is gone", a.Interface, a.Container)
	}
	up := nl.NewNetlinkRequest(unix.RTM_NEWLINK, 0)
	info := nl.NewIfInfomsg(unix.AF_UNSPEC)
	info.Index, info.Flags, info.Change = int32(l.Attrs().Index), unix.IFF_UP, unix.IFF_UP //nolint:gosec // the kernel's own number
	up.AddData(info)
	if a.MTU != 0 {
		up.AddData(nl.NewRtAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(a.MTU)))) //nolint:gosec // at most 65535
	}
	if slices.ContainsFunc(a.Addrs, func(p netip.Prefix) bool { return p.Addr().Is6() }) {
		if err := s.allowIPv6(a.Interface); err != nil {
			return err
		}
	}
	messages := []*nl.NetlinkRequest{up}
	has := in.Prefixes(l.Attrs().Index)
	for _, p := range a.Addrs {
		if !slices.Contains(has, p) {
			messages = append(messages, address(l.Attrs().Index, p))
		}
	}
	routed := in.Routed(a)
	for _, gw := range a.Gateways {
		if !slices.Contains(routed, gw) {
			messages = append(messages, defaultRoute(l.Attrs().Index, gw, protocol(a)))
		}
	}
	if err := s.rt.Do(messages...); err != nil {
		return fmt.Errorf("set up %s in %s: %w", a.Interface, a.Container, err)
	}
	return nil
}

// allowIPv6 lets an interface have IPv6 addresses. In containers without such a network
// Docker switches them off.
func (s *Space) allowIPv6(iface string) error {
	return s.Run(func() error {
		path := "/proc/sys/net/ipv6/conf/" + iface + "/disable_ipv6"
		if text, err := sysfile.ReadIfThere(path); err != nil || text != "1\n" {
			return err
		}
		return os.WriteFile(path, []byte("0"), 0)
	})
}

func ipFamily(a netip.Addr) int {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// address adds p. An IPv6 address is used at once: nobody else was given it.
func address(index int, p netip.Prefix) *nl.NetlinkRequest {
	m := nl.NewNetlinkRequest(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_REPLACE)
	head := nl.NewIfAddrmsg(ipFamily(p.Addr()))
	head.Prefixlen, head.Index = uint8(p.Bits()), uint32(index) //nolint:gosec // at most 128; the kernel's own number
	if p.Addr().Is6() {
		head.Flags = unix.IFA_F_NODAD
	}
	m.AddData(head)
	rtnl.Put(m, unix.IFA_LOCAL, p.Addr().AsSlice())
	rtnl.Put(m, unix.IFA_ADDRESS, p.Addr().AsSlice())
	return m
}

// protocol marks a route as ours, but for what is given back to others.
func protocol(a spec.Attachment) uint8 {
	if a.Network == "" {
		return unix.RTPROT_BOOT
	}
	return spec.RouteProto
}

func defaultRoute(index int, gw netip.Addr, protocol uint8) *nl.NetlinkRequest {
	m := nl.NewNetlinkRequest(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	head := nl.NewRtMsg()
	head.Family, head.Protocol = uint8(ipFamily(gw)), protocol //nolint:gosec // AF_INET or AF_INET6
	m.AddData(head)
	rtnl.Put(m, unix.RTA_GATEWAY, gw.AsSlice())
	m.AddData(nl.NewRtAttr(unix.RTA_OIF, nl.Uint32Attr(uint32(index)))) //nolint:gosec // the kernel's own number
	return m
}
