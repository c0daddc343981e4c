package change

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/edit"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/option"
	"github.com/flocknet/flock/internal/remote"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
	"github.com/flocknet/flock/internal/verify"
)

// measure hears everybody but the hushed address, whose requests arrive.
func (f *fleet) measure(name string, r *spec.Request) *spec.Reply {
	reply := &spec.Reply{}
	f.times = r.Times
	for _, e := range r.Echoes {
		out := spec.Echoed{Echo: e, Sent: 5, Heard: 5, Min: time.Millisecond, Median: 2 * time.Millisecond, Passes: e.MTU}
		if f.measured {
			out.Heard = 5
		} else if e.To.String() == f.hushed || e.From.String() == f.hushed {
			out = spec.Echoed{Echo: e, Sent: 5}
		}
		silenced := f.silenced != "" && slices.Contains([]string{e.From.String(), e.To.String()}, f.silenced)
		if silenced {
			out = spec.Echoed{Echo: e, Sent: 5}
		}
		f.tried = append(f.tried, name+" "+e.To.String())
		reply.Echoes = append(reply.Echoes, out)
		if !silenced && e.From.String() != f.hushed {
			reply.Callers = append(reply.Callers, e.To)
		}
	}
	if f.lies {
		reply.Echoes[0].Heard = 6
	}
	return reply
}

// verifyWorld has a network of members s1 and so on, and one with a single member.
func verifyWorld(t *testing.T, members int) (*fleet, *Engine) {
	t.Helper()
	f, e := world(t, members)
	var names []string
	for i := range members {
		names = append(names, fmt.Sprint("s", i+1))
	}
	carry(t, e, Request{Edit: func(c *state.Cluster) error {
		if err := edit.Create(c, "vx1", network.VXLAN, option.Options{}); err != nil {
			return err
		}
		return edit.Join(c, "vx1", names)
	}})
	carry(t, e, Request{Edit: func(c *state.Cluster) error {
		if err := edit.Create(c, "alone", network.VXLAN, option.Options{}); err != nil {
			return err
		}
		return edit.Join(c, "alone", names[:1])
	}})
	f.takeTried()
	f.dialed, f.log = 0, nil
	return f, e
}

// TestVerify: each pair is tried both legs in one session per server, without its lock; a
// server that is away takes its legs along.
func TestVerify(t *testing.T) {
	f, e := verifyWorld(t, 3)
	f.hushed = "10.0.4.252"
	v, err := e.Verify(t.Context(), nil, Effort{})
	if err != nil {
		t.Fatal(err)
	}
	if have := f.takeTried(); have != "s1 10.0.4.252, s1 10.0.4.253, s2 10.0.4.252, s2 10.0.4.254, s3 10.0.4.253, s3 10.0.4.254" || f.dialed != 3 {
		t.Errorf("tried %s in %d sessions", have, f.dialed)
	}
	if log := strings.Join(f.log, " "); strings.Contains(log, spec.OpPlan) || strings.Contains(log, spec.OpApply) {
		t.Errorf("want no lock and no change, have %s", log)
	}
	if len(v.Legs) != 6 || fmt.Sprint(v.Without) != "[alone]" || len(v.Absent) > 0 {
		t.Errorf("have %+v", v)
	}
	for _, w := range v.Legs {
		lost := w.From == "s3" || w.To == "s3"
		if (w.Heard == 0) != lost || w.Arrived != (w.To != "s3") || !w.Below[0].IsValid() || w.Below[0] == w.Below[1] {
			t.Errorf("have %+v", w)
		}
	}
	f.servers["s2"].away = true
	if v, err = e.Verify(t.Context(), []string{"vx1"}, Effort{}); err != nil || len(v.Legs) != 2 || v.Untried["vx1"] != 4 || len(v.Absent) != 1 || !errors.Is(v.Absent[0].Err, remote.ErrUnreachable) {
		t.Errorf("without s2: %+v, %v", v, err)
	}
}

// TestVerifyOfWhoDies: who ends while it is asked for DHCP is absent; who only cannot be asked is not.
func TestVerifyOfWhoDies(t *testing.T) {
	f, e := verifyWorld(t, 3)
	f.servers["s2"].dies = true
	v, err := e.Verify(t.Context(), []string{"vx1"}, Effort{})
	if err != nil || len(v.Absent) != 1 || v.Absent[0].Name != "s2" || !errors.Is(v.Absent[0].Err, remote.ErrUnreachable) {
		t.Fatalf("absent %v, %v", v.Absent, err)
	}
	var text []string
	for _, s := range v.Services {
		text = append(text, fmt.Sprint(s.Server, " ", s.Err != nil && strings.Contains(s.Err.Error(), "/dev/net/tun")))
	}
	if have := strings.Join(text, ", "); have != "s1 true, s2 false, s3 true" {
		t.Error(have)
	}
}

