//go:build linux

package bgp

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/flocknet/flock/internal/rtnl"
	"golang.org/x/sys/unix"
)

// RFC 4724 takes a session that ends without a NOTIFICATION for a restart, and keeps the
// neighbour's routes for its restart time. But a server that is shut down closes its
// connections in the same way. To tell the two apart, the daemon asks for the
// neighbour's link address (ARP, neighbour solicitation): a server that restarts only
// its daemon answers, whatever its packet filter says.

const (
	vigilPause = 500 * time.Millisecond
	// vigilRest is the pause while the neighbour is there.
	vigilRest = 2 * time.Second
)

// watchOver starts the checks of a neighbour whose session ended, unless they run
// already. They end when the session comes up again, when the neighbour is removed or
// does not answer, or after the restart time, when GoBGP itself drops the routes.
func (d *daemon) watchOver(ctx context.Context, addr netip.Addr) {
	if _, busy := d.vigils.LoadOrStore(addr, true); busy {
		return
	}
	d.speaker.mu.Lock()
	patience := time.Duration(restartTime(d.speaker.running)) * time.Second
	d.speaker.mu.Unlock()
	go func() {
		defer d.vigils.Delete(addr)
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		if d.vigil(ctx, addr) {
			send(ctx, d.journal.Silent, addr)
		}
	}()
}

// vigil says whether the neighbour stopped answering before its session came up again.
func (d *daemon) vigil(ctx context.Context, addr netip.Addr) (gone bool) {
	pause := time.NewTimer(vigilPause)
	defer pause.Stop()
	asked := false
	for {
		select {
		case <-ctx.Done():
			return false
		case <-pause.C:
		}
		if d.speaker.isUp(addr) {
			return false
		}
		n, err := entryOf(addr)
		next := vigilPause
		switch {
		case err != nil:
			d.journal.Print("neighbor %s: %v", addr, err)
			return false
		case n == nil, n.State&(unix.NUD_NOARP|unix.NUD_PERMANENT) != 0:
			return false // behind a router or a tunnel: ARP cannot tell
		case n.State == unix.NUD_FAILED:
			return true
		case n.State&(unix.NUD_PROBE|unix.NUD_INCOMPLETE) != 0:
		case asked && n.State == unix.NUD_REACHABLE:
			asked, next = false, vigilRest
		default:
			// The entry may be old: ask three times, one second apart.
			n.State, asked = unix.NUD_PROBE, true
			if err := netlink.NeighSet(n); err != nil {
				d.journal.Print("neighbor %s: ask whether it is there: %v", addr, err)
				return false
			}
		}
		pause.Reset(next)
	}
}

// entryOf is a neighbour's entry in the kernel's table; nil if it has none.
func entryOf(addr netip.Addr) (*netlink.Neigh, error) {
	family := netlink.FAMILY_V6
	if addr.Is4() {
		family = netlink.FAMILY_V4
	}
	list, err := rtnl.Dump(func() ([]netlink.Neigh, error) { return netlink.NeighList(0, family) })
	if err != nil {
		return nil, fmt.Errorf("list the kernel's neighbours: %w", err)
	}
	for _, n := range list {
		if ip, ok := netip.AddrFromSlice(n.IP); ok && ip.Unmap() == addr {
			return &n, nil
		}
	}
	return nil, nil
}

func (sp *speaker) isUp(addr netip.Addr) bool {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	return sp.up[addr]
}
