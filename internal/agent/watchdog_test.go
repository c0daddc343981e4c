//go:build linux

package agent

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/agent/unit"
	"github.com/flocknet/flock/internal/spec"
)

// stuck lets the next dnsmasq that an apply starts hang, those after it not, and returns
// the file that its number is in then.
func stuck(t *testing.T) string {
	t.Helper()
	bin := t.TempDir()
	mark := filepath.Join(bin, "mark")
	real, err := unit.LookPath("dnsmasq")
	if err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf("#!/bin/sh\n[ \"$1\" != --test ] && mkdir %[1]s.once 2>/dev/null || exec %[2]s \"$@\"\necho $$ >%[1]s\nexec tail -f /dev/null\n", mark, real)
	if err := os.WriteFile(filepath.Join(bin, "dnsmasq"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	t.Cleanup(func() {
		if pid, err := unit.PIDIn(mark, func(args []string) bool { return args[0] == "tail" }); err != nil {
			t.Error(err)
		} else if pid != 0 {
			if err := unix.Kill(pid, unix.SIGKILL); err != nil {
				t.Error(err)
			}
		}
	})
	return mark
}

// stuckCall begins a change to want that hangs in the middle.
func (m *machine) stuckCall(want *spec.Host) *call {
	m.t.Helper()
	mark := stuck(m.t.(*testing.T))
	c := m.call()
	c.must(spec.Request{Op: spec.OpPlan, Want: want})
	if err := c.conn.Send(spec.Request{Op: spec.OpApply, Want: want}); err != nil {
		m.t.Fatal(err)
	}
	m.until("the change is half done", func() bool { return sysfile.Exists(mark) && m.sh("ip -o link show type vxlan") != "" })
	return c
}

// end kills the agent alone, or its watchdog too.
func (c *call) end(watchdog bool) {
	c.t.Helper()
	pid := c.cmd.Process.Pid
	if watchdog {
		all, err := filepath.Glob("/proc/[0-9]*/cmdline")
		if err != nil {
			c.t.Fatal(err)
		}
		found := 0
		for _, path := range all {
			line, _ := os.ReadFile(path) // others come and go
			status, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "status"))
			child, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			if err != nil || !strings.Contains(string(line), "\x00undo\x00") || !strings.Contains(string(status), fmt.Sprintf("\nPPid:\t%d\n", pid)) {
				continue
			}
			if err := unix.Kill(child, unix.SIGKILL); err != nil {
				c.t.Fatal(err)
			}
			found++
		}
		if found != 1 {
			c.t.Fatalf("%d watchdogs", found)
		}
	}
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		c.t.Fatal(err)
	}
	c.over = true
	c.alive.End()
	_ = c.cmd.Wait()
}

func (m *machine) until(what string, is func() bool) {
	m.t.Helper()
	tick, end := time.NewTicker(50*time.Millisecond), time.After(60*time.Second)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-end:
			m.t.Fatalf("waited in vain until %s: %s", what, m.traces())
		}
	}
}

func (m *machine) stand(want *spec.Host) {
	m.t.Helper()
	c := m.call()
	c.must(spec.Request{Op: spec.OpApply, Want: want})
	c.must(spec.Request{Op: spec.OpConfirm})
	c.hangUp()
}

// TestKilledAgentIsTakenBack: a change whose agent is killed in the middle of it goes, the
// first one of a server without a trace.
func TestKilledAgentIsTakenBack(t *testing.T) {
	for what, confirmed := range map[string]bool{"first": false, "second": true} {
		t.Run(what, func(t *testing.T) {
			m := newMachine(t)
			if confirmed {
				m.stand(testHost(1450))
			}
			before := m.traces()
			m.stuckCall(testHost(1400)).end(false)
			m.until("all is as before", func() bool { return m.traces() == before })
		})
	}
}

