//go:build linux

package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/attach"
	"github.com/flocknet/flock/internal/agent/bgpctl"
	"github.com/flocknet/flock/internal/agent/family"
	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/probe"
	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/wire"
)

// Serve answers requests from in on out, one session long, until in ends. first is the JSON of
// a request that comes before those of in; nil: none. A change
// that was applied and not confirmed is undone when its time is over, when in ends
// and when ctx does: Serve returns after that, even if nobody listens any more.
// The error is what could not be undone, or bytes that are no request.
func Serve(ctx context.Context, in io.Reader, out io.Writer, version string, first []byte) error {
	host.CalmMonitor()
	defer unix.Umask(unix.Umask(fileMask))
	s := &session{version: version, first: first, paths: host.ServerPaths(), kernels: map[string]*Kernel{}, made: map[string]string{}}
	if f, ok := out.(*os.File); ok {
		out = pipe{int(f.Fd()), &s.gone}
	}
	greeting := version
	if first != nil {
		greeting += wire.Took
	}
	if err := wire.Greet(out, greeting); err != nil {
		return fmt.Errorf("greet: %w", err)
	}
	s.conn = wire.NewConn(s.silence.Reader(in), out)
	return errors.Join(s.run(ctx), s.end())
}

// missedBeats is after how many beats without a byte from the workstation a session ends:
// within 30 s. A session that nobody is behind must not keep the server's lock.
const missedBeats = 5

var errSilent = errors.New("the workstation shows no sign of life")

// fileMask lets dnsmasq, which runs as nobody, reach its files on servers whose
// logins have a narrower one. Secrets are written with a mode of their own.
const fileMask = 0o022

// changing says whether r leaves something to put right should the session end in
// the middle. What can cut nobody off (spec.CanCutOff) does not: some of it is there
// then, the server is pending, and the next apply brings the rest.
func (s *session) changing(r spec.Request) bool {
	switch r.Op {
	case spec.OpKeys, spec.OpPurge, spec.OpHandshake:
		return true
	case spec.OpApply:
		if r.Want == nil {
			return false // and refused
		}
		k := s.kernels[r.Want.Cluster]
		return !r.Settle || k == nil || k.outlook == nil || k.outlook.want.Sum() != r.Want.Sum() || spec.CanCutOff(family.Steps(k.outlook.ops))
	}
	return false
}

// guard makes the signals of a connection that breaks harmless, from the first
// request on that changes something: the undo must run. SIGINT and SIGTERM end the
// context returned, and with it the work, in good order; a second one the process.
// They are caught, not ignored, because programs that we start inherit what is
// ignored. Other sessions go without: every signal that is to be caught wakes two
// threads, several times (0.2 ms in all).
func (s *session) guard(ctx context.Context) context.Context {
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, syscall.SIGHUP, syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	s.unguard = func() {
		stop()
		signal.Stop(caught)
	}
	return ctx
}

// session is one connection's requests. Its methods run on one goroutine.
type session struct {
	conn    *wire.Conn
	version string
	first   []byte // a request that came with the start; nil: none, or it was taken
	message []byte // the request that is answered
	paths   host.Paths
	kernels map[string]*Kernel // by cluster, open
	lock    *host.Lock         // held from the first plan to the end
	agreed  string             // sum of the last spec that was planned without a problem
	armed   *undo
	taker   probe.Listeners   // of other members' data
	tap     int               // the packet socket of a trace; 0: none
	below   *probe.Underlay   // what is heard below all networks; nil: nothing
	caught  [2]*probe.Capture // packets of a device; nil: none are taken
	made    map[string]string // key files of this session that no apply has named, with their devices
	told    time.Time         // of the last progress
	unguard func()            // puts signals back as they were; nil: they are

	silence wire.Vigil  // over the workstation
	gone    atomic.Bool // the workstation is silent: nothing is sent to it any more
}

