package remote

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/wire"
)

// Exit statuses of a shell that finds no agent (POSIX, 2.8.2), and the one of our own
// script below sudo, which has no such convention.
const (
	exitNotExecutable = 126
	exitNotFound      = 127
	exitNoAgent       = 97
)

// closing is how long Close waits for a local agent to end.
const closing = 2 * time.Second

// missingError means that the server does not have the right agent. said is what it printed.
type missingError struct{ why, said string }

func (e *missingError) Error() string { return e.why }

// Session is a running agent on a server. One goroutine at a time uses it.
type Session struct {
	c    *Conn
	proc *process
	wire *wire.Conn
	took *spec.Request // travelled with the agent's start, and was not asked for yet; nil: none
	watch
}

// Agent starts the agent, by a single exec if it is installed. If it is missing, or of
// another version, it is uploaded over the same connection first. ctx bounds this call
// alone. Errors wrap ErrAgent, ErrSudo or ErrUnreachable.
func (c *Conn) Agent(ctx context.Context) (*Session, error) {
	first, strange := c.d.program(c.target.build()), c.link != nil && c.target.Arch == ""
	if strange {
		c.link.prepare(contactSessions)
		defer c.link.dropSpare()
	}
	s, err := c.serve(ctx, first, strange)
	if !absent(err) && !errors.Is(err, ErrAgent) {
		return s, err
	}
	c.d.say(c.target, "no agent yet: %v", err)
	on, probeErr := c.probedBy(ctx, err)
	switch {
	case !absent(err) && !errors.Is(probeErr, errBound):
		return nil, err
	case probeErr != nil:
		return nil, probeErr
	}
	before := c.dir()
	c.target.Place = on.place
	p := c.d.program(Build{on.arch, c.target.Variant})
	if p != first || c.dir() != before {
		if s, err := c.serve(ctx, p, false); !absent(err) {
			return s, err
		}
	}
	if err := c.install(ctx, p, on); err != nil {
		return nil, err
	}
	s, err = c.serve(ctx, p, false)
	if absent(err) {
		return nil, c.agentError("start agent", err)
	}
	return s, err
}

// absent says that an agent has to be found or installed first. If the architecture was
// only guessed, a missing program for it is no error yet.
func absent(err error) bool {
	var missing *missingError
	return errors.As(err, &missing)
}

// serve starts p on the server and waits for its greeting. A server that is strange and does
// not have it answers at once what probe would ask.
func (c *Conn) serve(ctx context.Context, p *program, strange bool) (s *Session, err error) {
	wanted, err := p.version()
	if err != nil {
		if !c.target.local() { // its architecture is guessed, or known from last time
			return nil, &missingError{why: err.Error()}
		}
		return nil, hint.With(err, c.target.where(), "")
	}
	agent := c.dir() + "/" + wanted + "/flock"
	if c.root == isRoot && !strange {
		s, err := c.greeted(ctx, wanted, oneProcessor+" "+agent+" agent serve")
		if !errors.Is(err, errShell) {
			return s, err
		}
	}
	err = c.rooted(func() error {
		script := quote(fmt.Sprintf("%s[ -x %s ] || exit %d; exec %s agent serve", c.begins(), agent, exitNoAgent, agent))
		if strange {
			script = oneLine(fmt.Sprintf("%s[ ! -x %s ] || exec %s agent serve\n%s\nexit %d", c.begins(), agent, agent, c.probeScript(), exitNoAgent))
		}
		s, err = c.greeted(ctx, wanted, "sh -c "+script)
		return err
	})
	return s, err
}

// oneProcessor keeps Go from making threads before main begins in the agent (a twentieth
// of its processor time). It needs a POSIX shell as the login's shell, which all are
// except csh and fish before 3.1; their error message names it. A restricted one (rbash) runs
// nothing by its path.
const oneProcessor = "GOMAXPROCS=1"

var errShell = errors.New("the login's shell takes no assignment before a command")