// TestVerifyBelievesWhatCanBe: an answer to another question is none.
func TestVerifyBelievesWhatCanBe(t *testing.T) {
	f, e := verifyWorld(t, 2)
	f.lies = true
	v, err := e.Verify(t.Context(), []string{"vx1"}, Effort{})
	if err != nil || len(v.Legs) != 0 || v.Untried["vx1"] != 2 || len(v.Absent) != 2 || !strings.Contains(v.Absent[0].Err.Error(), "it measured something else") {
		t.Errorf("have %+v, %v", v, err)
	}
}

// flow has ports for all, and data arrives between all but those that the fleet says otherwise of.
func (f *fleet) flow(name string, r *spec.Request) *spec.Reply {
	reply := &spec.BulkReply{BadSums: f.sums[name]}
	for range r.Bulk.At {
		reply.Ports = append(reply.Ports, 4000)
	}
	f.admitted = append(f.admitted, len(r.Bulk.Admit))
	for _, b := range r.Bulk.Flows {
		f.tried = append(f.tried, name+" "+b.To.String())
		out := spec.Flowed{Bulk: b, Open: true, Whole: true, Out: 1 << 20, Back: 1 << 21, Took: time.Second}
		if b.To.String() == f.hushed && f.stalls > 0 {
			f.stalls--
			out = spec.Flowed{Bulk: b, Open: true}
			f.sums["s1"] += f.corrupts
		}
		if f.closed {
			out = spec.Flowed{Bulk: b}
		}
		reply.Flows = append(reply.Flows, out)
	}
	return &spec.Reply{Bulk: reply}
}

// TestVerifyOfClosedMembers: who accepts no connection is asked once: a firewall that drops TCP
// costs a wait each time.
func TestVerifyOfClosedMembers(t *testing.T) {
	f, e := verifyWorld(t, 3)
	f.closed = true
	v, err := e.Verify(t.Context(), []string{"vx1"}, Effort{Data: true})
	if err != nil || verify.Worst(v.Legs) != verify.Passes {
		t.Fatalf("%s, %v", verify.Worst(v.Legs), err)
	}
	if have := strings.Count(f.takeTried(), ",") + 1; have != 6+3 {
		t.Errorf("want 6 echoes and 3 connections, have %d in all", have)
	}
}

// TestVerifyByData: data is sent once between each two members, again where it did not arrive,
// and who counts wrong checksums meanwhile is told.
func TestVerifyByData(t *testing.T) {
	for _, test := range []struct {
		what             string
		stalls, corrupts int
		sent             int
		state            string
	}{
		{"well", 0, 0, 3, verify.Passes},
		{"once", 1, 0, 4, verify.Passes},
		{"stalls", 9, 0, 4, verify.Stalls},
		{"wrong checksums", 9, 1, 4, verify.Broken},
	} {
		f, e := verifyWorld(t, 3)
		f.sums = map[string]uint64{"s1": 7}
		v, err := e.Verify(t.Context(), []string{"vx1"}, Effort{})
		if err != nil || len(v.Legs) != 6 {
			t.Fatal(v, err)
		}
		f.takeTried()
		f.stalls, f.corrupts = test.stalls, uint64(test.corrupts) //nolint:gosec // small
		f.measured = true
		f.hushed = "10.0.4.253"
		if v, err = e.Verify(t.Context(), []string{"vx1"}, Effort{Data: true}); err != nil {
			t.Fatal(err)
		}
		if have := strings.Count(f.takeTried(), ",") + 1; have != 6+test.sent {
			t.Errorf("%s: want data sent %d times after 6 echoes, have %d in all", test.what, test.sent, have)
		}
		if have := verify.Worst(v.Legs); have != test.state {
			t.Errorf("%s: want %s, have %s", test.what, test.state, have)
		}
		for _, l := range v.Legs {
			if l.BadSums[1] || l.BadSums[0] != (test.state == verify.Broken && l.From == "s1" && l.Flow != nil && !l.Flow.Whole) {
				t.Errorf("%s: %s to %s: %v", test.what, l.From, l.To, l.BadSums)
			}
		}
	}
}