// growStack makes room for the deepest calls at once, while there is little on the stack: Go
// doubles it as it needs, from 2 KB, and copies each time what is on it, frame by frame (0.4 ms
// in a session that finds nothing to do). A netlink.Handle reads into 64 KB on the stack.
//
//go:noinline
func growStack() {
	var room [72 << 10]byte
	runtime.KeepAlive(&room)
}

func (s *session) run(ctx context.Context) error {
	growStack()
	// present ends with in: nobody waits for an answer any more.
	present, leave := context.WithCancel(ctx)
	defer leave()
	requests, ended, silent := make(chan []byte), make(chan error, 1), make(chan struct{})
	s.silence.Begin(host.Beat, func(missed int) {
		if missed >= missedBeats && !s.gone.Swap(true) {
			close(silent)
			leave()
		}
	})
	defer s.silence.End()
	go func() {
		defer leave()
		for {
			body, err := s.receive()
			if err != nil {
				ended <- err
				return
			}
			if string(body) == spec.Alive {
				continue
			}
			select {
			case requests <- body:
			case <-present.Done():
				return
			}
		}
	}()
	for {
		select {
		case s.message = <-requests: // read here, where the stack has grown
			var r spec.Request
			if err := wire.Read(s.message, &r); err != nil {
				return errors.Join(err, s.goBack(ctx))
			}
			if s.unguard == nil && s.changing(r) {
				ctx = s.guard(ctx)
				context.AfterFunc(ctx, leave)
			}
			s.answer(ctx, present, r)
		case <-s.armed.expired():
			if err := s.goBack(ctx); err != nil {
				return err
			}
		case err := <-ended:
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return errors.Join(err, s.goBack(ctx))
		case <-silent:
			return errors.Join(errSilent, s.goBack(ctx))
		case <-ctx.Done():
			return s.goBack(ctx)
		}
	}
}

// receive is the next request's JSON.
func (s *session) receive() ([]byte, error) {
	first := s.first
	if s.first = nil; first != nil {
		return first, nil
	}
	return s.conn.Next()
}

func (s *session) end() error {
	if s.unguard != nil {
		defer s.unguard()
	}
	s.taker.Close()
	s.below.Close()
	if s.tap > 0 {
		unix.Close(s.tap) //nolint:errcheck // nothing is lost
	}
	s.caught[0].Close()
	s.caught[1].Close()
	var errs []error
	for _, k := range s.kernels {
		errs = append(errs, k.Close())
	}
	errs = append(errs, s.dropKeys())
	if s.lock != nil {
		errs = append(errs, s.lock.Release(!sysfile.Exists(s.paths.Lib)))
	}
	return errors.Join(errs...)
}

// answer sends exactly one final reply, and before it a sign of life at every beat. What
// nobody waits for any more is given up, but for what has no way back.
func (s *session) answer(ctx, present context.Context, r spec.Request) {
	s.told = time.Now()
	var working wire.Vigil
	working.Begin(host.Beat, func(int) { s.send(&spec.Reply{}) })
	defer working.End()
	if r.Op != spec.OpPurge && r.Op != spec.OpConfirm {
		ctx = present
	}
	ctx, cancel := context.WithTimeout(ctx, requestWithin)
	defer cancel()
	reply, err := s.handle(ctx, present, r)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil {
		err = fmt.Errorf("%s: not done within %v: %w", r.Op, requestWithin, err)
	}
	working.End()
	if err != nil {
		reply = &spec.Reply{Error: host.Problem(err)}
	}
	reply.Done = true
	s.send(reply)
}

// send gives up silently when nobody listens: the end of in follows.
func (s *session) send(reply *spec.Reply) { _ = s.conn.Send(reply) }

// progressEvery bounds what a thousand small steps cost: nobody reads faster. What is
// over before tells nothing but the end.
const progressEvery = 50 * time.Millisecond

func (s *session) progress(line string) {
	if now := time.Now(); now.Sub(s.told) >= progressEvery {
		s.told = now
		s.send(&spec.Reply{Progress: line})
	}
}

