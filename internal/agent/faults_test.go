//go:build linux

package agent

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/seed"
	"github.com/flocknet/flock/internal/spec"
)

// TestEveryFault lets each thing that an agent does fail once: what it opens, reads,
// writes, renames, removes, runs, sends to the kernel and hears from it, each at each place
// and there the first and the last time. An agent that says that it is done has done it all,
// whatever failed, and after one that says otherwise the next command puts the server right.
//
// It takes some of the faults at random; FLOCK_FAULTS=all takes them all (minutes).
func TestEveryFault(t *testing.T) {
	most, random := 6, seed.New(t)
	if os.Getenv("FLOCK_FAULTS") == "all" {
		most = 1 << 30
	}
	before := newMachine(t).remains()
	for _, w := range []world{{"segment", segmentWorld}, {"routed", routedWorld}} {
		m := newMachine(t)
		w.stand(m)
		standing := m.remains()
		for _, c := range []faultCase{
			{"apply", w.apply, standing, before},
			{"undo", w.undo, standing, ""},
			{"boot", w.boot, standing, ""},
			{"purge", w.purge, before, ""},
		} {
			faults := c.faults(t)
			t.Logf("%s %s: %d faults", w.name, c.name, len(faults))
			random.Shuffle(len(faults), func(i, j int) { faults[i], faults[j] = faults[j], faults[i] })
			for _, f := range faults[:min(most, len(faults))] {
				t.Run(fmt.Sprintf("%s/%s/%s, %d", w.name, c.name, f.place, f.nth), func(t *testing.T) {
					t.Parallel()
					c.try(t, f)
				})
			}
		}
	}
}

// world is a server's part of a cluster, with an MTU, by which two of it differ, and the
// public key of its WireGuard device.
type world struct {
	name string
	host func(mtu int, key string) *spec.Host
}

func segmentWorld(mtu int, _ string) *spec.Host { return testHost(mtu) }

