package remote

import (
	"cmp"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Where ssh's configuration keeps connections for others (ControlMaster, ControlPersist) and none
// is up, flock logs in itself, and has ssh make one when the work is done: the next command finds
// it. Where flock cannot log in and ssh can, as with a password or GSSAPI, ssh makes it first.

// startsOne is what a login of ssh's has, beside the way, that is to lead to a connection for
// others: a command that ends at once. Where another has made one in the meantime the command
// goes through that, and nothing stays behind. It opens no ports, and runs nothing else; flock has
// checked the host key, and asked about one that is new.
var startsOne = []string{"-n", "-T", "-o", "StrictHostKeyChecking=yes", "-o", "RemoteCommand=none", "-o", "PermitLocalCommand=no", "-o", "ClearAllForwardings=yes", "-o", "ConnectTimeout=15"}

// starting are the arguments of such a login to t.
func (d *Dialer) starting(t Target, asks bool) []string {
	args := slices.Clone(startsOne)
	if !asks {
		args = append(args, "-o", "BatchMode=yes")
	}
	return append(append(args, d.SSHArgs(t)...), "true")
}

// wants finds out whether ssh is to make a connection to t, while flock does its work. The
// channel has one answer; nil: no.
func (d *Dialer) wants(ctx context.Context, t Target) chan bool {
	c, to := d.masters(t)
	if c == nil {
		return nil
	}
	ctx, out := context.WithoutCancel(ctx), make(chan bool, 1)
	go func() { out <- canListen(c.Control(ctx, to)) && c.Starts(ctx, to) }()
	return out
}

// canListen says whether ssh can make a socket at path.
func canListen(path string) bool {
	return path != "" && len(path) <= longestSocket && unix.Access(filepath.Dir(path), unix.W_OK|unix.X_OK) == nil
}

// Bounds of connections that ssh makes in the background.
const (
	wantsWithin = time.Second // how long a command waits at its end for what the configuration says
	mostStarted = 64          // how many logins one command has begun at most

	// graceTime is how long a person has who is asked: sshd's LoginGraceTime if nothing else is
	// configured (sshd_config(5)).
	graceTime = 2 * time.Minute
)

// bounded runs ssh with its arguments for a minute at most: neither ConnectTimeout nor a server
// that hangs ends a login. What ssh has put into the background by then stays. It looks
// each second: a shell that kills a sleep may come before that is one, and leaves it.
const bounded = `ssh "$@" & p=$! n=0
while kill -0 $p && [ $n -lt 60 ]; do sleep 1; n=$((n+1)); done
kill $p`

// leaveMaster has ssh log in once more, in the background, if its connection is to stay. What it
// would have to ask for, it goes without.
func (l *link) leaveMaster() {
	t := l.route.target
	if l.wanted == nil || l.broken() != nil {
		return
	}
	select {
	case wanted := <-l.wanted:
		if !wanted || !l.d.mayStart(l.route) {
			return
		}
	case <-time.After(cmp.Or(l.d.wait, wantsWithin)):
		return // the next command may have more luck
	}
	cmd := exec.Command("/bin/sh", append([]string{"-c", bounded, "ssh"}, l.d.starting(t, false)...)...) //nolint:noctx // it outlives flock
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}                                                 // no terminal, and no Ctrl-C of flock's
	cmd.Env = append(os.Environ(), "SSH_ASKPASS_REQUIRE=never")                                          // for jump hosts, too
	if err := cmd.Start(); err != nil {
		return // the next command logs in, as this one did
	}
	l.d.say(t, "ssh makes a connection for the commands that follow")
	go func() { _ = cmd.Wait() }()
}

// mayStart says whether ssh may make a connection by r now: one by each way, and few by way of
// one jump host, where each costs a login (see maxStarts), or of proxies, which may all lead to one.
func (d *Dialer) mayStart(r *route) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.started == nil {
		d.started = map[string]int{}
	}
	const all = ""
	by := "by way of " + r.Jump
	direct := r.Jump+r.Proxy == ""
	if d.started[r.ID()] > 0 || d.started[all] >= mostStarted || !direct && d.started[by] >= maxStarts {
		return false
	}
	d.started[r.ID()]++
	d.started[all]++
	if !direct {
		d.started[by]++
	}
	return true
}

// byMaster has ssh log in where flock cannot, and says whether its connection is used then. It
// asks on the terminal, if there is one, for one server at a time.
func (l *link) byMaster(ctx context.Context) bool {
	t := l.route.target
	c, to := l.d.masters(t)
	if c == nil || l.stuck || !c.Starts(ctx, to) {
		return false
	}
	path := c.Control(ctx, to)
	if !canListen(path) {
		return false
	}
	asks, within := l.d.Secret != nil, l.d.timeout()*2
	if asks {
		within = graceTime
		l.d.meeting.Lock()
		defer l.d.meeting.Unlock()
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	if text, err := l.d.ssh(ctx, l.d.starting(t, asks), asks); err != nil {
		l.d.say(t, "ssh cannot log in either: %s", text)
		return false
	}
	return ownSocket(path) && l.joinAt(ctx, path)
}
