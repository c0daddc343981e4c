//go:build linux

package bgp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/bgp/bfd"
	"github.com/flocknet/flock/internal/bgp/journal"
	"github.com/flocknet/flock/internal/spec"
)

// gcPercent collects garbage at a quarter of the usual growth: the daemon is idle most
// of the time, and memory belongs to the server's own work.
const gcPercent = 25

// Run is the BGP daemon. dir holds what the agent wrote: spec.BGPFile and passwords. The
// daemon listens in sockets, a directory that a reboot empties. log gets one line per
// event that an operator wants to know. Run calls ready when it answers requests, and
// the function that ready returned when it stops to.
//
// It ends with ctx, without a NOTIFICATION: neighbours and kernel keep its routes for
// the next daemon (RFC 4724), unless the server itself shuts down. It also ends by
// spec.BGPEnd, which removes its routes and its sessions. It needs root, and TCP port
// 179.
func Run(ctx context.Context, dir, sockets string, log io.Writer, ready func() (func() error, error)) error {
	debug.SetGCPercent(gcPercent)
	defer unix.Umask(unix.Umask(0o077))
	s, secrets, err := config(dir)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	d := &daemon{dir: dir, sockets: sockets, ready: ready, journal: journal.New(log, unread), moves: make(chan move, 16), ended: make(chan struct{})}
	if d.fib, err = openFIB(dir, func(p netip.Prefix) []learned { return d.speaker.others(p) }, d.journal.Print); err != nil {
		return err
	}
	stopWatching, err := d.watchPeers(ctx, s)
	if err != nil {
		return err
	}
	defer stopWatching()
	marker := filepath.Join(sockets, spec.BGPRunningMarker)
	_, ran := os.Stat(marker)
	restarting := ran == nil || d.fib.adopts()
	if d.speaker, err = openSpeaker(ctx, s, filepath.Join(sockets, spec.BGPAPISocket), d.journal, restarting); err != nil {
		return err
	}
	if err := touch(marker); err != nil {
		return fmt.Errorf("note that a daemon ran: %w", err)
	}
	if err := d.speaker.watch(ctx, d.fib.changes, d.moves); err != nil {
		return err
	}
	d.speaker.expect(s)
	d.here = d.fib.world.here(s.Anycast)
	fibDone := make(chan error, 1)
	go func() { fibDone <- d.fib.run(ctx) }()
	if err := d.meet(ctx, s, secrets); err != nil {
		return err
	}
	go d.follow(ctx, s, restarting)
	if len(s.Neighbors) == 0 {
		d.gathered()
	}
	if err := d.serve(ctx); err != nil {
		return err
	}
	switch {
	case d.isEnded():
	case goingDown():
		err = d.speaker.end(context.WithoutCancel(ctx))
		d.watched.Close()
	default:
		d.watched.Pause(pauseWithin)
	}
	cancel()
	return errors.Join(err, <-fibDone)
}

// daemon is the state of one Run.
type daemon struct {
	dir      string
	sockets  string
	ready    func() (func() error, error)
	journal  *journal.Journal
	watched  *bfd.Watcher
	misses   <-chan bfd.Event
	fib      *fib
	speaker  *speaker
	moves    chan move
	ended    chan struct{} // closed by spec.BGPEnd
	requests sync.Mutex    // held while one is answered, and by turn
	wanted   *spec.BGP     // what the agent wrote and is in use; requests guards it and what follows
	secrets  map[string]string
	here     []netip.Prefix // those of wanted.Anycast that this server has
	vigils   sync.Map       // neighbours whose session ended and that watchOver checks
}

func (d *daemon) isEnded() bool {
	select {
	case <-d.ended:
		return true
	default:
		return false
	}
}

// meet configures the neighbours, then lets them connect: GoBGP would close earlier
// connections.
func (d *daemon) meet(ctx context.Context, s *spec.BGP, secrets map[string]string) error {
	if err := d.apply(ctx, s, secrets); err != nil {
		return err
	}
	return d.speaker.admit(ctx)
}

// apply makes the daemon do what s says.
func (d *daemon) apply(ctx context.Context, s *spec.BGP, secrets map[string]string) error {
	if err := d.speaker.apply(ctx, withHere(s, d.here), secrets); err != nil {
		return err
	}
	d.wanted, d.secrets = s, secrets
	b := bounds{anywhere: map[netip.Addr]bool{}, forced: s.Forced, anycast: s.Anycast}
	for _, n := range s.Neighbors {
		if n.Multihop > 0 {
			b.anywhere[n.Addr] = true
		}
	}
	send(ctx, d.fib.bounds, b)
	return nil
}

