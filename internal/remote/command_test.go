package remote

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

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

// TestCommandHangsUp: who waits no longer ends a command that would never end.
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
		time.AfterFunc(200*time.Millisecond, cancel)
		var none bytes.Buffer
		status, err := c.Command(ctx, "mkfifo "+pipe+"; read x <"+pipe, &none, &none)
		if !errors.Is(err, context.Canceled) || status != lost {
			t.Errorf("%s: status %d, %v", target.Name, status, err)
		}
		if target.Name != Local { // its sshd ends the command with the connection; this one's does not
			if err := os.WriteFile(pipe, []byte("\n"), 0o600); err != nil {
				t.Error(err)
			}
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
