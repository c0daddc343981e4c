package remote

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/remote/dial"
	"golang.org/x/crypto/ssh"
)

// link is one SSH connection. The connection to its jump host is shared with others, and
// closed with the last of them.
type link struct {
	d      *Dialer
	route  *route
	onward []string    // the ids of the routes from here on
	via    *sharedLink // nil: directly
	client *ssh.Client
	shown  ssh.PublicKey // the server's host key
	calm   func()        // a session has started; nil: nothing to do then
	master string        // the socket of ssh's connection that this one goes through; "": it is our own
	first  *ssh.Session  // of a master, which showed that it is alive; nil once it was used
	stuck  bool          // a master is there, and hangs: ssh would wait for it
	byHand bool          // a person had a part in the login
	wanted chan bool     // whether ssh is to make a master when this one ends; nil: no

	spare []chan *ssh.Session // prepared, in order; a nil one was refused

	once  sync.Once
	done  chan struct{}  // closed by close
	mu    sync.Mutex     // guards below
	began []*ssh.Session // of a master
	cause error          // why this side closed it
	trip  time.Duration  // a message to the server and back, at most; 0: not measured
}

// open connects and logs in. onward are the ids of the routes from here to the server
// that is wanted; it detects circles of jump hosts.
func (d *Dialer) open(ctx context.Context, t Target, onward []string) (*link, error) {
	r, err := d.route(ctx, t)
	if err != nil {
		return nil, err
	}
	if err := d.checkIdentity(r); err != nil {
		return nil, err
	}
	if t.behind == "" && !t.Quiet {
		d.expect(r)
	}
	l := &link{d: d, route: r, onward: append(onward, r.ID()), done: make(chan struct{})}
	if l.join(ctx) {
		go l.keepalive()
		go l.watch()
		return l, nil
	}
	if err := l.jump(ctx); err != nil {
		return nil, err
	}
	if err := l.login(ctx); err != nil && (!errors.Is(err, ErrAuth) || !l.byMaster(ctx)) {
		l.close()
		return nil, err
	}
	if l.master == "" && !l.stuck && !l.byHand {
		l.wanted = d.wants(ctx, t)
	}
	go l.keepalive()
	go l.watch()
	return l, nil
}

// jump connects to the jump host, if there is one and that was not done.
func (l *link) jump(ctx context.Context) (err error) {
	if l.route.Jump != "" && l.via == nil {
		l.via, err = l.d.jump(ctx, l.route, l.onward)
	}
	return err
}

// login connects and authenticates; patience starts with the first packet.
func (l *link) login(ctx context.Context) error {
	leave, err := l.d.enter(ctx, l.route.Addr()+" "+l.route.Jump)
	if err != nil {
		return hint.With(fmt.Errorf("%w: %w", ErrUnreachable, err), l.route.target.where(), "")
	}
	defer leave()
	arrived, err := l.setOut(ctx)
	if err != nil {
		return hint.With(fmt.Errorf("%w: %w", ErrUnreachable, err), l.route.target.where(), "")
	}
	ctx, p := newPatience(ctx, cmp.Or(l.route.target.Connect, l.d.Connect, l.d.timeout()))
	defer p.end()
	start := time.Now()
	conn, err := l.tcp(ctx)
	if err != nil {
		arrived()
		return l.unreachable("connect to", ctx, err)
	}
	conn = dial.Heard(conn, arrived)
	p.within(l.d.timeout())
	if c, ok := conn.(interface{ Calm() }); ok {
		l.calm = c.Calm
	}
	auth := &login{d: l.d, r: l.route, p: p}
	var hostKeyErr error
	config, err := l.clientConfig(ctx, auth, &hostKeyErr)
	if err != nil {
		return errors.Join(err, conn.Close())
	}
	client, err := handshake(ctx, conn, l.route.Addr(), config)
	switch {
	case err == nil:
		l.client, l.byHand = client, auth.byHand.Load()
		auth.remember()
		l.d.say(l.route.target, "logged in as %s@%s in %s", l.route.User, l.route.Addr(), time.Since(start).Round(time.Millisecond))
		return nil
	case hostKeyErr != nil:
		return fmt.Errorf("log in to %s: %w", l.route.Addr(), hostKeyErr)
	case auth.cutOff(err):
		return l.authError(fmt.Errorf("%w: %s as %s: the server %w, after it was asked about %d keys", ErrAuth, l.route.Addr(), l.route.User, errCutOff, auth.asked.Load()))
	case auth.failure() != nil || refusedAuth(err):
		return l.authError(cmp.Or(auth.failure(), err))
	}
	return l.unreachable("log in to", ctx, err)
}

