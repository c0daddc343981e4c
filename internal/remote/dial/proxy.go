package dial

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"sync"
	"time"
)

// Proxy runs a ProxyCommand of ssh's config and uses its standard input and output
// as the connection (ssh_config(5)).
func Proxy(command string) (net.Conn, error) {
	cmd := exec.Command("/bin/sh", "-c", "exec "+command)
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start proxy command: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start proxy command: %w", err)
	}
	cmd.Stderr = os.Stderr // as ssh does: a proxy command asks and reports errors there
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start proxy command: %w", err)
	}
	return &proxyConn{Reader: out, WriteCloser: in, cmd: cmd}, nil
}

// proxyConn is a running proxy command as a connection. It has no deadlines.
type proxyConn struct {
	io.Reader
	io.WriteCloser
	cmd  *exec.Cmd
	once sync.Once
}

// Close ends the command; a second call does nothing.
func (c *proxyConn) Close() (err error) {
	c.once.Do(func() { err = c.end() })
	return err
}

func (c *proxyConn) end() error {
	err := c.WriteCloser.Close()
	if killErr := c.cmd.Process.Kill(); !errors.Is(killErr, os.ErrProcessDone) {
		err = errors.Join(err, killErr)
	}
	var exit *exec.ExitError
	if waitErr := c.cmd.Wait(); !errors.As(waitErr, &exit) {
		err = errors.Join(err, waitErr)
	}
	return err
}

func (c *proxyConn) LocalAddr() net.Addr              { return proxyAddr{} }
func (c *proxyConn) RemoteAddr() net.Addr             { return proxyAddr{} }
func (c *proxyConn) SetDeadline(time.Time) error      { return os.ErrNoDeadline }
func (c *proxyConn) SetReadDeadline(time.Time) error  { return os.ErrNoDeadline }
func (c *proxyConn) SetWriteDeadline(time.Time) error { return os.ErrNoDeadline }

type proxyAddr struct{}

func (proxyAddr) Network() string { return "proxy" }
func (proxyAddr) String() string  { return "proxy" }
