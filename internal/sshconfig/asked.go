package sshconfig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/flocknet/flock/internal/hint"
)

// Bounds of ssh -G and of a Match exec, which runs a program of the operator that may
// hang, or call ssh again.
const (
	askWithin = 10 * time.Second
	askAtOnce = 16
)

// askedSSH caches the answers of ssh -G and the results of Match exec: per run of flock,
// ssh is asked once about each host, and each command runs once.
type askedSSH struct {
	mu      sync.Mutex // guards below
	answers map[string]*answer
	slots   chan struct{}
}

type answer struct {
	done    chan struct{} // closed when the rest is there
	options options       // of ssh -G
	holds   bool          // of a Match exec
	err     error
}

// ask runs ssh -G for d, with more arguments, because flock cannot evaluate odd itself.
func (c *Config) ask(ctx context.Context, d Destination, odd *oddity, more ...string) (options, error) {
	args := append([]string{"-G"}, more...)
	if c.path != "" {
		args = append(args, "-F", c.path)
	}
	if d.User != "" {
		args = append(args, "-l", d.User)
	}
	if d.Port != 0 {
		args = append(args, "-p", strconv.Itoa(int(d.Port)))
	}
	args = append(args, "--", d.Alias)
	a, first := c.asked.about(strings.Join(args, "\x00"))
	if first {
		a.options, a.err = c.runSSH(ctx, args, odd)
		close(a.done)
	}
	select {
	case <-a.done:
		return a.options, a.err
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: ask ssh: %w", Err, context.Cause(ctx))
	}
}

func (s *askedSSH) about(key string) (a *answer, first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.answers == nil {
		s.answers, s.slots = map[string]*answer{}, make(chan struct{}, askAtOnce)
	}
	a = s.answers[key]
	if a == nil {
		first = true
		a = &answer{done: make(chan struct{})}
		s.answers[key] = a
	}
	return a, first
}

// enter waits until one more program may run; leave makes room again.
func (s *askedSSH) enter(ctx context.Context) (leave func(), err error) {
	select {
	case s.slots <- struct{}{}:
		return func() { <-s.slots }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// grouped is a program in a process group of its own, which is killed as a whole when
// ctx ends.
func grouped(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	return cmd
}

// runSSH runs ssh -G.
func (c *Config) runSSH(ctx context.Context, args []string, odd *oddity) (options, error) {
	program, err := exec.LookPath("ssh")
	if err != nil {
		return nil, hint.Errorf(odd.place(), "install OpenSSH's client", "%w: %s: %s is for OpenSSH to read, and there is no ssh program", Err, odd.place(), odd.what)
	}
	leave, err := c.asked.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	cmd := grouped(ctx, program, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return nil, fmt.Errorf("%w: ssh -G gives no answer within %s: does a Match exec hang?", Err, askWithin)
	case err != nil:
		return nil, fmt.Errorf("%w: %s", Err, complaint(stderr.String(), err))
	}
	return readAnswer(string(out)), nil
}

// complaint is ssh's error message; err if it printed none.
func complaint(stderr string, err error) string {
	lines := strings.Split(strings.TrimSpace(stderr), "\n")
	for _, line := range lines {
		if strings.Contains(line, "line ") || strings.Contains(line, "ermission") {
			return line
		}
	}
	if last := lines[len(lines)-1]; last != "" {
		return last
	}
	return err.Error()
}

// tokenLine is a ControlPath with all tokens: ssh -G expands it, with the meanings that
// its version has.
const tokenLine = "/flock\x1fC%C\x1fi%i\x1fk%k\x1fL%L\x1fl%l\x1fd%d\x1fu%u"

// readAnswer splits the lines of ssh -G into keywords and values.
func readAnswer(text string) options {
	out := options{}
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		key = strings.ToLower(key)
		out[key] = append(out[key], value)
	}
	return out
}

// askTokens has ssh -G say what each token comes to.
const askTokens = "ControlPath=" + tokenLine

// fromSSH says that these options come from ssh -G, defaults included.
func (o options) fromSSH() bool { return strings.HasPrefix(o.get("controlpath"), "/flock\x1f") }

// tokens are the tokens that ssh has expanded; nil if it was not asked.
func (o options) tokens() map[byte]string {
	if !o.fromSSH() {
		return nil
	}
	out := map[byte]string{}
	for _, part := range strings.Split(o["controlpath"][0], "\x1f")[1:] {
		if part != "" {
			out[part[0]] = part[1:]
		}
	}
	return out
}