// TestKilledWithItsWatchdog: then the next command finds a change that was begun and ends
// it, and a reboot takes it back.
func TestKilledWithItsWatchdog(t *testing.T) {
	m := newMachine(t)
	m.stand(testHost(1450))
	before := m.traces()
	m.stuckCall(testHost(1400)).end(true)
	if !sysfile.Exists(fmt.Sprintf("/proc/%s/root/var/lib/flock/test/%s", m.pid, host.PendingFile)) {
		t.Error("nothing is noted")
	}
	c := m.call()
	if plan := c.must(spec.Request{Op: spec.OpPlan, Want: testHost(1400)}).Plan; len(plan.Steps) == 0 || len(plan.Problems) > 0 {
		t.Errorf("plan of the same: %+v", plan)
	}
	if plan := c.must(spec.Request{Op: spec.OpPlan, Want: testHost(1450)}).Plan; len(plan.Steps) == 0 || len(plan.Problems) > 0 {
		t.Errorf("plan of what was confirmed: %+v", plan)
	}
	c.hangUp()
	m.boot()
	if after := m.traces(); after != before {
		t.Errorf("want\n%s\nhave\n%s", before, after)
	}
	m.stuckCall(testHost(1400)).end(true)
	m.stand(testHost(1400))
	m.mtu(1400)
}

// TestHangingAgentIsEnded: one that neither answers nor ends is killed when its time is
// over, and what it did is taken back.
func TestHangingAgentIsEnded(t *testing.T) {
	m := newMachine(t)
	m.stand(testHost(1450))
	before := m.traces()
	m.sh("ip link set vxl0 mtu 1400; echo {} >/var/lib/flock/test/" + host.PendingFile)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// The shell is the agent that hangs: the parent, at the other end of the pipe.
	hung := m.command("sh", "-c", `{ echo $$ 1; exec tail -f /dev/null; } | "$0" agent undo test`, self)
	if err := hung.Start(); err != nil {
		t.Fatal(err)
	}
	if err := hung.Wait(); err == nil {
		t.Error("it was not killed")
	}
	m.until("all is as before", func() bool { return m.traces() == before })
}

// TestWatchdogLeavesWhatIsConfirmed, whatever ends the agent then.
func TestWatchdogLeavesWhatIsConfirmed(t *testing.T) {
	m := newMachine(t)
	c := m.call()
	c.must(spec.Request{Op: spec.OpApply, Want: testHost(1450)})
	c.must(spec.Request{Op: spec.OpConfirm})
	standing := m.traces()
	c.end(false)
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	late := m.command(self, "agent", "undo", "test") // of an agent that died just now
	late.Stdin = in
	if err := errors.Join(late.Start(), in.Close(), out.Close(), late.Wait()); err != nil {
		t.Fatal(err)
	}
	if after := m.traces(); after != standing {
		t.Errorf("want\n%s\nhave\n%s", standing, after)
	}
}

// TestHungWireGuardHoldsNobody: a process that listens and says nothing is one that does
// not answer, and is replaced.
func TestHungWireGuardHoldsNobody(t *testing.T) {
	t.Setenv(hasty, "1")
	m := newMesh(t, 2)
	m.up(0, 1)
	s := m.machines[0]
	if !strings.Contains(s.sh("ip -d link show wg-wirex"), " tun ") {
		t.Log("the kernel has WireGuard: no process to stop")
		return
	}
	s.sh("kill -STOP $(cat /run/flock/test.d/wg-wg-wirex.pid)")
	m.machines[0].until("every thread has stopped", func() bool {
		return s.sh("cat /proc/$(cat /run/flock/test.d/wg-wg-wirex.pid)/task/*/status | grep State: | grep -v T || true") == ""
	})
	c := s.call()
	reply := c.must(spec.Request{Op: spec.OpPlan, Want: m.host(0, 0, 1)})
	if plan := stepText(reply.Plan.Steps); !strings.Contains(plan, "~ link wg-wirex: key none -> ") {
		t.Errorf("plan while the process hangs: %s, %+v", plan, reply.Plan)
	}
	c.make(m.host(0, 0, 1), "any")
	m.ping(0, 1)
}
