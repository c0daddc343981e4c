//go:build linux

package host

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/nft"
	"github.com/flocknet/flock/internal/agent/socket"
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
	Handle  *netlink.Handle
	RT      *rtnl.Conn
	Filters *nft.Filters
	WG      *wg.Server

	Devices devices               // as of the last look
	Addrs   []netlink.Addr        // of all devices, as of the last look
	Routes  []netlink.Route       // of all tables, as of the last look
	Lent    map[int]int           // bridges of ours that have what is others', by index, with the interface's that it came from, 0 where that is not there
	Astray  map[int]bool          // such interfaces that have something themselves, as of the last look
	Noted   map[netip.Prefix]bool // where routes of ours lead that are not on our links, as far as there may be any
	Fresh   bool                  // nothing was changed since the last look, and no facts were taken from it

	// marked says whether objects that bear the cluster's mark are here.
	Marked    func() (bool, error)
	remembers *bool // whether notes that are not there never were, nil until somebody asks

	Settings settings
	Hung     map[uint16]bool // ports that processes of our devices hold which did not answer at the last look
	Awaited  []string        // containers of the last look's want that are not there, and objects that wait for a program
	Held     map[int]bool    // ports, by index, that containers have by what we wrote into their configuration
	Departed []spec.FDB      // flood entries removed since Open

	// Asking are interfaces whose containers' DHCP clients ask again when all is there.
	Asking []spec.Attachment
}

// settings are what is known of the settings that go back one day.
type settings struct {
	Notes  map[string]SettingNote // made anew at the first look, as they were lost; nil otherwise
	Stored bool                   // this process wrote what is to be remembered
	Around *sysctl.Others         // of the last look, nil unless a setting is to go back
}

// SettingNote remembers a global setting: what was found, what we made of it. A
// note is made for a setting that was right already too, so that another cluster
// that lets go of it knows that somebody still needs it.
type SettingNote struct{ Found, Set string }

// Open returns the server as seen by cluster, to the program that the workstation
// installed under that name. Close it.
func Open(cluster, program string) (*Host, error) {
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
	k := &Host{Files: NewFiles(cluster), Handle: h, RT: rt}
	k.Filters = nft.New(nft.Server{Cluster: cluster, ProcNet: socket.ProcNet, Notes: k.RunDir(), Program: program})
	k.WG = wg.NewServer(k.Userspace)
	return k, nil
}

// Close releases the sockets; nothing on the server changes.
func (k *Host) Close() error {
	k.Handle.Close()
	return errors.Join(k.Filters.Close(), k.RT.Close(), k.WG.Close())
}

// Look reads the devices, addresses and routes of the server, once for all who
// want to know.
func (k *Host) Look() error {
	if err := k.ReadDevices(); err != nil {
		return err
	}
	var err error
	if k.Addrs, err = rtnl.Dump(func() ([]netlink.Addr, error) { return k.Handle.AddrList(nil, netlink.FAMILY_ALL) }); err != nil {
		return fmt.Errorf("list addresses: %w", err)
	}
	k.readLent()
	k.lendAddrs()
	if err := errors.Join(k.ReadRoutes(), k.readNoted()); err != nil {
		return err
	}
	k.Fresh = true
	return nil
}

// ReadRoutes reads all routes of all tables again.
func (k *Host) ReadRoutes() error {
	all := &netlink.Route{Table: unix.RT_TABLE_UNSPEC}
	var err error
	k.Routes, err = rtnl.Dump(func() ([]netlink.Route, error) {
		return k.Handle.RouteListFiltered(netlink.FAMILY_ALL, all, netlink.RT_FILTER_TABLE)
	})
	if err != nil {
		return fmt.Errorf("list routes: %w", err)
	}
	k.lendRoutes()
	return nil
}
