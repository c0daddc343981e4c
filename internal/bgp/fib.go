//go:build linux

package bgp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime/debug"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/rtnl"
	"github.com/flocknet/flock/internal/spec"
)

const (
	// gatherFor is how long notifications of the kernel are gathered before its tables
	// are read again.
	gatherFor = 20 * time.Millisecond
	// fibRetry is the pause before routes are tried again that the kernel refused, or
	// whose next hops do not resolve, unless the kernel reports a change before.
	fibRetry = 5 * time.Second
	// manyChanges is after how many changes freed memory is given back to the system.
	manyChanges = 1000
)

// allPaths returns all paths to one destination, best first.
type allPaths func(p netip.Prefix) []learned

// bounds is what the operator allows learned routes beyond the default.
type bounds struct {
	anywhere map[netip.Addr]bool // next hops that may be behind a default route
	forced   []spec.PrefixRule   // these may take the way to what is protected
	anycast  []netip.Prefix      // announced while this server has them
}

// fib keeps the kernel's routes of our protocol number. Only the goroutine of run uses
// it; others send on its channels.
type fib struct {
	rt     *rtnl.Conn
	handle *netlink.Handle
	watch  *rtnl.Watch
	fresh  chan struct{} // somebody else changed the kernel's tables

	changes chan []told
	looks   chan chan map[netip.Prefix]kept // asks for tell
	sweeps  chan struct{}                   // adopted routes that were not confirmed go
	ends    chan chan error                 // all routes are removed
	bounds  chan bounds
	here    chan presence // the last one that nobody read
	others  allPaths

	world     *world
	best      bests
	have      map[netip.Prefix][]hop
	adopted   map[netip.Prefix]bool // found at the start and not confirmed since
	why       map[netip.Prefix]string
	silent    map[netip.Prefix]string // why the next hops of the kernel's route do not answer; it stays, as there is no better one
	held      map[netip.Prefix]bool   // kept out of the kernel; why has the reason
	allowed   bounds
	guarded   []guarded
	protected protected
	asking    asking
	retry     bool
	handled   int // changes since memory was given back
	print     func(string, ...any)
}

// openFIB adopts the routes of the daemon before this one: they stay until they are
// confirmed, replaced or swept. dir holds what the agent wrote.
func openFIB(dir string, others allPaths, print func(string, ...any)) (*fib, error) {
	f := &fib{
		fresh: make(chan struct{}, 1), changes: make(chan []told, 16), looks: make(chan chan map[netip.Prefix]kept),
		sweeps: make(chan struct{}, 1), ends: make(chan chan error), bounds: make(chan bounds, 1), here: make(chan presence, 1),
		others: others, print: print, asking: newAsking(), protected: protected{dir: dir},
		best: bests{}, adopted: map[netip.Prefix]bool{}, why: map[netip.Prefix]string{}, silent: map[netip.Prefix]string{}, held: map[netip.Prefix]bool{},
	}
	var err error
	if f.rt, err = rtnl.Open(); err != nil {
		return nil, err
	}
	if f.handle, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	own, err := f.rt.PortID()
	if err != nil {
		return nil, err
	}
	if f.watch, err = rtnl.NewWatch(); err != nil {
		return nil, err
	}
	if err := f.watch.Tell(f.fresh, own); err != nil {
		return nil, err
	}
	if err := f.look(); err != nil {
		return nil, err
	}
	for p := range f.have {
		f.adopted[p] = true
	}
	return f, nil
}

// adopts says whether there are routes of the daemon before this one.
func (f *fib) adopts() bool { return len(f.adopted) > 0 }

// run works until ctx ends. The routes stay in the kernel.
func (f *fib) run(ctx context.Context) error {
	tick := time.NewTicker(fibRetry)
	defer tick.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return errors.Join(f.rt.Close(), f.watch.Close())
		case c := <-f.changes:
			err = f.write(f.take(c))
		case <-f.fresh:
			err = f.resync(ctx)
		case <-tick.C:
			if f.handled > manyChanges {
				f.handled = 0
				debug.FreeOSMemory()
			}
			if f.retry || f.protected.moved() {
				err = f.resync(ctx)
			}
		case <-f.sweeps:
			clear(f.adopted)
			err = f.resync(ctx)
		case f.allowed = <-f.bounds:
			err = f.resync(ctx)
		case <-f.asking.again.C:
			err = f.resync(ctx)
		case answer := <-f.looks:
			err = f.resync(ctx)
			answer <- f.tell()
		case answer := <-f.ends:
			clear(f.best)
			clear(f.adopted)
			answer <- errors.Join(f.look(), f.write(f.all()))
			f.changes = nil // later reports are ignored
		}
		if err != nil {
			f.print("routes: %v", err)
			f.retry = true
		}
	}
}

// take notes c and all reports that wait, and returns the destinations that they
// concern.
func (f *fib) take(c []told) map[netip.Prefix]bool {
	dirty := map[netip.Prefix]bool{}
	for {
		for _, t := range c {
			dirty[t.to] = true
			delete(f.adopted, t.to)
		}
		f.best.note(c)
		f.handled += len(c)
		select {
		case c = <-f.changes:
		default:
			return dirty
		}
	}
}

