//go:build linux

package bgp

import (
	"context"
	"path/filepath"
	"time"

	"github.com/flocknet/flock/internal/bgp/bfd"
	"github.com/flocknet/flock/internal/spec"
)

// pauseWithin bounds how long neighbours may take to hear that this daemon restarts. A
// packet that is lost is repeated.
const pauseWithin = time.Second

// watchPeers continues the BFD sessions of the daemon before, as the first thing that a
// daemon does. The sessions outlive ctx
// until stop: neighbours are still to be told of the restart.
func (d *daemon) watchPeers(ctx context.Context, s *spec.BGP) (stop func(), err error) {
	ctx, stop = context.WithCancel(context.WithoutCancel(ctx))
	if d.watched, d.misses, err = bfd.Open(ctx, filepath.Join(d.sockets, spec.BFDFile)); err != nil {
		stop()
		return nil, err
	}
	d.watch(s)
	return stop, nil
}

// watch watches the neighbours that s has watched. BGP goes on without BFD where that cannot
// be.
func (d *daemon) watch(s *spec.BGP) {
	if err := d.watched.Set(bfd.Peers(s)); err != nil {
		d.journal.Print("not all neighbors are watched: %v", err)
	}
}

// missed handles a change of a BFD session. Who restarts has no BGP session: that its BFD
// stops then is no news, unless it said that it would not (RFC 5882, 4.3).
func (d *daemon) missed(ctx context.Context, e bfd.Event) error {
	if e.Up {
		d.journal.Print("neighbor %s: BFD is up", e.Addr)
		return nil
	}
	d.journal.Print("neighbor %s: BFD is down, %s", e.Addr, e.Why)
	if !e.Failed || !e.Alone && !d.speaker.isUp(e.Addr) {
		return nil
	}
	d.journal.Ended(e.Addr, "BFD: "+e.Why)
	d.watched.Met(e.Addr, false)
	return d.speaker.lost(ctx, e.Addr)
}