// routedWorld is a member of a WireGuard mesh and of a pool routed through VXLAN.
func routedWorld(mtu int, key string) *spec.Host {
	h := poolHost(0, spec.VXLAN)
	h.Links[0].MTU = mtu
	h.Links = append(h.Links, spec.Link{Name: "wg-wirex", Network: "wirex", Kind: spec.WireGuard, MTU: 1440, Key: key, Port: 51820})
	h.Addrs = append(h.Addrs, spec.Addr{Link: "wg-wirex", Prefix: prefix("10.8.0.1/32")})
	h.Peers = []spec.Peer{{Link: "wg-wirex", Key: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE=", Endpoint: "10.99.0.2:51820", Allowed: []netip.Prefix{prefix("10.8.0.2/32")}}}
	h.Routes = append(h.Routes, spec.Route{Dst: prefix("10.8.0.2/32"), Dev: "wg-wirex", Proto: spec.RouteProto})
	h.Forwards = append(h.Forwards, spec.Forward{Network: "wirex", Link: "wg-wirex"})
	return h
}

// key is the server's public key, made if it has none.
func (w world) key(c *call) (string, error) {
	if len(w.host(1450, "").Peers) == 0 {
		return "", nil
	}
	reply, err := c.try(spec.Request{Op: spec.OpKeys, Want: emptyHost(), Keys: []string{"wg-wirex"}})
	if err != nil {
		return "", err
	}
	return reply.Keys["wg-wirex"], nil
}

// change makes the server what it is with mtu, from the key on, and leaves it unconfirmed.
func (w world) change(c *call, mtu int) error {
	key, err := w.key(c)
	if err != nil {
		return err
	}
	want := w.host(mtu, key)
	if _, err = c.try(spec.Request{Op: spec.OpPlan, Want: want}); err != nil {
		return err
	}
	_, err = c.try(spec.Request{Op: spec.OpApply, Want: want})
	return err
}

// stand makes the server what it is with an MTU of 1450.
func (w world) stand(m *machine) {
	m.t.Helper()
	c := m.call()
	if err := w.change(c, 1450); err != nil {
		m.t.Fatal(err)
	}
	c.must(spec.Request{Op: spec.OpConfirm})
	c.hangUp()
}

type fault struct {
	place string
	nth   int
}

// faultCase is one of the agent's works. run does it with f, on a machine of its own, and
// says whether the agent said that it is done; again does it, or what it was to end in,
// without a fault.
type faultCase struct {
	name   string
	run    func(m *machine, f fault) (done bool, said string, i *injector, again func())
	after  string // traces of the machine when it is done,
	undone string // and when it is not; "" says nothing
}

// faults lists what may fail.
func (c faultCase) faults(t *testing.T) []fault {
	t.Helper()
	done, said, i, _ := c.run(newMachine(t), fault{})
	seen, _ := i.done()
	if !done {
		t.Fatalf("%s without any fault: %s", c.name, said)
	}
	var list []fault
	for _, place := range slices.Sorted(maps.Keys(seen)) {
		list = append(list, fault{place, 1})
		if seen[place] > 1 {
			list = append(list, fault{place, seen[place]})
		}
	}
	return list
}

func (c faultCase) try(t *testing.T, f fault) {
	m := newMachine(t)
	done, said, i, again := c.run(m, f)
	if _, hit := i.done(); !hit {
		t.Logf("did not come to pass")
	}
	have := m.remains()
	if done {
		if have != c.after {
			t.Errorf("it said that it is done: want\n%s\nhave\n%s\n%s", c.after, have, said)
		}
		return
	}
	t.Logf("it failed: %s", said)
	if c.undone != "" && have != c.after { // whose confirmation was not heard
		m.until("it is taken back", func() bool { return m.remains() == c.undone })
	}
	again()
	if have := m.remains(); have != c.after {
		t.Errorf("after the next command: want\n%s\nhave\n%s", c.after, have)
	}
}

var carrier = regexp.MustCompile(` +(UP|DOWN|UNKNOWN) +|NO-CARRIER,|linkdown +`)

// remains are a machine's traces without what passes: a carrier that the kernel tells of
// later, and the lock of an agent that could not lock, or could not look whether anybody
// else needs it, which the next session takes away.
func (m *machine) remains() string {
	m.t.Helper()
	traces := carrier.ReplaceAllString(m.traces(), "")
	alone := "/run/flock\n/run/flock/lock\n"
	if strings.Contains(traces, alone+"/run/flock/") {
		return traces
	}
	return strings.NewReplacer(alone, "", "/run/flock\n/run/mount", "/run/mount").Replace(traces)
}

// faulty is call to an agent with an injector, which is not armed yet.
func (m *machine) faulty() (*call, *injector) {
	m.t.Helper()
	cmd := m.agent("serve")
	i := inject(m.t, cmd)
	return m.callBy(cmd, func() { i.started(cmd) }), i
}

// try is ask for what may go wrong in every way: what went wrong, an answer that does not
// come included.
func (c *call) try(r spec.Request) (spec.Reply, error) {
	var reply spec.Reply
	if err := c.conn.Send(r); err != nil {
		return reply, err
	}
	for reply = (spec.Reply{}); !reply.Done; {
		if err := c.out.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
			return reply, err
		}
		reply = spec.Reply{}
		if err := c.conn.Receive(&reply); err != nil {
			return reply, fmt.Errorf("await reply: %w", err)
		}
	}
	switch p := reply.Report; {
	case reply.Error != nil:
		return reply, reply.Error
	case r.Op == spec.OpPlan && (reply.Plan == nil || len(reply.Plan.Problems) > 0):
		return reply, fmt.Errorf("%+v", reply.Plan)
	case r.Op == spec.OpKeys && len(reply.Keys) == 0:
		return reply, errors.New("no keys")
	case r.Op != spec.OpPlan && r.Op != spec.OpKeys && (p == nil || len(p.Pending) > 0 || p.Left > 0):
		return reply, fmt.Errorf("%+v", p)
	case p != nil && p.Error != nil:
		return reply, p.Error
	}
	return reply, nil
}

// leave ends the session: how the agent ended.
func (c *call) leave() error {
	c.over = true
	late := time.AfterFunc(5*time.Minute, func() { _ = c.cmd.Process.Kill() }) // above all of the agent's own limits
	defer late.Stop()
	return errors.Join(c.in.Close(), c.cmd.Wait())
}

func outcome(c *call, errs ...error) (bool, string) {
	err := errors.Join(errs...)
	return err == nil, fmt.Sprintf("%v: %s", err, c.said.String())
}

func (w world) apply(m *machine, f fault) (bool, string, *injector, func()) {
	c, i := m.faulty()
	i.arm(f.place, f.nth)
	err := w.change(c, 1450)
	if err == nil {
		_, err = c.try(spec.Request{Op: spec.OpConfirm})
	}
	done, said := outcome(c, err, c.leave())
	return done, said, i, func() { w.stand(m) }
}

func (w world) undo(m *machine, f fault) (bool, string, *injector, func()) {
	w.stand(m)
	c, i := m.faulty()
	if err := w.change(c, 1400); err != nil {
		m.t.Fatal(err)
	}
	i.arm(f.place, f.nth)
	done, said := outcome(c, c.leave())
	return done, said, i, func() { w.stand(m) }
}

func (w world) boot(m *machine, f fault) (bool, string, *injector, func()) {
	w.stand(m)
	m.sh(`for p in /run/flock/*/*.pid; do kill $(cat $p); while kill -0 $(cat $p) 2>/dev/null; do :; done; done
		rm -r /run/flock; nft flush ruleset; echo 0 >/proc/sys/net/ipv4/ip_forward
		for l in vxl0 vxl0-vx n1-vx; do test ! -e /sys/class/net/$l || ip link del $l; done`)
	cmd := m.agent("boot")
	i := inject(m.t, cmd)
	c := &call{t: m.t, cmd: cmd}
	cmd.Stdout, cmd.Stderr = &c.said, &c.said
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	i.arm(f.place, f.nth)
	i.started(cmd)
	late := time.AfterFunc(5*time.Minute, func() { _ = cmd.Process.Kill() }) // above all of Boot's own limits
	defer late.Stop()
	done, said := outcome(c, cmd.Wait())
	return done, said, i, m.boot
}

func (w world) purge(m *machine, f fault) (bool, string, *injector, func()) {
	w.stand(m)
	c, i := m.faulty()
	i.arm(f.place, f.nth)
	_, err := c.try(spec.Request{Op: spec.OpPurge, Want: emptyHost()})
	done, said := outcome(c, err, c.leave())
	return done, said, i, func() {
		c := m.call()
		c.must(spec.Request{Op: spec.OpPurge, Want: emptyHost()})
		c.hangUp()
	}
}
