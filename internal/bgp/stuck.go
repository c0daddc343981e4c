//go:build linux

package bgp

import (
	"context"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// A neighbour may send keepalives and read nothing. GoBGP then waits for it without end
// (v4.8.0, sendMessageloop), and keeps in memory all that it has to send. RFC 9687
// bounds that by a send hold timer.

// tookNothing is the reason for the end of such a session.
const tookNothing = "it took nothing of what it was told for twice the hold time"

// intake is how many bytes a neighbour had acknowledged, and since when that number
// stands still.
type intake struct {
	octets uint64
	since  time.Time
}

// intakes are those of the neighbours with unacknowledged data.
type intakes map[netip.Addr]intake

// look notes what the neighbours have acknowledged, and returns those that acknowledged
// nothing for the given time.
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

// urge ends the sessions of neighbours that read nothing.
func (d *daemon) urge(ctx context.Context, t intakes, now time.Time, hold time.Duration) error {
	stuck, err := t.look(now, 2*hold)
	for _, addr := range stuck {
		if !d.speaker.isUp(addr) {
			continue
		}
		delete(t, addr)
		d.journal.Ended(addr, tookNothing)
		d.journal.Print("neighbor %s: %s", addr, tookNothing)
		if err := d.speaker.lost(ctx, addr); err != nil {
			return err
		}
	}
	return err
}
