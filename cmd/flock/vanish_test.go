//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/lab"
)

// freeWithin is how long after one side vanished its server may be locked, and not as it
// was confirmed.
const freeWithin = 45 * time.Second

// vanishing is a lab in which each server has a cluster, and a laptop's command, of its
// own, so that all of them can be left in the middle at the same moment.
type vanishing struct {
	t         *testing.T
	l         *lab.Lab
	bin, work string
}

// scene is one change that one side vanishes from.
type scene struct {
	*vanishing
	t             *testing.T
	server        string
	step, vanish  string
	before        []byte // listing
	flock         *exec.Cmd
	said          bytes.Buffer
	vanished      time.Time
	confirmedFile []byte // the cluster file before the change
}

// TestOneSideVanishes cuts the cable, stops or kills either side, in each step of a
// change: the lock is free and the server as it was confirmed 45 seconds later.
func TestOneSideVanishes(t *testing.T) {
	t.Parallel()
	lab.Need(t, "ip", "nft", "nsenter", "sshd", "dnsmasq", "script")
	steps := []string{"plan", "question", "apply", "confirm"}
	ways := []string{"cut", "stop agent", "stop flock", "kill flock"}
	v := &vanishing{t: t, bin: build(t), work: t.TempDir()}
	n := len(steps) * len(ways)
	l, err := lab.Up(t.Context(), lab.Options{N: n + 1, Init: lab.None, Dir: filepath.Join(v.work, "lab"), Share: []string{v.bin, v.work}, Bound: true})
	if err != nil {
		t.Fatal(err)
	}
	v.l = l
	t.Cleanup(func() {
		if err := l.Down(context.Background()); err != nil {
			t.Error(err)
		}
	})
	silent := &scene{vanishing: v, t: t, server: fmt.Sprintf("s%d", n+1)}
	for i := range ways {
		s := &scene{vanishing: v, t: t, server: fmt.Sprintf("s%d", i+1)}
		s.run("addserver", "silent", "root@10.99.0."+silent.server[1:])
	}
	silent.on(wall)
	var all sync.WaitGroup
	for i := range n {
		// Not by t.Parallel, which runs as many at once as there are processors: they wait.
		all.Go(func() {
			t.Run(steps[i/len(ways)]+", "+ways[i%len(ways)], func(t *testing.T) {
				s := &scene{vanishing: v, t: t, server: fmt.Sprintf("s%d", i+1), step: steps[i/len(ways)], vanish: ways[i%len(ways)]}
				s.play()
			})
		})
	}
	all.Wait()
}

// slowDNS waits in the middle of an apply until it may go on.
const slowDNS = `mkdir -p /tmp/real; cp /usr/sbin/dnsmasq /tmp/real/dnsmasq
cat >/tmp/dnsmasq <<'END'
#!/bin/sh
if test "$1" != --test && ! test -e /tmp/go; then : >/tmp/mark; until test -e /tmp/go; do sleep 0.1; done; fi
exec /tmp/real/dnsmasq "$@"
END
chmod 755 /tmp/dnsmasq; : >/tmp/go; mount --bind /tmp/dnsmasq /usr/sbin/dnsmasq`

// wall loses every new connection to sshd and counts them.
const wall = `nft 'table inet wall { chain in { type filter hook input priority 0; tcp dport 22 ct state new counter drop; }; }'`

func (s *scene) play() {
	s.on(slowDNS)
	s.run("addserver", s.server, "root@10.99.0."+s.server[1:])
	s.run("createnetwork", "vx1", "vxlan")
	s.run("addnetwork", "vx1", s.server)
	s.run("createnetwork", "vx2", "vxlan")
	before, err := s.listing()
	if err != nil {
		s.t.Fatal(err)
	}
	file, err := os.ReadFile(s.file())
	if err != nil {
		s.t.Fatal(err)
	}
	s.before, s.confirmedFile = before, file
	s.begin()
	s.leave()
	s.free()
	if s.vanish == "cut" {
		if err := s.l.Join(s.t.Context(), s.server); err != nil {
			s.t.Fatal(err)
		}
	}
	s.open()
	var after []byte
	s.until("the server is as it was confirmed", func() bool {
		after, err = s.listing()
		return err == nil && bytes.Equal(after, before)
	}, func() string { return fmt.Sprintf("want\n%s\nhave %v\n%s", before, err, after) })
	if s.vanish == "stop agent" && s.step != "question" {
		s.ended()
	}
}

// numbers are those of nftables' objects, which are made anew on the way back.
var numbers = regexp.MustCompile(`"handle":[0-9]+,?`)

func (s *scene) listing() ([]byte, error) {
	text, err := listing(s.t.Context(), s.l, s.server)
	return numbers.ReplaceAll(text, nil), err
}

// open lets everybody in, and dnsmasq start at once.
func (s *scene) open() { s.on("nft delete table inet wall 2>/dev/null; : >/tmp/go") }

