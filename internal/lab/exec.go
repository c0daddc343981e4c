package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"syscall"

	"github.com/flocknet/flock/internal/hint"
)

// Command makes a command that runs argv inside a machine or container, without
// SSH: with the machine's files, processes, network and host name, or with the
// container's network and resolver. When the command is killed, what it runs is
// killed too. A machine that is off, or an unknown name, is reported by the
// command's Start.
func (l *Lab) Command(ctx context.Context, name string, argv ...string) *exec.Cmd {
	enter, err := l.enter(name)
	if err != nil {
		cmd := exec.CommandContext(ctx, "false")
		cmd.Err = err
		return cmd
	}
	argv = append(enter, argv...)
	return exec.CommandContext(ctx, argv[0], argv[1:]...)
}

// enter is the command line in front of a command inside name.
func (l *Lab) enter(name string) ([]string, error) {
	if name == Laptop && l.Attach {
		return nil, nil
	}
	if l.machine(name).name == "" {
		if !exists(l.containerDir(name)) {
			return nil, hint.Errorf("lab "+l.Dir, "flock lab list", "find %s: the lab has no such machine or container", name)
		}
		return l.enterContainer(name), nil
	}
	pid, err := l.inner(name)
	if errors.Is(err, errOff) {
		return nil, hint.Errorf(name, "flock lab on "+name, "enter %s: %w", name, err)
	}
	if err != nil {
		return nil, err
	}
	// nsenter forks for the pid namespace and does not pass a kill on to the child,
	// hence setpriv.
	return []string{"nsenter", "-t", fmt.Sprint(pid), "-m", "-u", "-i", "-n", "-p", "--", "setpriv", "--pdeathsig", "KILL", "--"}, nil
}

// SSH makes the command that logs in to host as root with OpenSSH's client, from
// where the lab is used. With no argv it is a login shell.
func (l *Lab) SSH(ctx context.Context, host string, argv ...string) *exec.Cmd {
	argv = append([]string{"ssh", "-F", l.SSHConfig(), host}, argv...)
	if ns := l.LaptopNS(); ns != "" {
		argv = append([]string{"nsenter", "--net=" + nsFile(ns), "--"}, argv...)
	}
	return exec.CommandContext(ctx, argv[0], argv[1:]...)
}

// Net makes a command of this machine, with its files, in the network namespace of a
// machine, container, "fabric" or "outside": for tcpdump or ip, also while no program
// can be started in the machine.
func (l *Lab) Net(ctx context.Context, name string, argv ...string) *exec.Cmd {
	argv = append([]string{"nsenter", "--net=" + nsFile(l.ns(name)), "--"}, argv...)
	return exec.CommandContext(ctx, argv[0], argv[1:]...)
}

// ListenPacket opens a socket, as net.ListenPacket does, in the network
// namespace of a machine, container, "fabric" or "outside". It stays there. The
// address of a UDP socket may be one that the machine gets later (IP_FREEBIND,
// ip(7); raw sockets of IPv6 do not know that).
func (l *Lab) ListenPacket(name, network, address string) (net.PacketConn, error) {
	var c net.PacketConn
	err := inNS(l.ns(name), func() (err error) {
		free := net.ListenConfig{Control: func(network, _ string, raw syscall.RawConn) error {
			if !strings.HasPrefix(network, "udp") {
				return nil
			}
			var refused error
			err := raw.Control(func(fd uintptr) { refused = freeBind(fd) })
			return errors.Join(err, refused)
		}}
		c, err = free.ListenPacket(context.Background(), network, address)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listen in %s: %w", name, err)
	}
	return c, nil
}

// Listen opens a TCP socket, as net.Listen does, in the network namespace of a machine,
// container, "fabric" or "outside". It stays there.
func (l *Lab) Listen(name, address string) (net.Listener, error) {
	var c net.Listener
	err := inNS(l.ns(name), func() (err error) {
		c, err = (&net.ListenConfig{}).Listen(context.Background(), "tcp4", address)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listen in %s: %w", name, err)
	}
	return c, nil
}