func (l *link) clientConfig(ctx context.Context, auth *login, hostKeyErr *error) (*ssh.ClientConfig, error) {
	known, err := l.d.known(l.route)
	if err != nil {
		return nil, hint.With(err, l.route.target.where(), "")
	}
	return &ssh.ClientConfig{
		// x/crypto's other exchanges follow, for servers without curve25519.
		Config:            ssh.Config{KeyExchanges: keyExchanges()},
		User:              l.route.User,
		HostKeyAlgorithms: known.Algorithms(known.Place(l.route.KeyName, l.route.formerly)),
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			l.shown = key
			*hostKeyErr = l.d.checkHostKey(l.route, auth.p, key)
			return *hostKeyErr
		},
		Auth:           append([]ssh.AuthMethod{ssh.PublicKeysCallback(auth.signers)}, auth.passwords(ctx)...),
		BannerCallback: func(text string) error { l.d.say(l.route.target, "banner: %s", strings.TrimSpace(text)); return nil },
		ClientVersion:  "SSH-2.0-flock",
	}, nil
}

// keyExchanges puts curve25519 first: the post-quantum exchanges cost more than
// the rest of a login.
func keyExchanges() []string {
	list := []string{ssh.KeyExchangeCurve25519}
	for _, kex := range ssh.SupportedAlgorithms().KeyExchanges {
		if kex != ssh.KeyExchangeCurve25519 {
			list = append(list, kex)
		}
	}
	return list
}

// handshake ends with ctx, even while whoever holds a key does not answer.
func handshake(ctx context.Context, conn net.Conn, addr string, config *ssh.ClientConfig) (*ssh.Client, error) {
	type result struct {
		client *ssh.Client
		err    error
	}
	out := make(chan result, 1)
	go func() {
		c, chans, reqs, err := ssh.NewClientConn(conn, addr, config)
		if err != nil {
			out <- result{err: errors.Join(err, closeQuietly(conn))}
			return
		}
		out <- result{client: ssh.NewClient(c, chans, reqs)}
	}()
	select {
	case res := <-out:
		return res.client, res.err
	case <-ctx.Done():
		// This ends the goroutine's reads, and closes a login that still succeeds.
		return nil, errors.Join(context.Cause(ctx), closeQuietly(conn))
	}
}

// closeQuietly closes conn, which may be closed already.
func closeQuietly(conn net.Conn) error {
	if err := conn.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// tcp opens a new connection to the server's sshd, through its jump host or proxy
// command if it has one.
func (l *link) tcp(ctx context.Context) (net.Conn, error) {
	r := l.route
	switch {
	case l.via != nil:
		return l.via.link.client.DialContext(ctx, "tcp", r.Addr())
	case r.Proxy != "":
		return dial.Proxy(r.Proxy)
	}
	dialer := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: defaultKeepalive, Interval: defaultKeepalive, Count: missedAnswers,
	}}
	conn, err := dialer.DialContext(ctx, r.Network, r.Addr())
	if err != nil {
		return nil, err
	}
	return dial.Quick(conn), nil
}

