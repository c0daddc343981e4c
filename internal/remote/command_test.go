package remote

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// release writes to a named pipe, so that who reads it goes on; nobody need be there.
func release(t *testing.T, pipe string) {
	t.Helper()
	f, err := os.OpenFile(pipe, os.O_RDWR, 0) // fifo(7): this never waits
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("\n"); err != nil {
		t.Error(err)
	}
	t.Cleanup(func() { f.Close() })
}

// TestCommand: what a command prints, and how it ends, on a server and on this machine.
func TestCommand(t *testing.T) {
	s := (&sshServer{}).start(t)
	l := newLaptop(t, s)
	for _, target := range []Target{s.target(), {Name: Local}} {
		c, err := l.Dial(t.Context(), target)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		var out, errs bytes.Buffer
		status, err := c.Command(t.Context(), "echo out; echo err >&2; cat; exit 3", &out, &errs)
		if err != nil || status != 3 || out.String() != "out\n" || errs.String() != "err\n" {
			t.Errorf("%s: status %d, %v, out %q, err %q", target.Name, status, err, out.String(), errs.String())
		}
	}
}

// TestCommandIsKilled: a signal is an exit status, as shells have it, and no lost server.
func TestCommandIsKilled(t *testing.T) {
	s := (&sshServer{}).start(t)
	l := newLaptop(t, s)
	for _, target := range []Target{s.target(), {Name: Local}} {
		c, err := l.Dial(t.Context(), target)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		var out, errs bytes.Buffer
		if status, err := c.Command(t.Context(), "kill -SEGV $$", &out, &errs); err != nil || status != 139 { // what its sshd says of any
			t.Errorf("%s: status %d, %v", target.Name, status, err)
		}
	}
}

// TestCommandLeavesAChild: what goes on in the background does not keep us waiting, and is no
// fault.
func TestCommandLeavesAChild(t *testing.T) {
	c, err := newLaptop(t).Dial(t.Context(), Target{Name: Local})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	pipe := filepath.Join(t.TempDir(), "pipe")
	var out, errs bytes.Buffer
	status, err := c.Command(t.Context(), "mkfifo "+pipe+"; { read x <"+pipe+"; } & echo done", &out, &errs)
	if err != nil || status != 0 || out.String() != "done\n" {
		t.Errorf("status %d, %v: %q", status, err, out.String())
	}
	release(t, pipe)
}

// TestCommandHangsUp: nobody waits for a command that would never end when ctx has ended.
func TestCommandHangsUp(t *testing.T) {
	s := (&sshServer{}).start(t)
	l := newLaptop(t, s)
	for _, target := range []Target{s.target(), {Name: Local}} {
		c, err := l.Dial(t.Context(), target)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		ctx, cancel := context.WithCancel(t.Context())
		pipe := filepath.Join(t.TempDir(), "pipe")
		go func() { // it runs when the pipe is there
			tick := time.NewTicker(10 * time.Millisecond)
			defer tick.Stop()
			for _, err := os.Stat(pipe); err != nil && ctx.Err() == nil; _, err = os.Stat(pipe) {
				<-tick.C
			}
			cancel()
		}()
		var none bytes.Buffer
		status, err := c.Command(ctx, "mkfifo "+pipe+"; read x <"+pipe, &none, &none)
		if !errors.Is(err, context.Canceled) || status != lost {
			t.Errorf("%s: status %d, %v", target.Name, status, err)
		}
		if target.Name != Local { // nobody else ends it
			release(t, pipe)
		}
	}
}

// TestSSHArgs: ssh(1) understands them as we do.
func TestSSHArgs(t *testing.T) {
	if _, err := exec.LookPath("ssh"); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(config, []byte("Host web\n  HostName 10.9.9.9\n  User carl\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := &Dialer{SSHConfig: config, AcceptNew: true}
	for _, test := range []struct {
		t    Target
		want []string
	}{
		{Target{Name: "web"}, []string{"hostname 10.9.9.9", "user carl", "port 22", "stricthostkeychecking accept-new"}},
		{
			Target{Name: "s1", Host: "fd00::1", User: "root", Port: 2222, Identity: config, Jump: "carl@bastion:22"},
			[]string{"hostname fd00::1", "user root", "port 2222", "identityfile " + config, "proxyjump carl@bastion"},
		},
		{Target{Name: "s2", Host: "10.9.9.2"}, []string{"hostname 10.9.9.2", "port 22"}},
	} {
		args := d.SSHArgs(test.t)
		out, err := exec.CommandContext(t.Context(), "ssh", slices.Insert(slices.Clone(args), len(args)-2, "-G")...).CombinedOutput()
		if err != nil {
			t.Errorf("%v: %v: %s", args, err, out)
		}
		for _, want := range test.want {
			if !strings.Contains("\n"+string(out), "\n"+want) {
				t.Errorf("%v: want %q in\n%s", args, want, out)
			}
		}
	}
}

// TestSSHLogin: what the configuration of ssh says of a login is known without one.
func TestSSHLogin(t *testing.T) {
	dir := t.TempDir()
	config, known := filepath.Join(dir, "config"), filepath.Join(dir, "known")
	text := "Host web\n  HostName 10.9.9.9\n  User carl\n  Port 2222\n  IdentityFile " + config + "\nHost none\n  UserKnownHostsFile none\nHost *\n  UserKnownHostsFile " + known + "\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	d := &Dialer{SSHConfig: config}
	for _, test := range []struct {
		t    Target
		want SSHLogin
	}{
		{Target{Name: "web"}, SSHLogin{User: "carl", Named: true, Forget: "ssh-keygen -R '[10.9.9.9]:2222' -f " + known}},
		{Target{Name: "s1", Host: "10.9.9.1", User: "root"}, SSHLogin{User: "root", Forget: "ssh-keygen -R 10.9.9.1 -f " + known}},
		{Target{Name: "none", User: "root"}, SSHLogin{User: "root"}},
	} {
		have, err := d.SSHLogin(t.Context(), test.t)
		test.want.Args = d.SSHArgs(test.t)
		if err != nil || !reflect.DeepEqual(have, test.want) {
			t.Errorf("%s: want %+v, have %+v, %v", test.t.Name, test.want, have, err)
		}
	}
}
