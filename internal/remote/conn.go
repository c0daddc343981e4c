package remote

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/remote/dial"
	"golang.org/x/crypto/ssh"
)

// Bounds of Reachable: sshd drops connections at random when it is busy (MaxStartups),
// so that one that fails proves nothing.
const (
	reachFor   = 10 * time.Second // in all
	reachOnce  = 3 * time.Second  // one connection
	reachEvery = 200 * time.Millisecond
)

// Conn is a login on a server. One goroutine at a time uses it.
type Conn struct {
	d      *Dialer
	target Target
	link   *link // nil for Local
	shell  shell
	root   becoming // how commands run as root
}

// HostKey is the fingerprint of the host key that the server showed, as SHA256:…; "" of
// Local, and where ssh had logged in.
func (c *Conn) HostKey() string {
	if c.link == nil || c.link.shown == nil {
		return ""
	}
	return ssh.FingerprintSHA256(c.link.shown)
}

// Close ends the connection and its sessions. The connection to a jump host is closed
// with the last server behind it.
func (c *Conn) Close() error {
	if c.link != nil {
		c.link.close()
	}
	return nil
}

func (d *Dialer) dialLocal(t Target) (*Conn, error) {
	if runtime.GOOS != "linux" {
		return nil, hint.Errorf(t.where(), "name Linux servers as members",
			"%w: this workstation runs %s, a member runs Linux", ErrConfig, runtime.GOOS)
	}
	c := &Conn{d: d, target: t, shell: localShell{}}
	if os.Getuid() != 0 {
		c.root = d.becomes(c)
	}
	return c, nil
}

// Reachable opens a new TCP connection to the server's sshd, through the same jump hosts
// as the login: after a change it proves that new connections still work, without the
// cost of a second login. It tries for up to ten seconds. Local is always reachable.
// Errors wrap ErrUnreachable.
//
// Where proxy commands are paced, each try waits for its turn anew: one that is not answered
// waits behind those that have not been tried yet, whose changes would be undone meanwhile.
func (c *Conn) Reachable(ctx context.Context) error {
	if c.link == nil {
		return nil
	}
	tick := time.NewTicker(reachEvery)
	defer tick.Stop()
	var last error
	for {
		arrived, err := c.link.setOut(ctx)
		if err != nil {
			return c.link.unreachable("connect again to", context.Background(), cmp.Or(last, err))
		}
		if last == nil { // the first try
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, reachFor)
			defer cancel()
		}
		last = c.link.knock(ctx)
		arrived()
		if last == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return c.link.unreachable("connect again to", context.Background(), last)
		}
	}
}

// knock connects: without jump host and proxy only by the first two packets, which
// routes and filters decide on; otherwise until sshd's identification arrives (RFC 4253,
// 4.2).
func (l *link) knock(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, reachOnce)
	defer cancel()
	if dial.CanTouch && l.route.Jump == "" && l.route.Proxy == "" {
		return dial.Touch(ctx, l.route.Network, l.route.Addr())
	}
	if err := l.jump(ctx); err != nil { // a master had no need of it
		return err
	}
	conn, err := l.tcp(ctx)
	if err != nil {
		return err
	}
	var once sync.Once
	hangUp := func() { once.Do(func() { _ = closeQuietly(conn) }) }
	defer hangUp()
	defer context.AfterFunc(ctx, hangUp)()
	return readIdentification(conn)
}

// maxPreamble is how many bytes a server may send before its identification.
const maxPreamble = 64 << 10

func readIdentification(conn net.Conn) error {
	lines := bufio.NewReader(io.LimitReader(conn, maxPreamble))
	for {
		line, err := lines.ReadString('\n')
		if strings.HasPrefix(line, "SSH-2.0-") || strings.HasPrefix(line, "SSH-1.99-") {
			return nil
		}
		if errors.Is(err, io.EOF) {
			return errors.New("the connection was closed before sshd sent its identification")
		}
		if err != nil {
			return fmt.Errorf("wait for sshd's identification: %w", err)
		}
	}
}
