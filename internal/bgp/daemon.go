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
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/spec"
)

// gcPercent has garbage collected at a quarter of the usual growth: a daemon that
// mostly waits has time for it, and servers' memory is not its own.
const gcPercent = 25

// Run is the BGP daemon. In dir is what the agent wrote: spec.BGPFile and passwords;
// in sockets, which does not outlive a reboot, it listens; log gets a line per thing
// that an operator wants to know. It calls ready when it takes orders, and what that
// returned when it does not any more.
//
// It ends when ctx does, without a word to the neighbours: they and the kernel keep
// its routes for the next daemon (RFC 4724), unless the server itself goes down; or
// by spec.BGPEnd, and then nothing of it remains. It needs root, and TCP port 179.
func Run(ctx context.Context, dir, sockets string, log io.Writer, ready func() (func() error, error)) error {
	debug.SetGCPercent(gcPercent)
	defer unix.Umask(unix.Umask(0o077))
	s, secrets, err := config(dir)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	d := &daemon{dir: dir, sockets: sockets, ready: ready, journal: newJournal(log), moves: make(chan move, 16), ended: make(chan struct{})}
	if d.fib, err = openFIB(dir, func(p netip.Prefix) []learned { return d.speaker.others(p) }, d.journal.print); err != nil {
		return err
	}
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
	if !d.isEnded() && goingDown() {
		err = d.speaker.end(context.WithoutCancel(ctx))
	}
	cancel()
	return errors.Join(err, <-fibDone)
}

// daemon is what Run keeps together.
type daemon struct {
	dir      string
	sockets  string
	ready    func() (func() error, error)
	journal  *journal
	fib      *fib
	speaker  *speaker
	moves    chan move
	ended    chan struct{} // closed by spec.BGPEnd
	requests sync.Mutex    // held while one is answered
	vigils   sync.Map      // neighbours whose session ended and that are looked after
}

func (d *daemon) isEnded() bool {
	select {
	case <-d.ended:
		return true
	default:
		return false
	}
}

// meet begins to talk. The neighbours are known before they are let in: who comes
// earlier would be turned away.
func (d *daemon) meet(ctx context.Context, s *spec.BGP, secrets map[string]string) error {
	if err := d.apply(ctx, s, secrets); err != nil {
		return err
	}
	return d.speaker.admit(ctx)
}

// apply takes s up.
func (d *daemon) apply(ctx context.Context, s *spec.BGP, secrets map[string]string) error {
	if err := d.speaker.apply(ctx, s, secrets); err != nil {
		return err
	}
	b := bounds{anywhere: map[netip.Addr]bool{}, forced: s.Forced}
	for _, n := range s.Neighbors {
		if n.Multihop > 0 {
			b.anywhere[n.Addr] = true
		}
	}
	send(ctx, d.fib.bounds, b)
	return nil
}

// gathered is called when there is nobody left to wait for after a restart.
func (d *daemon) gathered() {
	d.speaker.restarted()
	d.sweep()
}

// sweep ends the time in which the routes of the daemon before this one stay.
func (d *daemon) sweep() {
	select {
	case d.fib.sweeps <- struct{}{}:
	default: // one is under way
	}
}

// follow does what has to follow from sessions' ups and downs. Routes of the daemon
// before this one stay until all neighbours told theirs, but no longer than the
// restart time; and so long, but no longer than the deferral, GoBGP tells nothing.
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
		case addr := <-d.journal.silent:
			err = d.speaker.lost(ctx, addr)
		case now := <-urge.C:
			err = d.urge(ctx, taken, now, hold)
		case m := <-d.moves:
			err = d.moved(ctx, m, told)
		}
		if err != nil && ctx.Err() == nil {
			d.journal.print("sessions: %v", err)
		}
	}
}

// moved takes up one thing about a session. Told counts the families that a
// neighbour told all routes of.
func (d *daemon) moved(ctx context.Context, m move, told map[netip.Addr]int) error {
	if !m.all {
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
		// It will not say when it told all, and has dropped our routes.
		if d.speaker.arrived(m.addr) {
			d.gathered()
		}
		// What is held back is for those that keep our routes meanwhile.
		return d.speaker.tell(ctx, m.addr)
	}
	told[m.addr]++
	_, families, err := d.speaker.negotiated(ctx, m.addr)
	if err == nil && told[m.addr] >= families && d.speaker.arrived(m.addr) {
		d.gathered()
	}
	return err
}

// goingDown says whether the server is about to stop: then there will be no daemon
// that takes the routes up. Who has no systemd cannot be asked.
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

// touch makes an empty file at path, which is no link of somebody else's.
func touch(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}