// withHere is s, which announces those of its anycast subnets that are here. It refuses
// others' announcements of these alone.
func withHere(s *spec.BGP, here []netip.Prefix) *spec.BGP {
	out := *s
	out.Prefixes = slices.Clone(s.Prefixes)
	for _, p := range s.Anycast {
		if slices.Contains(here, p) {
			out.Prefixes = append(out.Prefixes, p)
		}
	}
	return &out
}

// turn announces the anycast subnets that came, and withdraws those that went. News of
// others than those that are wanted now are old.
func (d *daemon) turn(ctx context.Context, p presence) error {
	d.requests.Lock()
	defer d.requests.Unlock()
	if d.isEnded() || slices.Equal(p.here, d.here) || !slices.Equal(p.of, d.wanted.Anycast) {
		return nil
	}
	d.here = p.here
	return d.speaker.apply(ctx, withHere(d.wanted, p.here), d.secrets)
}

// gathered is called when, after a restart, all neighbours have sent their routes.
func (d *daemon) gathered() {
	d.speaker.restarted()
	d.sweep()
}

// sweep removes the routes of the daemon before this one that were not confirmed.
func (d *daemon) sweep() {
	select {
	case d.fib.sweeps <- struct{}{}:
	default: // one is waiting already
	}
}

// follow handles sessions that come up and go down. Routes of the daemon before this one
// stay until all neighbours have sent theirs, at most for the restart time. GoBGP
// announces nothing before that, at most for the deferral.
func (d *daemon) follow(ctx context.Context, s *spec.BGP, restarting bool) {
	end := time.NewTimer(time.Duration(restartTime(s)) * time.Second)
	defer end.Stop()
	silence := time.NewTimer(deferral(s))
	defer silence.Stop()
	passive := time.NewTimer(passiveFor)
	defer passive.Stop()
	hold := time.Duration(s.Hold) * time.Second
	urge := time.NewTicker(hold / 3)
	defer urge.Stop()
	told, taken := map[netip.Addr]int{}, intakes{}
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-end.C:
			d.sweep()
		case <-silence.C:
			d.speaker.restarted()
		case <-passive.C:
			if restarting {
				err = d.speaker.seek(ctx)
			}
		case addr := <-d.journal.Silent:
			err = d.speaker.lost(ctx, addr)
		case now := <-urge.C:
			err = d.urge(ctx, taken, now, hold)
		case e := <-d.misses:
			err = d.missed(ctx, e)
		case p := <-d.fib.here:
			err = d.turn(ctx, p)
		case m := <-d.moves:
			err = d.moved(ctx, m, told)
		}
		if err != nil && ctx.Err() == nil {
			d.journal.Print("sessions: %v", err)
		}
	}
}

// moved handles one event of a session. told counts the address families whose routes
// the neighbour has sent in full.
func (d *daemon) moved(ctx context.Context, m move, told map[netip.Addr]int) error {
	if !m.all {
		d.watched.Met(m.addr, m.up)
		if d.speaker.state(m.addr, m.up) {
			d.watchOver(ctx, m.addr)
		}
		if !m.up || !d.speaker.isRestarting() {
			return nil
		}
		keeps, families, err := d.speaker.negotiated(ctx, m.addr)
		if err != nil || families == 0 || keeps {
			return err
		}
		// Such a neighbour sends no End-of-RIB, and has dropped our routes.
		if d.speaker.arrived(m.addr) {
			d.gathered()
		}
		// Only neighbours that keep our routes meanwhile have to wait.
		return d.speaker.tell(ctx, m.addr)
	}
	told[m.addr]++
	_, families, err := d.speaker.negotiated(ctx, m.addr)
	if err == nil && told[m.addr] >= families && d.speaker.arrived(m.addr) {
		d.gathered()
	}
	return err
}

// goingDown says whether the server is shutting down: then no next daemon takes over the
// routes. Without systemd nobody can tell; the answer is no.
func goingDown() bool {
	out, err := exec.Command("systemctl", "is-system-running").Output()
	return strings.TrimSpace(string(out)) == "stopping" && err != nil
}

func readJSON(path string, v any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read the configuration: %w", err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("read the configuration %s: %w", path, err)
	}
	return nil
}

// touch makes an empty file at path, and follows no link there.
func touch(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}