func (s *session) handle(ctx, present context.Context, r spec.Request) (reply *spec.Reply, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = errors.Join(panicError(v), s.goBack(ctx))
		}
	}()
	if r.Op == spec.OpFacts {
		return s.facts(ctx, r)
	}
	if r.Op == spec.OpConfirm {
		return s.confirm(ctx)
	}
	if r.Want == nil {
		return nil, fmt.Errorf("%s: the request lacks a spec", r.Op)
	}
	if err := spec.CheckName("cluster", r.Want.Cluster); err != nil {
		return nil, err
	}
	if reply, err := s.look(ctx, r); reply != nil || err != nil {
		return reply, err
	}
	if r.Op == spec.OpStatus {
		return s.status(ctx, r)
	}
	if r.Op == spec.OpPlan && s.lock == nil {
		if err := s.learnNew(ctx, r.Want); err != nil {
			return nil, err
		}
	}
	if r.Op == spec.OpPlan && r.Look {
		return s.plan(ctx, r, (*Kernel).Plan)
	}
	if err := s.take(present, r.Holder, r.Change); errors.Is(err, host.ErrTwin) && r.Op == spec.OpPlan {
		return &spec.Reply{Plan: &spec.Plan{Problems: []spec.Problem{*host.Problem(err)}}}, nil
	} else if err != nil {
		return nil, err
	}
	switch r.Op {
	case spec.OpPlan:
		return s.plan(ctx, r, (*Kernel).Plan)
	case spec.OpApply:
		return s.apply(ctx, r)
	case spec.OpKeys:
		return s.keys(r)
	case spec.OpHandshake:
		return s.handshake(ctx, r)
	case spec.OpPurge:
		return s.purge(ctx, r.Want.Cluster)
	}
	return nil, fmt.Errorf("%q is no operation of this agent (%s)", r.Op, s.version)
}

// look answers what takes no lock and plans nothing; nil is the answer to anything else.
func (s *session) look(ctx context.Context, r spec.Request) (*spec.Reply, error) {
	switch r.Op {
	case spec.OpBGP:
		status, err := bgpctl.Status(ctx, host.NewFiles(r.Want.Cluster), r.BGP)
		return &spec.Reply{BGP: status}, err
	case spec.OpNets:
		return s.containers(r)
	case spec.OpProbe:
		return s.probe(ctx, r)
	case spec.OpMeasure:
		return measure(ctx, r)
	case spec.OpBulk:
		return s.bulk(ctx, r)
	case spec.OpUnderlay:
		return s.underlay(ctx, r)
	case spec.OpDoctor:
		return s.doctor(ctx, r)
	case spec.OpTrace:
		return s.trace(ctx, r)
	case spec.OpCapture:
		return s.capture(ctx, r.Capture)
	case spec.OpCopies:
		copies, err := s.paths.Copies(r.Want.Cluster)
		return &spec.Reply{Copies: copies}, err
	}
	return nil, nil
}

// take gets the server's lock, once per session.
func (s *session) take(ctx context.Context, holder, change string) error {
	if s.lock != nil {
		return nil
	}
	if holder == "" {
		holder = "somebody"
	}
	waiting := func(other string) { s.send(&spec.Reply{Progress: "waiting for " + other}) }
	l, err := host.TakeLock(ctx, s.paths.LockPath(), holder, change, host.LockWithin, waiting)
	if err != nil {
		return err
	}
	s.lock = l
	return nil
}

func (s *session) kernel(cluster string) (*Kernel, error) {
	if k := s.kernels[cluster]; k != nil {
		return k, nil
	}
	k, err := Open(cluster)
	if err != nil {
		return nil, err
	}
	s.kernels[cluster] = k
	return k, nil
}

func (s *session) containers(r spec.Request) (*spec.Reply, error) {
	k, err := s.kernel(r.Want.Cluster)
	if err != nil {
		return nil, err
	}
	leased, err := k.DHCP.Leased(time.Now())
	if err != nil {
		return nil, err
	}
	found, err := attach.List(k.Host, leased)
	return &spec.Reply{Containers: found}, err
}
