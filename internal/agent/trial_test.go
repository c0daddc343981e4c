//go:build linux

package agent

import (
	"net"
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/lab"
	"github.com/flocknet/flock/internal/spec"
)

// inside runs f on a thread of its own in the machine's network: a socket that it
// opens stays the test's.
func (m *machine) inside(f func() error) {
	m.t.Helper()
	done := make(chan error)
	enter := func() error {
		ns, err := os.Open("/proc/" + m.pid + "/ns/net")
		if err != nil {
			return err
		}
		defer ns.Close()
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			return err
		}
		return f()
	}
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == os.Getpid() {
			// The first thread does not end with its goroutine, and killAll takes the network
			// that it is in for the program's. Held here, it is not the one that is taken.
			defer runtime.UnlockOSThread()
			taken := make(chan error)
			go func() {
				runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
				taken <- enter()
			}()
			done <- <-taken
			return
		}
		done <- enter() // never unlocked, either
	}()
	if err := <-done; err != nil {
		m.t.Fatal(err)
	}
}

// A trial of a kind of device must not take the agent itself to another network: it
// would see no sockets and no iptables from then on.
func TestTrialLeavesTheAgentWhereItIs(t *testing.T) {
	lab.Need(t, "ip", "unshare", "nsenter")
	m := newMachine(t)
	var held net.PacketConn
	m.inside(func() (err error) { held, err = net.ListenPacket("udp", "10.99.0.1:4790"); return err })
	defer held.Close()
	want := &spec.Host{
		Cluster: "test", Store: "store1", Server: "s1",
		Links: []spec.Link{
			// This kernel or Debian's lacks one of these, or has yet to be tried for it.
			{Name: "g1", Network: "g", Kind: spec.GRE, MTU: 1400, Tunnel: &spec.Tunnel{Local: addr("192.0.2.1"), Remote: addr("192.0.2.2")}},
			{Name: "g2", Network: "g", Kind: spec.IP6GRE, MTU: 1400, Tunnel: &spec.Tunnel{Local: addr("2001:db8::1"), Remote: addr("2001:db8::2")}},
		},
		Claims: []spec.Claim{{Network: "g", UDPPort: 4790}},
	}
	for i := range 12 {
		c := m.call()
		for j := range 4 {
			p := c.must(spec.Request{Op: spec.OpPlan, Want: want}).Plan
			if !strings.Contains(whatOf(p.Problems), "UDP port 4790 is in use by ") {
				t.Fatalf("session %d, plan %d does not see the port: %v", i+1, j+1, p.Problems)
			}
		}
		c.hangUp()
	}
}