// keepalive sends keepalives, so that a dead connection is noticed while a session waits
// for an answer.
func (l *link) keepalive() {
	every := cmp.Or(l.d.keepalive, defaultKeepalive)
	tick := time.NewTicker(every)
	defer tick.Stop()
	answered := make(chan struct{}, 1)
	missed, waiting := 0, false
	for {
		select {
		case <-l.done:
			return
		case <-answered:
			missed, waiting = 0, false
		case <-tick.C:
			if waiting {
				missed++
			} else {
				waiting = true
				go func() {
					if l.ping() {
						answered <- struct{}{}
					}
				}()
			}
			if missed >= missedAnswers {
				l.breakOff(fmt.Errorf("%w: no sign of life for %s", ErrUnreachable, time.Duration(missed)*every))
				return
			}
		}
	}
}

// ping says whether the server answers. A master passes no requests on but those of sessions.
func (l *link) ping() bool {
	if l.master == "" {
		_, _, err := l.client.SendRequest("keepalive@openssh.com", true, nil)
		return err == nil
	}
	s, err := l.client.NewSession()
	if err == nil {
		_ = s.Close()
	}
	var refused *ssh.OpenChannelError
	return err == nil || errors.As(err, &refused) // it may have as many as it takes (MaxSessions)
}

// watch notices that the server closed the connection.
func (l *link) watch() {
	err := l.client.Wait()
	select {
	case <-l.done:
	default:
		l.breakOff(fmt.Errorf("%w: the server closed the connection: %w", ErrUnreachable, err))
	}
}

// breakOff closes the connection and notes why.
func (l *link) breakOff(cause error) {
	l.mu.Lock()
	if l.cause == nil {
		l.cause = cause
	}
	l.mu.Unlock()
	l.close()
}

// broken is why this side closed the connection; nil if it did not.
func (l *link) broken() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cause
}

func (l *link) close() {
	l.once.Do(func() {
		close(l.done)
		l.takeLeave()
		if l.client != nil {
			_ = l.client.Close() // whether or not that worked, the connection is not used again
		}
		if l.via != nil {
			l.d.release(l.via)
		}
		l.leaveMaster()
	})
}

// refusedAuth recognizes a refused login by the text of x/crypto's error, which has no
// type.
func refusedAuth(err error) bool {
	return strings.Contains(err.Error(), "unable to authenticate") || tooMany(err)
}

// tooMany says that the server ended the login before all keys were offered (OpenSSH's auth.c).
func tooMany(err error) bool {
	return strings.Contains(err.Error(), "Too many authentication failures")
}

// errCutOff is of a server that ends a login after some keys without saying why, as dropbear does
// after ten attempts.
var errCutOff = errors.New("ended the login")

// cutOff says that err is of such a server: it has refused one key at least. One that ends the
// login at the first may have failed.
func (l *login) cutOff(err error) bool {
	return l.asked.Load() > 1 && l.signed.Load() == nil && (errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET))
}

func (l *link) authError(err error) error {
	r := l.route
	next := l.d.keyAdvice(r, tooMany(err) || errors.Is(err, errCutOff))
	switch {
	case errors.Is(err, ErrAuth):
	case tooMany(err):
		err = fmt.Errorf("%w: %s takes no key as %s after so many that were wrong: Too many authentication failures", ErrAuth, r.Addr(), r.User)
	default:
		err = fmt.Errorf("%w: %s takes none of our keys as %s", ErrAuth, r.Addr(), r.User)
	}
	return hint.With(fmt.Errorf("log in to %s: %w", r.Addr(), err), r.target.where(), next)
}

func (l *link) unreachable(verb string, ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	if !errors.Is(err, ErrUnreachable) {
		err = fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	r := l.route
	words := append(r.Words(), "true")
	if r.Jump != "" {
		words = append([]string{"-J", r.Jump}, words...)
	}
	next := hint.Shell(append([]string{"ssh"}, words...)...)
	return hint.With(fmt.Errorf("%s %s: %w", verb, r.Addr(), err), r.target.where(), next)
}
