//go:build linux

package bgp

import (
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/rtnl"
)

// A next hop that is not the neighbour itself may be an address that nobody has. Its
// route is added only when the kernel knows the link address of the next hop (ARP, RFC
// 4861); the daemon has the kernel resolve it.

// Pauses before the neighbour tables are read again for next hops without an answer:
// each is twice the one before. After the last one the usual retry goes on.
const (
	askedFirst = 10 * time.Millisecond
	askedLast  = 2 * time.Second
)

// asking is what the kernel's neighbour tables say about next hops.
type asking struct {
	states map[hop]int // NUD_…, as of the last look; nil: not looked yet
	asked  map[hop]bool
	again  *time.Timer
	wait   time.Duration
}

func newAsking() asking {
	a := asking{asked: map[hop]bool{}, again: time.NewTimer(time.Hour)}
	a.again.Stop()
	return a
}

// look forgets the states; they are read again when they are needed.
func (a *asking) look() { a.states = nil }

// valid are the states in which the kernel knows a neighbour's address, or needs none
// (linux, NUD_VALID).
const valid = unix.NUD_PERMANENT | unix.NUD_NOARP | unix.NUD_REACHABLE | unix.NUD_PROBE | unix.NUD_STALE | unix.NUD_DELAY

// answers says whether the kernel knows the link address of h. If not, the kernel is
// asked to resolve it, and the tables are read again soon.
func (f *fib) answers(h hop) bool {
	a := &f.asking
	if a.states == nil {
		a.states = map[hop]int{}
		list, err := rtnl.Dump(func() ([]netlink.Neigh, error) { return f.handle.NeighList(0, 0) })
		if err != nil {
			f.print("list neighbours: %v", err)
		}
		for _, n := range list {
			if ip, ok := netip.AddrFromSlice(n.IP); ok {
				a.states[hop{ip.Unmap(), n.LinkIndex}] = n.State
			}
		}
	}
	state := a.states[h]
	if state&valid != 0 {
		delete(a.asked, h)
		return true
	}
	if state&unix.NUD_INCOMPLETE == 0 {
		f.ask(h)
	}
	switch {
	case !a.asked[h]:
		a.asked[h], a.wait = true, askedFirst
	case a.wait < askedLast:
		a.wait *= 2
	default:
		return false
	}
	a.again.Reset(a.wait)
	return false
}

// ask has the kernel resolve h (NTF_USE, linux neigh_add). If that fails, the next retry
// asks again.
func (f *fib) ask(h hop) {
	family := netlink.FAMILY_V4
	if h.via.Is6() {
		family = netlink.FAMILY_V6
	}
	_ = f.handle.NeighSet(&netlink.Neigh{LinkIndex: h.dev, Family: family, Flags: unix.NTF_USE, IP: h.via.AsSlice()})
}