// TestVerifyBench: many echoes are asked for, and of one server no two pairs send data at once.
func TestVerifyBench(t *testing.T) {
	f, e := verifyWorld(t, 3)
	v, err := e.Verify(t.Context(), []string{"vx1"}, Effort{Data: true, Bench: true})
	if err != nil || f.times != spec.EchoMost || verify.Worst(v.Legs) != verify.Passes {
		t.Errorf("%d echoes, %v, %v", f.times, v, err)
	}
	if have := strings.Count(f.takeTried(), ",") + 1; have != 6+3 {
		t.Errorf("want 6 ways and 3 pairs, have %d in all", have)
	}
}

// TestVerifyOfExpiredSessions: a pair whose packets are lost, and whose keys are too old to be used, is
// told so, by the clock of the server that knows of the handshake.
func TestVerifyOfExpiredSessions(t *testing.T) {
	f, e := world(t, 3)
	carry(t, e, Request{Edit: lead})
	carry(t, e, Request{Edit: clients("s2", "s3"), Networks: []string{"wirex"}})
	keys := keysOf(load(t, e))
	clock := time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC) // far from the workstation's
	met := func(server, peer string, ago time.Duration) {
		s := f.servers[server]
		s.clock = clock
		s.sessions = append(s.sessions, spec.Session{Link: "wg-wirex", Key: keys[peer], Handshake: clock.Add(-ago)})
	}
	met("s1", "s3", 200*time.Second)
	met("s3", "s1", 150*time.Second)
	met("s1", "s2", 90*time.Second)
	met("s2", "s1", 90*time.Second)
	f.servers["s2"].sessions = append(f.servers["s2"].sessions, spec.Session{Link: "wg-wirex", Key: keys["s3"]})
	f.silenced = "10.0.8.3"
	v, err := e.Verify(t.Context(), []string{"wirex"}, Effort{})
	if err != nil {
		t.Fatal(err)
	}
	n := &verify.Network{Name: "wirex", Passing: "UDP 51820", Legs: v.Legs}
	says, next := n.Says()
	want := []string{
		"no packet passes between s1 and s3: does every firewall on the way let UDP 51820 pass from s1 (192.0.2.1) to s3 (192.0.2.3)?" +
			" Their session has expired: the last handshake was 200 s before, and what was sent now brought no new one. If UDP passes (flock probe s1 s3), flock rotatekeys wirex s3 begins anew.",
		"no packet passes between s2 and s3: does every firewall on the way let UDP 51820 pass from s2 (192.0.2.2) to s3 (192.0.2.3)? s2 has had no handshake with s3 yet.",
	}
	if !slices.Equal(says, want) || next != "flock trace s1:10.0.8.1 s3:10.0.8.3" {
		t.Errorf("want %q, have %q, next %s", want, says, next)
	}
}

// TestVerifyThroughAHub: members of a hub reach each other through its lead, which is said of those that do
// not; where it is away, nothing between them is to blame.
func TestVerifyThroughAHub(t *testing.T) {
	f, e := world(t, 3)
	hub := func(c *state.Cluster) error {
		err := lead(c)
		c.Networks["wirex"].Topology = state.Hub
		return err
	}
	carry(t, e, Request{Edit: hub})
	carry(t, e, Request{Edit: clients("s2", "s3"), Networks: []string{"wirex"}})
	f.silenced = "10.0.8.3"
	says := func(absent map[string]bool) (string, string) {
		t.Helper()
		v, err := e.Verify(t.Context(), []string{"wirex"}, Effort{})
		if err != nil {
			t.Fatal(err)
		}
		lines, next := (&verify.Network{Name: "wirex", Passing: "UDP 51820", Legs: v.Legs, Absent: absent}).Says()
		return strings.Join(lines, "\n"), next
	}
	want := "no packet passes between s1 and s3: does every firewall on the way let UDP 51820 pass from s1 (192.0.2.1) to s3 (192.0.2.3)?\n" +
		"no packet passes between s2 and s3: they reach each other by way of s1: does it pass packets on, and does every firewall let UDP 51820 pass between it and both?"
	if have, next := says(nil); have != want || next != "flock trace s1:10.0.8.1 s3:10.0.8.3" {
		t.Errorf("want %s\nhave %s, next %s", want, have, next)
	}
	f.servers["s1"].away = true
	want = "no packet passes between s2 and s3: they reach each other by way of s1, which does not answer"
	if have, next := says(map[string]bool{"s1": true}); have != want || next != "" {
		t.Errorf("want %s\nhave %s, next %s", want, have, next)
	}
}
