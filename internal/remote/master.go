package remote

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/flocknet/flock/internal/sshconfig"
	"golang.org/x/crypto/ssh"
)

// A connection that ssh has up already, and lets others use (ssh_config(5), ControlMaster), saves
// the login, which is most of what a command costs. ssh has checked the host key, and is who
// watches over the connection; a session of ours is one more on it.

// masterWithin is how long such a connection has to open a session: one that hangs, or whose
// server is gone, is gone around.
const masterWithin = 2 * time.Second

// join uses ssh's connection, if there is one that answers, and says whether it does.
func (l *link) join(ctx context.Context) bool {
	t := l.route.target
	if l.d.Anew || t.Anew {
		return false
	}
	if path := l.d.control(ctx, l.route); path != "" && ownSocket(path) && l.joinAt(ctx, path) {
		return true
	}
	c, d := l.d.masters(t)
	if c == nil {
		return false
	}
	path := c.Control(ctx, d)
	return path != "" && ownSocket(path) && l.joinAt(ctx, path)
}

// masters is the config that says where ssh's connections to t are, and what ssh calls t; nil
// where none of them is used.
func (d *Dialer) masters(t Target) (*sshconfig.Config, sshconfig.Destination) {
	c, err := d.sshConfig()
	if err != nil || d.Anew || t.Anew || t.Identity != "" { // with a key of its own: ssh may log in with another
		return nil, sshconfig.Destination{}
	}
	return c, sshconfig.Destination{Alias: t.alias(), User: t.User, Port: t.Port, Jump: t.Jump}
}

// joinAt uses the connection whose socket is at path, if it answers.
func (l *link) joinAt(ctx context.Context, path string) bool {
	t := l.route.target
	ctx, cancel := context.WithTimeout(ctx, masterWithin)
	defer cancel()
	start := time.Now()
	client, session, err := throughMaster(ctx, path)
	if err != nil {
		l.d.say(t, "ssh's connection at %s is not used: %v", path, err)
		l.stuck = !errors.Is(err, syscall.ECONNREFUSED)
		return false
	}
	l.client, l.first, l.master = client, session, path
	l.d.say(t, "through ssh's connection at %s in %s", path, time.Since(start).Round(time.Millisecond))
	return true
}

// ownSocket says whether path is a socket of this user's: who else has one would read along.
func ownSocket(path string) bool {
	info, err := os.Stat(path)
	if err != nil || info.Mode()&fs.ModeSocket == 0 {
		return false
	}
	owner, known := info.Sys().(*syscall.Stat_t)
	return known && int(owner.Uid) == os.Getuid()
}

// throughMaster opens a session, which shows that the server answers.
func throughMaster(ctx context.Context, path string) (*ssh.Client, *ssh.Session, error) {
	client, err := overMaster(ctx, path)
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = client.Close() })
	session, err := client.NewSession()
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = client.Close()
		return nil, nil, fmt.Errorf("open session: %w", err)
	}
	return client, session, nil
}

// overMaster greets the ssh that listens at path, which shows that it has a connection.
func overMaster(ctx context.Context, path string) (*ssh.Client, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = closeQuietly(conn) })
	c, chans, reqs, err := ssh.NewControlClientConn(conn)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = closeQuietly(conn)
		return nil, err
	}
	return ssh.NewClient(c, chans, reqs), nil
}

// session opens one, or takes one that was opened ahead, which the server may have closed since.
func (l *link) session() (s *ssh.Session, ahead bool, err error) {
	s = l.first
	l.first = nil
	if s == nil {
		s = l.spared()
		ahead = s != nil
	}
	if s == nil {
		if s, err = l.newSession(); err != nil {
			return nil, false, l.lost(fmt.Errorf("open session: %w", err))
		}
	}
	if l.master != "" {
		l.mu.Lock()
		l.began = append(l.began, s)
		l.mu.Unlock()
	}
	return s, ahead, nil
}

// sessionWithin is how long a server that allows one session (sshd_config(5), MaxSessions) may take
// to notice that the one before has ended.
const sessionWithin = 5 * time.Second

// newSession opens one; a server that refuses it is asked again.
func (l *link) newSession() (*ssh.Session, error) {
	late, tick := time.After(sessionWithin), time.NewTicker(sessionWithin/100)
	defer tick.Stop()
	for {
		s, err := l.client.NewSession()
		if refused := (*ssh.OpenChannelError)(nil); l.master != "" || !errors.As(err, &refused) {
			return s, err
		}
		select {
		case <-tick.C:
		case <-late:
			return nil, fmt.Errorf("%w (does MaxSessions allow one?)", err)
		case <-l.done:
			return nil, err
		}
	}
}

// takeLeave ends the sessions of a master, which goes on: not in all cases does it tell the
// server that who had them is gone. One that hangs is not waited for.
func (l *link) takeLeave() {
	l.mu.Lock()
	began := l.began
	l.began = nil
	l.mu.Unlock()
	if len(began) == 0 {
		return
	}
	told := make(chan struct{})
	go func() {
		defer close(told)
		for _, s := range began {
			_ = s.Close() // it may have ended
		}
	}()
	select {
	case <-told:
	case <-time.After(leaveWithin):
	}
}

// leaveWithin is how long telling that takes at most.
const leaveWithin = 200 * time.Millisecond
