package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/flocknet/flock/internal/wire"
	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

// shell starts commands on a server, in the login's shell.
type shell interface {
	// with is the value of wire.FirstEnv, if the server takes it; "": nothing.
	start(ctx context.Context, command, with string) (*process, error)
	// roundTrip is how long a message to the server and back takes.
	roundTrip() (time.Duration, error)
}

// process is a command that runs on a server.
type process struct {
	in     io.WriteCloser
	out    io.Reader
	stderr *tail
	wait   func() (status int, err error) // once out has ended; may be called again
	// abort unblocks readers and writers. The command sees the end of its input; it is
	// not killed, because an agent may have to undo a change first.
	abort func(cause error)
}

// signalError is the signal (RFC 4254, 6.10: without SIG) that ended a command.
type signalError string

func (e signalError) Error() string { return "ended by signal " + string(e) }

// exitSignal is the signal that ended a command of this machine.
func exitSignal(exit *exec.ExitError) (string, bool) {
	if exit == nil {
		return "", false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() {
		return "", false
	}
	return strings.TrimPrefix(unix.SignalName(status.Signal()), "SIG"), true
}

// lost is the exit status of a command whose end was not reported.
const lost = -1

type sshShell struct{ link *link }

func (s *sshShell) start(ctx context.Context, command, with string) (*process, error) {
	defer context.AfterFunc(ctx, func() { s.link.breakOff(context.Cause(ctx)) })()
	for {
		session, ahead, err := s.link.session()
		if err != nil {
			return nil, err
		}
		p, err := s.startIn(session, command, with)
		if !ahead || !errors.Is(err, io.EOF) {
			return p, err
		} // closed before it was used: dropbear does that when another command ends
	}
}

func (s *sshShell) startIn(session *ssh.Session, command, with string) (p *process, err error) {
	p = &process{stderr: &tail{}}
	session.Stderr = p.stderr
	if p.in, err = session.StdinPipe(); err != nil {
		return nil, fmt.Errorf("open session: %w", err)
	}
	if p.out, err = session.StdoutPipe(); err != nil {
		return nil, fmt.Errorf("open session: %w", err)
	}
	if with != "" {
		variable := struct{ Name, Value string }{wire.FirstEnv, with}
		if _, err := session.SendRequest("env", false, ssh.Marshal(variable)); err != nil { // no answer is waited for (RFC 4254, 6.4)
			return nil, s.link.lost(fmt.Errorf("start command: %w", err))
		}
	}
	if err := session.Start(command); err != nil {
		return nil, s.link.lost(fmt.Errorf("start command: %w", err))
	}
	if s.link.calm != nil {
		s.link.calm()
	}
	p.wait = sync.OnceValues(func() (int, error) { return s.link.await(session) })
	p.abort = s.link.breakOff
	return p, nil
}

// await waits for the end of a command, and returns its exit status.
func (l *link) await(session *ssh.Session) (int, error) {
	err := session.Wait()
	var exit *ssh.ExitError
	switch {
	case err == nil:
		return 0, nil
	case errors.As(err, &exit) && exit.Signal() == "":
		return exit.ExitStatus(), nil
	case errors.As(err, &exit):
		return lost, signalError(exit.Signal())
	}
	return lost, l.lost(err)
}

func (s *sshShell) roundTrip() (time.Duration, error) {
	if trip := s.link.tripNoted(); trip > 0 {
		return trip, nil
	}
	start := time.Now()
	if s.link.master != "" { // which answers no global request
		session, _, err := s.link.session()
		if err != nil {
			return 0, err
		}
		took := time.Since(start)
		_ = session.Close()
		return took, nil
	}
	_, _, err := s.link.client.SendRequest("keepalive@openssh.com", true, nil)
	if err != nil {
		return 0, s.link.lost(err)
	}
	return time.Since(start), nil
}

// lost adds to an error of a connection how the connection ended.
func (l *link) lost(err error) error {
	if cause := l.broken(); cause != nil {
		return cause
	}
	return fmt.Errorf("%w: connection lost: %w", ErrUnreachable, err)
}

// localShell is this machine.
type localShell struct{}

func (localShell) start(_ context.Context, command, _ string) (*process, error) {
	cmd := exec.Command("/bin/sh", "-c", command)
	// Ctrl-C must not reach the agent: it ends when its input does.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p := &process{stderr: &tail{}}
	cmd.Stderr = p.stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start command: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start command: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start command: %w", err)
	}
	p.in, p.out = in, out
	p.wait = sync.OnceValues(func() (int, error) {
		err := cmd.Wait()
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.Exited() {
			return exit.ExitCode(), nil
		}
		if status, ok := exitSignal(exit); ok {
			return lost, signalError(status)
		}
		if err != nil {
			return lost, err
		}
		return 0, nil
	})
	p.abort = func(error) {
		// Both ends at once: readers and writers wake up; they may be closed already.
		_ = in.Close()
		_ = out.Close()
	}
	return p, nil
}

func (localShell) roundTrip() (time.Duration, error) { return 0, nil }

// quote makes s one word for a POSIX shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// oneLine quotes a POSIX shell's script as the arguments of sh -c, so that every login
// shell reads it alike: in single quotes csh allows neither a line end nor an
// exclamation mark, and fish interprets backslashes.
func oneLine(script string) string {
	escapes := strings.NewReplacer("\n", `\n`, "!", `\0041`, "'", `\0047`, `\`, `\0134`)
	return quote(`eval "$(printf %b "$1")"`) + " sh " + quote(escapes.Replace(script))
}

// tail keeps the last bytes of what a command wrote, for messages.
type tail struct {
	mu    sync.Mutex // guards below
	buf   []byte
	size  int    // of all that was written
	await func() // called with each piece; nil: nobody waits
}

const tailSize = 4096

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf, t.size = append(t.buf, b...), t.size+len(b)
	t.buf = t.buf[max(0, len(t.buf)-tailSize):]
	if t.await != nil {
		t.await()
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf)
}

// lastLine is the last line of text that is not empty.
func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return strings.TrimSpace(text[strings.LastIndexByte(text, '\n')+1:])
}