// greeted runs the one exec of a command whose agent is installed.
func (c *Conn) greeted(ctx context.Context, wanted, command string) (*Session, error) {
	ctx, patience := newPatience(ctx, c.d.timeout())
	defer patience.end()
	proc, err := c.start(ctx, patience, command, ahead(c.target.First))
	if err != nil {
		return nil, fmt.Errorf("start agent: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { proc.abort(context.Cause(ctx)) })
	defer stop()
	out := bufio.NewReader(proc.out)
	version, noise, err := wire.AwaitGreeting(out)
	if err != nil {
		return nil, c.noGreeting(ctx, proc, noise, err)
	}
	s := &Session{c: c, proc: proc}
	if has, ok := strings.CutSuffix(version, wire.Took); ok {
		version, s.took = has, c.target.First
	}
	if version != wanted {
		return nil, errors.Join(&missingError{why: fmt.Sprintf("agent of version %q answered, wanted %s", version, wanted)}, s.Close())
	}
	s.begin(out)
	return s, nil
}

// ahead is a request as it travels with an agent's start; "": it does not. What has secrets, or
// changes something, never does.
func ahead(req *spec.Request) string {
	if req == nil || !slices.Contains([]string{spec.OpPlan, spec.OpStatus, spec.OpFacts}, req.Op) {
		return ""
	}
	for _, secret := range req.Secrets {
		if secret != "" {
			return ""
		}
	}
	return wire.Pack(req)
}

func (c *Conn) noGreeting(ctx context.Context, proc *process, noise []byte, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		next := ""
		if errors.Is(cause, ErrUnreachable) { // a login that is bound to a command may wait for its input
			next = c.there("echo ok")
			if said := lastLine(string(noise)); said != "" {
				cause = fmt.Errorf("%w; it said %q", cause, said)
			}
		}
		return hint.With(fmt.Errorf("start agent: %w", cause), c.target.where(), next)
	}
	if !errors.Is(err, io.EOF) { // it answers, but not as an agent
		proc.abort(err)
		return c.agentError("start agent", fmt.Errorf("%w; it said %q", err, lastLine(string(noise))))
	}
	status, waitErr := proc.wait()
	began, said := begun(proc.stderr.String())
	switch {
	case status > 0 && (strings.Contains(proc.stderr.String(), oneProcessor) || strings.Contains(proc.stderr.String(), ": restricted: ")):
		return errShell
	case status == exitNoAgent, (c.root == isRoot || began) && (status == exitNotFound || status == exitNotExecutable):
		return &missingError{why: cmp.Or(lastLine(said), "not installed"), said: string(noise)}
	case status == 0: // an empty file runs, as an empty script
		return &missingError{why: fmt.Sprintf("what is in its place said %q and ended", lastLine(string(noise)))}
	case damaged(status, waitErr):
		return &missingError{why: cmp.Or(waitErr, fmt.Errorf("it ended with status %d", status)).Error()}
	}
	return c.ended("start agent", proc, status, waitErr)
}

// damaged says whether a program ended as an incomplete file does.
func damaged(status int, err error) bool {
	var signal signalError
	if errors.As(err, &signal) {
		return slices.Contains([]string{"SEGV", "BUS", "ILL"}, string(signal))
	}
	// A shell in between says 128 and the signal's number, the same on all
	// architectures of Linux that we run on.
	return slices.Contains([]int{128 + 11, 128 + 7, 128 + 4}, status)
}

// ended is the error for a command that ended too early or badly.
func (c *Conn) ended(verb string, proc *process, status int, err error) error {
	said := complaint(proc.stderr.String())
	if refused := c.refusedRoot(status, proc.stderr.String()); refused != nil {
		return refused
	}
	switch {
	case status == lost && errors.Is(err, ErrUnreachable):
		return hint.With(fmt.Errorf("%s: %w", verb, err), c.target.where(), "")
	case status == lost:
		return c.agentError(verb, cmp.Or(err, errors.New("it was killed")))
	case said == "":
		return c.agentError(verb, fmt.Errorf("exit status %d", status))
	}
	return c.agentError(verb, fmt.Errorf("exit status %d: %s", status, said))
}

// errBound is of a login that runs no commands that it is told.
var errBound = fmt.Errorf("%w: it runs something else than it is told (ForceCommand, a shell that is none or a restricted one)", ErrAgent)

// mostSaid is how many bytes of what it said are shown.
const mostSaid = 80

// bound is the error of such a login, and what it said instead.
func (c *Conn) bound(said string) error {
	if len(said) > mostSaid { // it repeats the command
		said = strings.ToValidUTF8(said[:mostSaid], "") + "…"
	}
	return hint.With(fmt.Errorf("log in as %s: %w: %q", c.user(), errBound, said), c.target.where(),
		c.there("echo ok")+"; name a login with which that prints ok")
}

func (c *Conn) agentError(verb string, err error) error {
	look := "ls -lR " + c.dir()
	switch text := err.Error(); { // strerror(3)'s words
	case strings.Contains(text, "Read-only file system"), strings.Contains(text, "noexec"):
		look = "findmnt -T " + c.dir()
	case strings.Contains(text, "No space left on device"):
		look = "df -h " + c.dir()
	}
	return hint.With(fmt.Errorf("%s: %w: %w", verb, ErrAgent, err), c.target.where(), c.there(look))
}

// there is a command to type that looks around on the server.
func (c *Conn) there(look string) string {
	if c.link == nil {
		return "sudo " + look
	}
	return "ssh " + hint.Shell(c.link.route.Words()...) + " " + look
}

// Do sends req and returns the agent's final reply; progress, if not nil, gets each line
// before it. A refusal of the agent is no error here, see Reply.Error. When ctx ends,
// the connection is closed: the agent sees its input end, and undoes what was not
// confirmed. The connection is also closed when the agent sends nothing for missedBeats,
// or takes longer than the operation may. After an error the session cannot be used any
// more. Errors wrap ErrUnreachable, ErrAgent, or the cause of ctx.
func (s *Session) Do(ctx context.Context, req *spec.Request, progress func(line string)) (*spec.Reply, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { s.proc.abort(context.Cause(ctx)) })()
	if first := s.took; first != nil && first != req { // its answer comes first
		if _, err := s.Do(ctx, first, nil); err != nil {
			return nil, err
		}
	}
	defer s.await(req.Op)()
	if s.took == nil {
		if err := s.wire.Send(req); err != nil {
			return nil, s.broken(ctx, err)
		}
	}
	s.took = nil
	for {
		var r spec.Reply
		if err := s.wire.Receive(&r); err != nil {
			return nil, s.broken(ctx, err)
		}
		if r.Progress != "" && progress != nil {
			progress(r.Progress)
		}
		if r.Done {
			s.c.placed(r.Facts)
			return &r, nil
		}
	}
}

