//go:build linux

package agent

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/nft"
	"github.com/flocknet/flock/internal/agent/sysctl"
	"github.com/flocknet/flock/internal/agent/wg"
	"github.com/flocknet/flock/internal/rtnl"
	"github.com/flocknet/flock/internal/spec"
)

// stateDir is where flock keeps what it must remember on a server, one directory
// per cluster.
const stateDir = "/var/lib/flock"

// Kernel is this server as one cluster sees it: its netlink sockets, its packet
// filters and its services. It belongs to one goroutine, and to the network
// namespace of the thread that opened it.
type Kernel struct {
	cluster  string
	dir      string // what is remembered about this cluster
	handle   *netlink.Handle
	rt       *rtnl.Conn
	filters  *nft.Filters
	services *services

	devices devices               // as of the last look
	addrs   []netlink.Addr        // of all devices, as of the last look
	routes  []netlink.Route       // of all tables, as of the last look
	noted   map[netip.Prefix]bool // where routes of ours lead that are not on our links, as far as there may be any
	outlook *outlook              // by the last Plan, nil: it had problems, or was carried out
	watch   *rtnl.Watch           // since the first Plan
	fresh   bool                  // nothing was changed since the last look, and no facts were taken from it

	remembers *bool                 // whether notes that are not there never were, nil until somebody asks
	settled   bool                  // this process wrote what is to be remembered of settings
	settings  map[string]sysctlNote // made anew at the first look, as they were lost; nil otherwise

	around *sysctl.Others // of the last look, nil unless a setting is to go back

	wg       *wg.Server
	hung     map[uint16]bool // ports that processes of our devices hold which did not answer at the last look
	departed []spec.FDB      // flood entries removed since Open
}

// Open returns the server as seen by cluster. Close it.
func Open(cluster string) (*Kernel, error) {
	if err := spec.CheckName("cluster", cluster); err != nil {
		return nil, fmt.Errorf("open kernel: %w", err)
	}
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	rt, err := rtnl.Open()
	if err != nil {
		h.Close()
		return nil, err
	}
	k := &Kernel{
		cluster: cluster, dir: filepath.Join(stateDir, cluster), handle: h, rt: rt,
		services: newServices(cluster),
	}
	k.filters = nft.New(nft.Server{
		Cluster: cluster, ProcNet: procNet,
		Notes: k.services.runDir(), Program: installedAs(),
	})
	k.wg = wg.NewServer(k.userspace)
	return k, nil
}

// Close releases the sockets; nothing on the server changes.
func (k *Kernel) Close() error {
	k.handle.Close()
	errs := []error{k.filters.Close(), k.rt.Close()}
	if k.watch != nil {
		errs = append(errs, k.watch.Close())
	}
	errs = append(errs, k.wg.Close())
	return errors.Join(errs...)
}

// look reads the devices, addresses and routes of the server, once for all who
// want to know.
func (k *Kernel) look() error {
	if err := k.readDevices(); err != nil {
		return err
	}
	var err error
	if k.addrs, err = rtnl.Dump(func() ([]netlink.Addr, error) { return k.handle.AddrList(nil, netlink.FAMILY_ALL) }); err != nil {
		return fmt.Errorf("list addresses: %w", err)
	}
	if err := errors.Join(k.readRoutes(), k.readNoted()); err != nil {
		return err
	}
	k.fresh = true
	return nil
}

func (k *Kernel) readRoutes() error {
	all := &netlink.Route{Table: unix.RT_TABLE_UNSPEC}
	var err error
	k.routes, err = rtnl.Dump(func() ([]netlink.Route, error) {
		return k.handle.RouteListFiltered(netlink.FAMILY_ALL, all, netlink.RT_FILTER_TABLE)
	})
	if err != nil {
		return fmt.Errorf("list routes: %w", err)
	}
	return nil
}

// Observe returns everything of this cluster on this server, in the type that
// says what is wanted. Want tells which foreign things to look at besides: the
// settings it names.
func (k *Kernel) Observe(ctx context.Context, want *spec.Host) (*spec.Host, error) {
	have := &spec.Host{Cluster: k.cluster, Store: want.Store, Server: want.Server, Generation: want.Generation}
	if err := k.look(); err != nil {
		return nil, fmt.Errorf("look at devices, addresses and routes: %w", err)
	}
	for _, f := range families {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("look at %s: %w", f.what, err)
		}
		if err := f.observe(ctx, k, want, have); err != nil {
			return nil, fmt.Errorf("look at %s: %w", f.what, err)
		}
	}
	return have, nil
}