// begin starts the change and brings it to its step.
func (s *scene) begin() {
	args := []string{"addnetwork", "vx2", s.server}
	switch s.step {
	case "plan": // another server is waited for, which lets nobody in any more
		args = append(args, "silent", "--timeout", "20s")
	case "question":
		args = []string{"removenetwork", "vx1"}
	default:
		s.on("rm /tmp/go /tmp/mark 2>/dev/null; true")
	}
	line := fmt.Sprintf("echo $$ >%s.pid; exec flock %s", s.file(), strings.Join(args, " "))
	if s.step == "question" {
		line = fmt.Sprintf(`exec script -qec "sh -c 'echo \$\$ >%s.pid; exec flock %s'" /dev/null`, s.file(), strings.Join(args, " "))
	}
	s.flock = s.l.Command(context.Background(), lab.Laptop, "sh", "-c", line)
	s.flock.Env = s.env()
	s.flock.Stdout, s.flock.Stderr = &s.said, &s.said
	in, err := s.flock.StdinPipe() // stays open: a person who thinks
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = in.Close() })
	if err := s.flock.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.vanished = time.Now() // until it has
	switch s.step {
	case "plan":
		s.reached(`grep -q 'flock addnetwork vx2' /run/flock/lock`)
	case "question":
		s.until("the question is asked", func() bool {
			_, err := os.Stat(s.file() + ".pid")
			return err == nil && s.l.Command(s.t.Context(), s.server, "pgrep", "-f", "agent serve").Run() == nil
		}, s.said.String)
	case "apply":
		s.reached("test -e /tmp/mark")
	case "confirm":
		s.reached("test -e /tmp/mark")
		s.on(wall + "; : >/tmp/go")
		s.reached("nft list table inet wall | grep -q 'packets [1-9]'")
	}
}

// leave has one side vanish.
func (s *scene) leave() {
	pid := "$(cat " + s.file() + ".pid)"
	switch s.vanish {
	case "cut":
		if err := s.l.Cut(s.t.Context(), s.server); err != nil {
			s.t.Fatal(err)
		}
	case "stop agent":
		s.on(`kill -STOP $(pgrep -f 'agent serve' | head -1)`)
	case "stop flock":
		s.command(lab.Laptop, "sh", "-c", "kill -STOP "+pid)
	case "kill flock":
		s.command(lab.Laptop, "sh", "-c", "kill -KILL "+pid)
	}
	s.vanished = time.Now()
}

// free waits until the next one gets the lock. Who was stopped is only ended when there is
// a next one, or something to take back.
func (s *scene) free() {
	if s.vanish == "stop agent" {
		s.open()
		next := s.file() + ".next"
		if err := os.WriteFile(next, s.confirmedFile, 0o600); err != nil {
			s.t.Fatal(err)
		}
		text, err := s.flockWith(next, "apply", "vx1").CombinedOutput()
		if err != nil || time.Since(s.vanished) > freeWithin {
			s.t.Errorf("the next one, %v after: %v: %s", time.Since(s.vanished).Round(time.Second), err, text)
		}
		return
	}
	s.until("the lock is free", func() bool {
		return s.l.Command(s.t.Context(), s.server, "/usr/bin/flock", "-n", "/run/flock/lock", "true").Run() == nil
	}, func() string { return "" })
	s.t.Logf("the lock was free after %v", time.Since(s.vanished).Round(time.Second))
}

// ended is the end of a command whose agent was stopped: that server alone failed.
func (s *scene) ended() {
	err := s.flock.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 3 {
		s.t.Errorf("exit status 3 is wanted, have %v: %s", err, s.said.String())
	}
}

func (s *scene) reached(test string) {
	s.t.Helper()
	s.until(s.step+" is reached", func() bool {
		return s.l.Command(s.t.Context(), s.server, "sh", "-c", test).Run() == nil
	}, func() string { return s.said.String() })
}

// until polls what is to be so within freeWithin after one side vanished.
func (s *scene) until(what string, is func() bool, why func() string) {
	s.t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		if time.Since(s.vanished) > freeWithin {
			s.t.Fatalf("%s: not within %v: %s", what, freeWithin, why())
		}
		<-tick.C
	}
}

func (s *scene) on(script string) { s.t.Helper(); s.command(s.server, "sh", "-c", script) }

func (s *scene) command(host string, argv ...string) {
	s.t.Helper()
	if text, err := s.l.Command(s.t.Context(), host, argv...).CombinedOutput(); err != nil {
		s.t.Fatalf("%s: %q: %v: %s", host, argv, err, text)
	}
}

func (s *scene) run(args ...string) {
	s.t.Helper()
	if text, err := s.flockWith(s.file(), args...).CombinedOutput(); err != nil {
		s.t.Fatalf("flock %q: %v: %s", args, err, text)
	}
}

func (s *scene) flockWith(file string, args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(s.t.Context(), 2*freeWithin)
	s.t.Cleanup(cancel)
	cmd := s.l.Command(ctx, lab.Laptop, append([]string{"flock", "--state", file}, args...)...)
	cmd.Env = s.env()
	return cmd
}

func (s *scene) file() string { return filepath.Join(s.work, s.server+".toml") }

func (s *scene) env() []string {
	return []string{
		"HOME=" + s.work, "USER=root", "NO_COLOR=1", "FLOCK_SSH_CONFIG=" + s.l.SSHConfig(), "FLOCK_CLUSTER=of-" + s.server, "FLOCK_STATE=" + s.file(),
		"PATH=" + s.bin + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	}
}
