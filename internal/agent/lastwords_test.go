//go:build linux

package agent

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/lab"
	"github.com/flocknet/flock/internal/spec"
)

// Without systemd the agent itself hears why a daemon does not start.
func TestDaemonSaysWhyItDoesNotStart(t *testing.T) {
	lab.Need(t, "ip", "nft", "unshare", "nsenter")
	m := newMachine(t)
	c := m.call()
	want := udpHost(0)
	c.must(spec.Request{Op: spec.OpPlan, Want: want})
	m.sh("mkdir -p /run/flock/test.d/udp-u1.pid; mount -t tmpfs none /run/flock/test.d/udp-u1.pid") // since the plan
	reply := c.ask(spec.Request{Op: spec.OpApply, Want: want})
	if reply.Report == nil || reply.Report.Error == nil || !strings.Contains(reply.Report.Error.What, "it said: ") ||
		!strings.Contains(reply.Report.Error.What, "udp-u1.pid: ") {
		t.Errorf("have %+v, %+v", reply.Error, reply.Report)
	}
	if next := reply.Report.Error.Next; !strings.Contains(next, "agent udp u1") {
		t.Errorf("advice %q", next)
	}
	m.sh("umount /run/flock/test.d/udp-u1.pid; rm -rf /run/flock/test.d/udp-u1.pid")
	c.hangUp()
	c = m.call()
	c.must(spec.Request{Op: spec.OpApply, Want: want})
	c.must(spec.Request{Op: spec.OpConfirm})
	c.hangUp()
	if to := m.sh("readlink /proc/$(cat /run/flock/test.d/udp-u1.pid)/fd/2"); to != "/dev/null\n" {
		t.Errorf("a daemon that is ready goes on to fill memory: %s", to)
	}
}

// Somebody who takes a port after the plan is named by the apply.
func TestHolderOfDNSIsNamedByApply(t *testing.T) {
	lab.Need(t, "ip", "nft", "dnsmasq", "unshare", "nsenter")
	m := newMachine(t)
	c := m.call()
	c.must(spec.Request{Op: spec.OpPlan, Want: testHost(1450)})
	m.hold("tcp4", "0.0.0.0:53")
	reply := c.ask(spec.Request{Op: spec.OpApply, Want: testHost(1450)})
	c.hangUp()
	if reply.Report == nil || reply.Report.Error == nil {
		t.Fatalf("have %+v, %+v", reply.Error, reply.Report)
	}
	what, next := reply.Report.Error.What, reply.Report.Error.Next
	if !strings.Contains(what, "Address already in use") || !strings.Contains(what, "TCP port 53 of 10.0.4.254 is in use by agent.test (process ") ||
		!strings.Contains(next, "stop agent.test") || !reply.Report.Undone {
		t.Errorf("have %q, next %q, undone %v", what, next, reply.Report.Undone)
	}
}

// TestPortOfOthersKeepsOnlyItsOwnAway: what was confirmed comes back at boot as far as it
// can, whoever has the port of the DNS server, and all of it when the port is free.
func TestPortOfOthersKeepsOnlyItsOwnAway(t *testing.T) {
	lab.Need(t, "ip", "nft", "dnsmasq", "unshare", "nsenter")
	m := newMachine(t)
	want := testHost(1450)
	pool := []netip.Prefix{netip.MustParsePrefix("10.0.4.0/24")}
	want.Envs = []spec.SubnetEnv{{Network: "n1", Pools: pool, Subnets: pool, MTU: 1400}}
	m.stand(want)
	m.sh("kill $(cat /run/flock/test.d/*.pid); ip link del vxl0-vx; ip link del vxl0; nft flush ruleset; rm -r /run/flock")
	release := m.hold("tcp4", "0.0.0.0:53")
	boot := m.agent("boot")
	var said bytes.Buffer
	boot.Stdout, boot.Stderr = &said, &said
	if err := boot.Start(); err != nil {
		t.Fatal(err)
	}
	m.until("what needs no port is back", func() bool { return m.command("test", "-e", "/run/flock/n1/subnet.env").Run() == nil })
	c := m.call()
	status := c.must(spec.Request{Op: spec.OpStatus, Want: want}).Plan
	c.hangUp()
	if len(status.Steps) != 1 || !strings.HasPrefix(status.Steps[0].Object, "dhcp ") {
		t.Errorf("beside DHCP is missing: %v", status.Steps)
	}
	if len(status.Problems) != 1 || !strings.Contains(status.Problems[0].What, "port 53 of 10.0.4.254 is in use by agent.test (process ") {
		t.Errorf("the status does not name who has the port: %v", status.Problems)
	}
	release()
	if err := boot.Wait(); err != nil {
		t.Errorf("boot, with the port free: %v\n%s", err, &said)
	}
	if pid := m.sh("cat /run/flock/test.d/*.pid"); pid == "" {
		t.Error("no dnsmasq runs")
	}
}
