//go:build linux

package bgp

import (
	"context"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// A neighbour that says that it lives and takes nothing of what it is told keeps its
// session without end: GoBGP waits for it (v4.8.0, sendMessageloop), and keeps all that
// it has to say meanwhile. RFC 9687 bounds that by a send hold timer.

// tookNothing is why such a session ends.
const tookNothing = "it took nothing of what it was told for twice the hold time"

// intake is how much a neighbour had taken, and since when no more.
type intake struct {
	octets uint64
	since  time.Time
}

// intakes are those of the neighbours that have something to take.
type intakes map[netip.Addr]intake

// look notes what neighbours took until now, and returns those that took nothing for the
// time given.
func (t intakes) look(now time.Time, most time.Duration) (stuck []netip.Addr, err error) {
	all, err := descriptors()
	if err != nil {
		return nil, err
	}
	waiting := map[netip.Addr]bool{}
	for _, fd := range all {
		at, err := unix.Getpeername(fd)
		addr, _ := addrPort(at)
		if err != nil || !addr.IsValid() {
			continue
		}
		octets, more := taken(fd)
		if !more {
			continue
		}
		waiting[addr] = true
		if had, ok := t[addr]; !ok || had.octets != octets {
			t[addr] = intake{octets, now}
		}
		if now.Sub(t[addr].since) >= most {
			stuck = append(stuck, addr)
		}
	}
	for addr := range t {
		if !waiting[addr] {
			delete(t, addr)
		}
	}
	return stuck, nil
}

// urge ends the sessions of neighbours that take nothing.
func (d *daemon) urge(ctx context.Context, t intakes, now time.Time, hold time.Duration) error {
	stuck, err := t.look(now, 2*hold)
	for _, addr := range stuck {
		if !d.speaker.isUp(addr) {
			continue
		}
		delete(t, addr)
		d.journal.ended(addr, tookNothing)
		d.journal.print("neighbor %s: %s", addr, tookNothing)
		if err := d.speaker.lost(ctx, addr); err != nil {
			return err
		}
	}
	return err
}
