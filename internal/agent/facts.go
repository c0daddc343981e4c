//go:build linux

package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/spec"
)

// Facts says what this server is like. Devs are devices or addresses that the
// caller knows by name: they are listed whatever they are called, when they are
// there. Facts.Agent is left to the caller.
func (k *Kernel) Facts(ctx context.Context, devs []string) (*spec.Facts, error) {
	f := &spec.Facts{Arch: runtime.GOARCH}
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return nil, fmt.Errorf("read kernel name: %w", err)
	}
	f.Hostname, f.Kernel = unix.ByteSliceToString(uts.Nodename[:]), unix.ByteSliceToString(uts.Release[:])
	machine, err := os.ReadFile("/etc/machine-id")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read machine id: %w", err)
	}
	f.Machine = strings.TrimSpace(string(machine))
	if _, err := os.Stat("/run/systemd/system"); err == nil { // sd_booted(3)
		f.Init = "systemd"
	}
	if err := k.readDevices(); err != nil {
		return nil, err
	}
	if f.WireGuard, err = k.wgSupport(f.Kernel); err != nil {
		return nil, err
	}
	if err := k.interfaces(f, devs); err != nil {
		return nil, err
	}
	if f.Default4, err = k.defaultDevice(netlink.FAMILY_V4); err != nil {
		return nil, err
	}
	if f.Default6, err = k.defaultDevice(netlink.FAMILY_V6); err != nil {
		return nil, err
	}
	if f.Prefixes, err = k.foreignPrefixes(); err != nil {
		return nil, err
	}
	return f, ctx.Err()
}

// interfaces lists what can be underlay: up, with global addresses, nobody's
// container network.
func (k *Kernel) interfaces(f *spec.Facts, devs []string) error {
	list, err := dump(func() ([]netlink.Addr, error) { return k.handle.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return fmt.Errorf("list addresses: %w", err)
	}
	addrs := map[int][]netip.Prefix{}
	named := map[string]bool{}
	for _, a := range list {
		p := toPrefix(a.IPNet)
		if !p.Addr().IsGlobalUnicast() || a.Flags&(unix.IFA_F_TEMPORARY|unix.IFA_F_DEPRECATED) != 0 {
			continue // an address that goes away carries no network
		}
		addrs[a.LinkIndex] = append(addrs[a.LinkIndex], p)
		if slices.Contains(devs, p.Addr().String()) {
			named[k.devices.name(a.LinkIndex)] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(k.devices.byName)) {
		l := k.devices.byName[name]
		a := l.Attrs()
		asked := named[name] || slices.Contains(devs, name)
		up := a.Flags&net.FlagUp != 0 && len(addrs[a.Index]) > 0
		if asked || up && !flocks(l) && underlayName(name) {
			f.Interfaces = append(f.Interfaces, spec.Interface{Name: name, MTU: a.MTU, Addrs: addrs[a.Index]})
		}
	}
	return nil
}

// underlayName says whether a device of this name can be a server's way to others:
// not loopback, nor what container engines and libvirt make.
func underlayName(name string) bool {
	for _, prefix := range []string{"docker", "br-", "veth", "virbr", "vnet", "lxc", "lxdbr", "incusbr", "cni", "flannel", "cali", "podman"} {
		if strings.HasPrefix(name, prefix) {
			return false
		}
	}
	return name != "lo"
}

// defaultDevice is the device of the default route with the lowest metric; "" when
// there is none.
func (k *Kernel) defaultDevice(family int) (string, error) {
	list, err := dump(func() ([]netlink.Route, error) { return k.handle.RouteList(nil, family) })
	if err != nil {
		return "", fmt.Errorf("list routes: %w", err)
	}
	list = slices.DeleteFunc(list, func(r netlink.Route) bool {
		return toPrefix(r.Dst).Bits() != 0 || r.Type != unix.RTN_UNICAST
	})
	if len(list) == 0 {
		return "", nil
	}
	best := slices.MinFunc(list, func(a, b netlink.Route) int { return a.Priority - b.Priority })
	if len(best.MultiPath) > 0 {
		return k.devices.name(best.MultiPath[0].LinkIndex), nil
	}
	return k.devices.name(best.LinkIndex), nil
}

// foreignRoutes are the routes of all tables that are not this cluster's, default
// routes and the kernel's own entries aside.
func (k *Kernel) foreignRoutes() ([]netlink.Route, error) {
	filter := &netlink.Route{Table: unix.RT_TABLE_UNSPEC}
	list, err := dump(func() ([]netlink.Route, error) {
		return k.handle.RouteListFiltered(netlink.FAMILY_ALL, filter, netlink.RT_FILTER_TABLE)
	})
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	return slices.DeleteFunc(list, func(r netlink.Route) bool {
		p := toPrefix(r.Dst)
		a := p.Addr()
		return k.ours(r.LinkIndex) || r.Table == unix.RT_TABLE_LOCAL || p.Bits() <= 0 ||
			a.IsMulticast() || a.IsLinkLocalUnicast() || a.IsLoopback()
	}), nil
}

// foreignPrefixes are the connected and routed prefixes of all links that are
// nobody's of flock. What routing daemons learned is left out: that may be the
// whole Internet, and claims look at it here.
func (k *Kernel) foreignPrefixes() ([]netip.Prefix, error) {
	routes, err := k.foreignRoutes()
	if err != nil {
		return nil, err
	}
	var out []netip.Prefix
	for _, r := range routes {
		if !flocks(k.devices.byIndex[r.LinkIndex]) && !learned(r.Protocol) {
			out = append(out, toPrefix(r.Dst))
		}
	}
	slices.SortFunc(out, netip.Prefix.Compare)
	return slices.Compact(out), nil
}

// learned says whether a routing daemon speaks protocol (linux rtnetlink.h).
func learned(protocol netlink.RouteProtocol) bool {
	switch protocol {
	case unix.RTPROT_ZEBRA, unix.RTPROT_BIRD, unix.RTPROT_BABEL, unix.RTPROT_BGP, unix.RTPROT_ISIS, unix.RTPROT_OSPF, unix.RTPROT_RIP, unix.RTPROT_EIGRP:
		return true
	}
	return false
}
