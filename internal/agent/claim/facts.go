//go:build linux

package claim

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

	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/link"
	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/spec"
)

// Facts says what this server is like. Devs are devices or addresses that the
// caller knows by name: they are listed whatever they are called, when they are
// there. Facts.Agent is left to the caller. They are those of a plan where that came
// just before.
func Facts(ctx context.Context, k *host.Host, devs []string) (*spec.Facts, error) {
	f := &spec.Facts{Arch: runtime.GOARCH}
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return nil, fmt.Errorf("read kernel name: %w", err)
	}
	f.Hostname, f.Kernel = unix.ByteSliceToString(uts.Nodename[:]), unix.ByteSliceToString(uts.Release[:])
	machine, err := sysfile.Read("/etc/machine-id")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read machine id: %w", err)
	}
	f.Machine = strings.TrimSpace(string(machine))
	if _, err := os.Stat("/run/systemd/system"); err == nil { // sd_booted(3)
		f.Init = "systemd"
	}
	if !k.Fresh {
		if err := k.Look(); err != nil {
			return nil, err
		}
	}
	if f.WireGuard, err = link.WGSupport(k, f.Kernel); err != nil {
		return nil, err
	}
	k.Fresh = false
	interfaces(k, f, devs)
	reach(k, f)
	if f.Awaited, err = libvirtNetworks(libvirtDir); err != nil {
		return nil, err
	}
	f.Default4, f.Metric4 = defaultDevice(k, netlink.FAMILY_V4)
	f.Default6, f.Metric6 = defaultDevice(k, netlink.FAMILY_V6)
	f.Prefixes = foreignPrefixes(k)
	return f, ctx.Err()
}

// interfaces lists what can be underlay: up, with global addresses, nobody's
// container network.
func interfaces(k *host.Host, f *spec.Facts, devs []string) {
	addrs := map[int][]netip.Prefix{}
	named := map[string]bool{}
	for _, a := range k.Addrs {
		p := host.ToPrefix(a.IPNet)
		if !p.Addr().IsGlobalUnicast() || a.Flags&(unix.IFA_F_TEMPORARY|unix.IFA_F_DEPRECATED) != 0 {
			continue // an address that goes away carries no network
		}
		addrs[a.LinkIndex] = append(addrs[a.LinkIndex], p)
		if slices.Contains(devs, p.Addr().String()) {
			named[k.Devices.Name(a.LinkIndex)] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(k.Devices.ByName)) {
		l := k.Devices.ByName[name]
		a := l.Attrs()
		asked := named[name] || slices.Contains(devs, name)
		up := a.Flags&net.FlagUp != 0 && len(addrs[a.Index]) > 0
		if asked || up && !host.Flocks(l) && (host.UnderlayName(name) || k.Leads(a.Index)) {
			f.Interfaces = append(f.Interfaces, spec.Interface{Name: name, MTU: a.MTU, Addrs: addrs[a.Index]})
		}
	}
}

// defaultDevice is the device of the default route with the lowest metric, and that;
// "" when there is none. One that our BGP daemon learned does not count: what networks
// stand on must not move with what a router says.
func defaultDevice(k *host.Host, family int) (dev string, metric int) {
	var best *netlink.Route
	for i, r := range k.Routes {
		isDefault := r.Family == family && r.Table == unix.RT_TABLE_MAIN && r.Type == unix.RTN_UNICAST && host.ToPrefix(r.Dst).Bits() == 0 && !byBGP(&r)
		if isDefault && (best == nil || r.Priority < best.Priority) {
			best = &k.Routes[i]
		}
	}
	switch {
	case best == nil:
		return "", 0
	case len(best.MultiPath) > 0:
		return k.Devices.Name(best.MultiPath[0].LinkIndex), best.Priority
	}
	return k.Devices.Name(best.LinkIndex), best.Priority
}

// reach says what in the main table needs a gateway, and what does not beside the
// networks of the interfaces themselves. Of what routing daemons learned only that
// counts which lies within those: it may be the whole Internet. Single containers'
// routes on devices of their own say nothing that lasts.
func reach(k *host.Host, f *spec.Facts) {
	best := map[netip.Prefix]netlink.Route{}
	for _, r := range foreignRoutes(k) {
		p := host.ToPrefix(r.Dst)
		if r.Table != unix.RT_TABLE_MAIN || learned(r.Protocol) && !connected(f, p) {
			continue
		}
		if other, twice := best[p]; !twice || r.Priority < other.Priority {
			best[p] = r
		}
	}
	known := slices.Collect(maps.Keys(best))
	spec.SortPrefixes(known)
	for _, p := range known {
		r := best[p]
		if r.Gw != nil || r.Via != nil || len(r.MultiPath) > 0 || r.Type != unix.RTN_UNICAST {
			f.Routed = append(f.Routed, p)
			if r.Type != unix.RTN_UNICAST {
				f.Refused = append(f.Refused, p)
			}
			continue
		}
		i := slices.IndexFunc(f.Interfaces, func(i spec.Interface) bool { return i.Name == k.Devices.Name(r.LinkIndex) })
		switch {
		case i < 0 && p.Bits() < p.Addr().BitLen():
			f.Local = append(f.Local, p)
		case i >= 0 && !slices.ContainsFunc(f.Interfaces[i].Addrs, func(a netip.Prefix) bool { return a.Masked() == p }):
			f.Interfaces[i].Direct = append(f.Interfaces[i].Direct, p)
		}
	}
	for _, a := range k.Addrs { // a host's address has no route but in the local table
		p := host.ToPrefix(a.IPNet)
		there := func(i spec.Interface) bool { return i.Name == k.Devices.Name(a.LinkIndex) }
		if p.IsSingleIP() && p.Addr().IsGlobalUnicast() && !k.Ours(a.LinkIndex) && !slices.ContainsFunc(f.Interfaces, there) {
			f.Local = append(f.Local, p)
		}
	}
	spec.SortPrefixes(f.Local)
	f.Local = slices.Compact(f.Local)
}

// connected says whether p lies within the network of an interface.
func connected(f *spec.Facts, p netip.Prefix) bool {
	return slices.ContainsFunc(f.Interfaces, func(i spec.Interface) bool {
		return slices.ContainsFunc(i.Addrs, func(a netip.Prefix) bool { return a.Bits() <= p.Bits() && a.Contains(p.Addr()) })
	})
}
