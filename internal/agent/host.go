//go:build linux

package agent

import (
	"errors"
	"fmt"
	"net/netip"

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

// Host is this server as one cluster sees it: its files, its sockets to the kernel, and
// what was seen at the last look. It belongs to one goroutine, and to the network
// namespace of the thread that opened it.
type Host struct {
	*Files
	handle  *netlink.Handle
	rt      *rtnl.Conn
	filters *nft.Filters
	wg      *wg.Server

	devices devices               // as of the last look
	addrs   []netlink.Addr        // of all devices, as of the last look
	routes  []netlink.Route       // of all tables, as of the last look
	noted   map[netip.Prefix]bool // where routes of ours lead that are not on our links, as far as there may be any
	fresh   bool                  // nothing was changed since the last look, and no facts were taken from it

	// marked says whether objects that bear the cluster's mark are here.
	marked    func() (bool, error)
	remembers *bool // whether notes that are not there never were, nil until somebody asks

	settings settings
	hung     map[uint16]bool // ports that processes of our devices hold which did not answer at the last look
	departed []spec.FDB      // flood entries removed since Open
}

// settings are what is known of the settings that go back one day.
type settings struct {
	notes  map[string]settingNote // made anew at the first look, as they were lost; nil otherwise
	stored bool                   // this process wrote what is to be remembered
	around *sysctl.Others         // of the last look, nil unless a setting is to go back
}

// settingNote remembers a global setting: what was found, what we made of it. A
// note is made for a setting that was right already too, so that another cluster
// that lets go of it knows that somebody still needs it.
type settingNote struct{ Found, Set string }

// openHost returns the server as seen by cluster, to the program that the workstation
// installed under that name. Close it.
func openHost(cluster, program string) (*Host, error) {
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
	k := &Host{Files: newFiles(cluster), handle: h, rt: rt}
	k.filters = nft.New(nft.Server{Cluster: cluster, ProcNet: procNet, Notes: k.runDir(), Program: program})
	k.wg = wg.NewServer(k.userspace)
	return k, nil
}

// Close releases the sockets; nothing on the server changes.
func (k *Host) Close() error {
	k.handle.Close()
	return errors.Join(k.filters.Close(), k.rt.Close(), k.wg.Close())
}

// look reads the devices, addresses and routes of the server, once for all who
// want to know.
func (k *Host) look() error {
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

func (k *Host) readRoutes() error {
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
