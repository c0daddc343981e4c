//go:build linux

package agent

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/spec"
)

// TestEveryFault lets each thing that an agent does fail once: what it opens, reads,
// writes, renames, removes, runs, sends to the kernel and hears from it, each at each place
// and there the first and the last time. An agent that says that it is done has done it all,
// whatever failed, and after one that says otherwise the next command puts the server right.
//
// It takes some of the faults, by a seed that it prints; FLOCK_FAULTS=all takes them all
// (minutes), FLOCK_FAULTS=SEED those of that run.
func TestEveryFault(t *testing.T) {
	before := newMachine(t).traces()
	m := newMachine(t)
	m.stand(testHost(1450))
	standing := m.traces()
	most, seed := 12, rand.Uint64()
	switch value := os.Getenv("FLOCK_FAULTS"); value {
	case "":
	case "all":
		most = 1 << 30
	default:
		var err error
		if seed, err = strconv.ParseUint(value, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("FLOCK_FAULTS=%d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for _, c := range []faultCase{
		{"apply", applyUnderFault, standing, before},
		{"undo", undoUnderFault, standing, ""},
		{"boot", bootUnderFault, standing, ""},
		{"purge", purgeUnderFault, before, ""},
	} {
		faults := c.faults(t)
		t.Logf("%s: %d faults", c.name, len(faults))
		random.Shuffle(len(faults), func(i, j int) { faults[i], faults[j] = faults[j], faults[i] })
		for _, f := range faults[:min(most, len(faults))] {
			t.Run(fmt.Sprintf("%s/%s, %d", c.name, f.place, f.nth), func(t *testing.T) {
				t.Parallel()
				c.try(t, f)
			})
		}
	}
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
	have := withoutLock(m.traces())
	if done {
		if have != c.after {
			t.Errorf("it said that it is done: want\n%s\nhave\n%s\n%s", c.after, have, said)
		}
		return
	}
	t.Logf("it failed: %s", said)
	if c.undone != "" && have != c.after { // whose confirmation was not heard
		m.until("it is taken back", func() bool { return withoutLock(m.traces()) == c.undone })
	}
	again()
	if have := m.traces(); have != c.after {
		t.Errorf("after the next command: want\n%s\nhave\n%s", c.after, have)
	}
}

// withoutLock are traces without the lock of an agent that could not lock, or could not look
// whether anybody else needs it: the next session takes it away.
func withoutLock(traces string) string {
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
func (c *call) try(r spec.Request) error {
	if err := c.conn.Send(r); err != nil {
		return err
	}
	for {
		var reply spec.Reply
		if d, ok := c.out.(interface{ SetReadDeadline(time.Time) error }); !ok || d.SetReadDeadline(time.Now().Add(20*time.Second)) != nil {
			return errors.New("no deadline")
		}
		if err := c.conn.Receive(&reply); err != nil {
			return fmt.Errorf("await reply: %w", err)
		}
		if !reply.Done {
			continue
		}
		switch p := reply.Report; {
		case reply.Error != nil:
			return reply.Error
		case r.Op == spec.OpPlan && (reply.Plan == nil || len(reply.Plan.Problems) > 0):
			return fmt.Errorf("%+v", reply.Plan)
		case r.Op != spec.OpPlan && (p == nil || len(p.Pending) > 0 || p.Left > 0):
			return fmt.Errorf("%+v", p)
		case p != nil && p.Error != nil:
			return p.Error
		}
		return nil
	}
}

// leave ends the session: how the agent ended.
func (c *call) leave() error {
	c.over = true
	return errors.Join(c.in.Close(), c.cmd.Wait())
}

func outcome(c *call, errs ...error) (bool, string) {
	err := errors.Join(errs...)
	return err == nil, fmt.Sprintf("%v: %s", err, c.said.String())
}

func applyUnderFault(m *machine, f fault) (bool, string, *injector, func()) {
	c, i := m.faulty()
	i.arm(f.place, f.nth)
	want := testHost(1450)
	err := c.try(spec.Request{Op: spec.OpPlan, Want: want})
	if err == nil {
		err = c.try(spec.Request{Op: spec.OpApply, Want: want})
	}
	if err == nil {
		err = c.try(spec.Request{Op: spec.OpConfirm})
	}
	done, said := outcome(c, err, c.leave())
	return done, said, i, func() { m.stand(testHost(1450)) }
}

func undoUnderFault(m *machine, f fault) (bool, string, *injector, func()) {
	m.stand(testHost(1450))
	c, i := m.faulty()
	c.must(spec.Request{Op: spec.OpApply, Want: testHost(1400)})
	i.arm(f.place, f.nth)
	done, said := outcome(c, c.leave())
	return done, said, i, func() { m.stand(testHost(1450)) }
}

func bootUnderFault(m *machine, f fault) (bool, string, *injector, func()) {
	m.stand(testHost(1450))
	m.sh(`for p in /run/flock/*/*.pid; do kill $(cat $p); while kill -0 $(cat $p) 2>/dev/null; do :; done; done
		rm -r /run/flock; ip link del vxl0; ip link del vxl0-vx; nft flush ruleset; echo 0 >/proc/sys/net/ipv4/ip_forward`)
	cmd := m.agent("boot")
	i := inject(m.t, cmd)
	c := &call{t: m.t, cmd: cmd}
	cmd.Stdout, cmd.Stderr = &c.said, &c.said
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	i.arm(f.place, f.nth)
	i.started(cmd)
	done, said := outcome(c, cmd.Wait())
	return done, said, i, m.boot
}

func purgeUnderFault(m *machine, f fault) (bool, string, *injector, func()) {
	m.stand(testHost(1450))
	c, i := m.faulty()
	i.arm(f.place, f.nth)
	err := c.try(spec.Request{Op: spec.OpPurge, Want: emptyHost()})
	done, said := outcome(c, err, c.leave())
	return done, said, i, func() {
		c := m.call()
		c.must(spec.Request{Op: spec.OpPurge, Want: emptyHost()})
		c.hangUp()
	}
}