// resync reads the kernel's tables again, gatherFor after a notification, and repairs
// what differs. Waiting reports are applied first: a sweep must not remove a route that
// was confirmed before it.
func (f *fib) resync(ctx context.Context) error {
	t := time.NewTimer(gatherFor)
	defer t.Stop()
	for waits := true; waits; {
		select {
		case <-t.C:
			waits = false
		case c := <-f.changes:
			// GoBGP has told the neighbours already, who may send by this server now.
			if err := f.write(f.take(c)); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
	f.take(nil)
	select {
	case <-f.fresh: // its change is in the tables that are read now
	default:
	}
	if err := f.look(); err != nil {
		return err
	}
	return f.write(f.all())
}

// look reads the kernel's routes, addresses and devices.
func (f *fib) look() error {
	links, err := rtnl.Dump(f.handle.LinkList)
	if err != nil {
		return fmt.Errorf("list devices: %w", err)
	}
	devices := map[int]device{}
	for _, l := range links {
		devices[l.Attrs().Index] = device{l.Attrs().Name, l.Attrs().Flags&net.FlagUp != 0, l.Attrs().RawFlags&unix.IFF_NOARP == 0}
	}
	addrs, err := rtnl.Dump(func() ([]netlink.Addr, error) { return f.handle.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return fmt.Errorf("list addresses: %w", err)
	}
	main := &netlink.Route{Table: unix.RT_TABLE_MAIN}
	routes, err := rtnl.Dump(func() ([]netlink.Route, error) {
		return f.handle.RouteListFiltered(netlink.FAMILY_ALL, main, netlink.RT_FILTER_TABLE)
	})
	if err != nil {
		return fmt.Errorf("list routes: %w", err)
	}
	f.world, f.have = newWorld(routes, addrs, devices)
	f.guarded = f.world.guarded(f.protected.read())
	f.asking.look()
	f.tellHere()
	return nil
}

// tellHere says which anycast subnets this server has; news that nobody read are replaced.
func (f *fib) tellHere() {
	select {
	case <-f.here:
	default:
	}
	f.here <- presence{f.allowed.anycast, f.world.here(f.allowed.anycast)}
}

// presence is which of some anycast subnets this server has.
type presence struct{ of, here []netip.Prefix }

func (f *fib) all() map[netip.Prefix]bool {
	all := make(map[netip.Prefix]bool, len(f.best))
	for p := range f.best {
		all[p] = true
	}
	for p := range f.have {
		all[p] = true
	}
	return all
}

// write makes the kernel's routes to these destinations what they should be.
func (f *fib) write(dirty map[netip.Prefix]bool) error {
	f.retry = false
	var batch []*nl.NetlinkRequest
	var about []wanted
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		answers, err := f.rt.Send(batch...)
		if err != nil {
			return err
		}
		for i, err := range answers {
			f.written(about[i], err)
		}
		batch, about = batch[:0], about[:0]
		return nil
	}
	reach := map[learned]reached{}
	for p := range dirty {
		m, hops := f.message(p, reach)
		if m == nil {
			continue
		}
		batch, about = append(batch, m), append(about, wanted{p, hops})
		if len(batch) == rtnl.MaxBatch {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// wanted is what a message asks for: the route to a destination by hops, or none.
type wanted struct {
	to   netip.Prefix
	hops []hop
}

// written notes the kernel's answer to a message.
func (f *fib) written(a wanted, err error) {
	switch {
	case err == nil && len(a.hops) > 0:
		f.have[a.to] = a.hops
	case err == nil, errors.Is(err, unix.ESRCH):
		delete(f.have, a.to)
	default:
		f.why[a.to] = "the kernel refuses it: " + err.Error()
		f.retry = true
	}
}

// message is the netlink message after which the kernel's route to p has these hops; nil
// if it has them already.
func (f *fib) message(p netip.Prefix, reach map[learned]reached) (m *nl.NetlinkRequest, hops []hop) {
	delete(f.why, p)
	delete(f.silent, p)
	delete(f.held, p)
	hops = f.resolve(p, reach)
	have, there := f.have[p]
	switch {
	case len(hops) == 0 && (!there || f.adopted[p]), slices.Equal(have, hops):
		return nil, nil
	case len(hops) == 0:
		return routeMessage(unix.RTM_DELROUTE, p, nil), nil
	}
	return routeMessage(unix.RTM_NEWROUTE, p, hops), hops
}

// kept is what the kernel does with a route that should be there.
type kept struct {
	missing string // why it is not in the kernel
	held    bool   // it is kept out, as protected traffic would follow it
	unused  string // why the kernel does not use it
}

// tell lists the routes that should be there, and what the kernel does with them.
func (f *fib) tell() map[netip.Prefix]kept {
	out := make(map[netip.Prefix]kept, len(f.best))
	for p := range f.best {
		if len(f.best.paths(p)) == 0 {
			continue
		}
		if _, there := f.have[p]; there {
			out[p] = kept{unused: cmp.Or(f.world.unused(p), f.silent[p])}
			continue
		}
		out[p] = kept{missing: cmp.Or(f.why[p], "the kernel has it not yet"), held: f.held[p]}
	}
	return out
}
