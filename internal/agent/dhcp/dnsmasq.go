//go:build linux

package dhcp

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/agent/unit"
	"github.com/flocknet/flock/internal/spec"
)

// pid is the process that runs with p's configuration, 0 if there is none, or none to be
// found: what stops it asks find.
func (p process) pid() int {
	pid, err := unit.PIDIn(p.PIDFile, p.is)
	if err != nil {
		return 0
	}
	return pid
}

func (p process) find() (int, error) { return unit.FindProcess(p.PIDFile, p.is) }

// is says whether a process with these arguments runs with p's configuration.
func (p process) is(args []string) bool {
	return len(args) >= 2 && filepath.Base(args[0]) == "dnsmasq" && args[1] == "--conf-file="+p.Conf
}

func (p process) signal(sig unix.Signal) error {
	pid := p.pid()
	if pid == 0 {
		return nil
	}
	if err := unix.Kill(pid, sig); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("signal dnsmasq (pid %d): %w", pid, err)
	}
	return nil
}

// Try tries the configurations that d would have dnsmasq run with: an old one,
// or one that was built without something, says here what it does not know. It is nil where
// there is no dnsmasq, which is a claim of its own.
func (s *Server) Try(ctx context.Context, d spec.DHCP) *spec.Problem {
	plans, err := s.plan(d)
	if errors.Is(err, exec.ErrNotFound) {
		return nil
	}
	for _, p := range plans {
		if have, _ := sysfile.ReadIfThere(p.Conf); err == nil && have != p.ConfText {
			err = p.try(ctx)
		}
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.DeadlineExceeded):
		return &spec.Problem{
			What: fmt.Sprintf("DHCP of %s: dnsmasq does not read its configuration within %v", d.Network, tryDNSMasqWithin),
			Next: "dnsmasq --test; uptime",
		}
	}
	return &spec.Problem{
		What: fmt.Sprintf("DHCP of %s: dnsmasq refuses its configuration: %v", d.Network, err),
		Next: "dnsmasq --version: 2.80 or newer is needed, with DHCP",
	}
}

// tryDNSMasqWithin bounds that: it reads one file, on a server that may be busy.
const tryDNSMasqWithin = 15 * time.Second

// try has dnsmasq read p's configuration and end.
func (p planned) try(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, tryDNSMasqWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.Program, "--test", "--conf-file=-")
	cmd.Stdin = strings.NewReader(p.ConfText)
	said, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if text := strings.TrimSpace(string(said)); err != nil && text != "" {
		return errors.New(strings.TrimPrefix(strings.ReplaceAll(text, "\n", " "), "dnsmasq: "))
	}
	return err
}

// restart starts dnsmasq as its own daemon, for hosts without systemd. It returns
// when dnsmasq listens, or with what dnsmasq found wrong.
func (p planned) restart(ctx context.Context) error {
	if err := p.stop(ctx); err != nil {
		return err
	}
	return unit.Run(ctx, p.Program, "--conf-file="+p.Conf)
}

// stop ends the process and waits until the kernel has closed its sockets. The
// pid file says nothing about that: dnsmasq removes it first.
func (p process) stop(ctx context.Context) error {
	pid, err := p.find()
	if err != nil {
		return fmt.Errorf("stop dnsmasq: %w", err)
	}
	return unit.EndProcess(ctx, "dnsmasq", pid)
}
