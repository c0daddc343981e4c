//go:build linux

package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/wire"
)

// A change is left, or stopped, after each of these.
var stages = []string{"plan", "half an apply", "apply"}

// reach brings a change of a machine that has a confirmed one to a stage.
func (m *machine) reach(stage string) *call {
	m.t.Helper()
	want := testHost(1400)
	if stage == "half an apply" {
		return m.stuckCall(want)
	}
	c := m.call()
	c.must(spec.Request{Op: spec.OpPlan, Want: want, Holder: "ann@laptop"})
	if stage == "apply" {
		c.must(spec.Request{Op: spec.OpApply, Want: want})
		m.mtu(1400)
	}
	return c
}

// ended waits for an agent that ends by itself, or is ended.
func (c *call) ended(m *machine) {
	c.t.Helper()
	c.over = true
	c.alive.End()
	m.until("the agent has ended", func() bool {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_PID, c.cmd.Process.Pid, &info, unix.WEXITED|unix.WNOWAIT|unix.WNOHANG, nil)
		return err == nil && info.Signo != 0
	})
	_ = c.cmd.Wait() // how it ended is the test's to say
}

// TestSilentWorkstation: the cable is cut, the laptop closed; the connection stays open
// for hours. The agent ends by itself, takes back what was not confirmed and lets go.
func TestSilentWorkstation(t *testing.T) {
	t.Setenv(hurried, "200ms")
	for _, stage := range stages {
		t.Run(stage, func(t *testing.T) {
			m := newMachine(t)
			m.stand(testHost(1450))
			before := m.traces()
			c := m.reach(stage)
			c.alive.End()
			c.ended(m)
			if !strings.Contains(c.said.String(), errSilent.Error()) {
				t.Errorf("its last words: %s", c.said.String())
			}
			m.until("all is as before", func() bool { return m.traces() == before })
			next := m.call()
			if next.must(spec.Request{Op: spec.OpPlan, Want: testHost(1450)}); len(next.progress) > 0 {
				t.Errorf("the lock was not free: %q", next.progress)
			}
			next.hangUp()
		})
	}
}

// TestStoppedAgent: whoever comes next ends it and goes on; it changes nothing when it is
// woken. What it began is taken back.
func TestStoppedAgent(t *testing.T) {
	t.Setenv(hurried, "200ms")
	for _, stage := range stages {
		t.Run(stage, func(t *testing.T) {
			m := newMachine(t)
			m.stand(testHost(1450))
			before := m.traces()
			c := m.reach(stage)
			if err := unix.Kill(c.cmd.Process.Pid, unix.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			next := m.call()
			next.must(spec.Request{Op: spec.OpPlan, Want: testHost(1450)})
			said := strings.Join(next.progress, "\n")
			if stage == "plan" && !strings.Contains(said, "waiting for ann@laptop (pid "+fmt.Sprint(c.cmd.Process.Pid)+") since ") {
				t.Errorf("who waited was told %q", said)
			}
			if stage == "plan" && !strings.Contains(said, "which gave no sign of life for 1s, and has been ended") {
				t.Errorf("who took over was told %q", said)
			}
			_ = unix.Kill(c.cmd.Process.Pid, unix.SIGCONT) // our child: nobody else has its number
			c.ended(m)
			if state := c.cmd.ProcessState; state.ExitCode() != -1 {
				t.Errorf("it ended with %v", state)
			}
			next.hangUp()
			m.until("all is as before", func() bool { return m.traces() == before })
		})
	}
}

// TestStoppedAgentIsEndedByItsWatchdog: nobody has to come.
func TestStoppedAgentIsEndedByItsWatchdog(t *testing.T) {
	t.Setenv(hurried, "200ms")
	m := newMachine(t)
	m.stand(testHost(1450))
	before := m.traces()
	c := m.reach("apply")
	if err := unix.Kill(c.cmd.Process.Pid, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	c.ended(m)
	m.until("all is as before", func() bool { return m.traces() == before })
}

// TestBusyAgentBreathes: one that works, or waits for a workstation that thinks, is waited
// for, however long that takes.
func TestBusyAgentBreathes(t *testing.T) {
	t.Setenv(hurried, "100ms")
	m := newMachine(t)
	first, second := m.call(), m.call()
	first.must(spec.Request{Op: spec.OpPlan, Want: testHost(1450), Holder: "ann@laptop"})
	asked := time.Now()
	if err := second.conn.Send(spec.Request{Op: spec.OpPlan, Want: testHost(1450)}); err != nil {
		t.Fatal(err)
	}
	signs := 0
	for time.Since(asked) < 3*host.BreathlessBeats*100*time.Millisecond {
		var reply spec.Reply
		if err := second.conn.Receive(&reply); err != nil || reply.Done {
			t.Fatalf("while the first one is there: %+v, %v", reply, err)
		}
		if reply.Progress == "" {
			signs++
		} else if !strings.Contains(reply.Progress, "which was alive 0s ago") {
			t.Errorf("told %q", reply.Progress)
		}
	}
	if signs < host.BreathlessBeats {
		t.Errorf("%d signs of life from an agent that waits", signs)
	}
	first.hangUp()
	if reply := second.reply(); reply.Error != nil {
		t.Error(reply.Error)
	}
	second.hangUp()
}

// TestOnlyTheHolderIsEnded: a note that names another process, or that cannot be read, ends
// nobody.
func TestOnlyTheHolderIsEnded(t *testing.T) {
	bystander := exec.Command("cat")
	in, err := bystander.StdinPipe()
	if err := errors.Join(err, bystander.Start()); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "lock")
	l, err := host.TakeLock(t.Context(), path, "ann", "", time.Second, nil)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	pid := bystander.Process.Pid
	notes := []string{
		"", "\n\n\n", "ann", "ann (pid 1)\n\n1 1 1", "ann\n\n-1 1 1", "ann\n\n0 0 0", "ann\n\n99999999999999999999 1 1",
		fmt.Sprintf("ann\n\n%d 1 1", pid), fmt.Sprintf("ann\n\n%d 1 1", os.Getppid()), fmt.Sprintf("ann\n\n%d", os.Getpid()),
		"\x00\xff\n\n" + strings.Repeat("7", 100000), string(whole[:len(whole)-5]),
	}
	for _, text := range notes {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := host.TakeLock(context.Background(), path, "bob", "", 60*time.Millisecond, func(string) {})
		if err == nil {
			t.Errorf("%q: taken", text)
		}
	}
	if err := errors.Join(in.Close(), bystander.Wait(), l.Release(true)); err != nil {
		t.Errorf("the bystander: %v", err)
	}
}

// TestSignsOfLifeAreKnown: they are taken out while a request is worked on, without being read.
func TestSignsOfLifeAreKnown(t *testing.T) {
	if have, err := wire.Marshal(&spec.Request{Op: spec.OpAlive}); err != nil || string(have) != spec.Alive {
		t.Errorf("want %s, have %s, %v", spec.Alive, have, err)
	}
}