// broken explains why the agent no longer answers.
func (s *Session) broken(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return hint.With(cause, s.c.target.where(), "")
	}
	if cause := s.gaveUp(); cause != nil {
		return hint.With(fmt.Errorf("wait for the agent: %w: %w", ErrAgent, cause), s.c.target.where(), s.c.there("pgrep -af agent.serve"))
	}
	if errors.Is(err, wire.ErrFrame) {
		s.proc.abort(err)
		return s.c.agentError("read the agent's answer", err)
	}
	defer context.AfterFunc(ctx, func() { s.proc.abort(context.Cause(ctx)) })()
	status, waitErr := s.proc.wait()
	return s.c.ended("wait for the agent", s.proc, status, cmp.Or(waitErr, err))
}

// Close closes the agent's input, which ends it. The agent undoes what was applied and
// not confirmed.
func (s *Session) Close() error {
	s.vigil.End()
	err := s.proc.in.Close()
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe) || errors.Is(err, os.ErrClosed) {
		err = nil // the other side, or the end of a context, closed it before
	}
	if s.c.link == nil {
		s.reap()
	}
	return err
}

// reap waits for a local agent to end, so that usually none stays behind.
func (s *Session) reap() {
	ended := make(chan struct{})
	go func() {
		_, _ = s.proc.wait() // its status does not matter any more
		close(ended)
	}()
	timer := time.NewTimer(closing)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
	}
}
