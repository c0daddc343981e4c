package change

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/cloudfake"
	"github.com/flocknet/flock/internal/edit"
	"github.com/flocknet/flock/internal/option"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// cloudy is a world whose servers are instances of a cloud, with a network of its type.
func cloudy(t *testing.T, n int) (*fleet, *Engine, *cloudfake.AWS) {
	t.Helper()
	f, e := world(t, n)
	a := &cloudfake.AWS{Region: "eu-central-1", Denied: map[string]bool{}, Tables: []*cloudfake.Table{{ID: "rtb-1", VPC: "vpc-1", Main: true}}}
	for i := range n {
		a.NICs = append(a.NICs, &cloudfake.NIC{ID: fmt.Sprint("eni-", i+1), Subnet: "subnet-a", VPC: "vpc-1", Addr: netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}), Checked: true})
	}
	a.Changed = func(*cloudfake.AWS) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.log = append(f.log, "cloud")
	}
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	env := map[string]string{"AWS_ACCESS_KEY_ID": cloudfake.Key, "AWS_SECRET_ACCESS_KEY": cloudfake.Secret, "AWS_REGION": a.Region, "AWS_ENDPOINT_URL": server.URL}
	e.Getenv = func(key string) string { return env[key] }
	carry(t, e, Request{Edit: func(c *state.Cluster) error { return edit.Create(c, "c1", "aws-vpc", option.Options{}) }})
	f.log = nil
	return f, e, a
}

func joinCloud(servers ...string) func(*state.Cluster) error {
	return func(c *state.Cluster) error { return edit.Join(c, "c1", servers) }
}

func removeCloud(c *state.Cluster) error {
	return edit.Remove(c, "c1")
}

// Rows are there before a server may use them, and go when none does any more.
func TestCloudAroundServers(t *testing.T) {
	f, e, a := cloudy(t, 2)
	out := carry(t, e, Request{Edit: joinCloud("s1", "s2")})
	if got, want := states(out), "aws rtb-1 done, s1 done, s2 done"; got != want || len(out.Pending) > 0 {
		t.Fatalf("%s, pending %v", got, out.Pending)
	}
	last := 0
	for i, l := range f.log {
		if l == "cloud" {
			last = i
		}
	}
	if first := slices.IndexFunc(f.log, func(l string) bool { return strings.HasSuffix(l, spec.OpApply) }); first < last {
		t.Errorf("a server came before the cloud was done: %v", f.log)
	}
	if c := load(t, e); len(c.Clouds) != 1 || len(c.Clouds[0].Routes) != 2 || len(c.Clouds[0].Checked) != 2 || c.Clouds[0].Sum == "" {
		t.Errorf("noted: %+v", c.Clouds)
	}
	f.log = nil
	a.Calls()
	if out := carry(t, e, Request{Edit: create}); len(out.Servers) > 0 || len(a.Calls()) > 0 {
		t.Errorf("a change of something else: %s", states(out))
	}
	generation := load(t, e).Generation
	if out := carry(t, e, Request{All: true}); states(out) != "aws rtb-1 unchanged, s1 unchanged, s2 unchanged" || load(t, e).Generation != generation {
		t.Errorf("nothing to do: %s", states(out))
	}
	f.log = nil
	carry(t, e, Request{Edit: removeCloud})
	first := slices.Index(f.log, "cloud")
	if rest := f.log[first:]; first < 0 || slices.ContainsFunc(rest, func(l string) bool { return strings.HasSuffix(l, spec.OpApply) }) {
		t.Errorf("the cloud came before a server was done: %v", f.log)
	}
	if text := a.Text(); strings.Contains(text, "10.244") || strings.Contains(text, "false") || len(load(t, e).Clouds) > 0 {
		t.Errorf("left over: %s, %+v", text, load(t, e).Clouds)
	}
}

// A cloud that does not answer is pending as a server is, and what it has is known until it does.
func TestCloudAway(t *testing.T) {
	_, e, a := cloudy(t, 2)
	carry(t, e, Request{Edit: joinCloud("s1", "s2")})
	a.Do(func() { a.Down = true })
	out := carry(t, e, Request{Edit: removeCloud})
	if got, want := states(out), "aws rtb-1 unreachable, s1 done, s2 done"; got != want || !slices.Equal(out.Pending, []string{"aws rtb-1"}) {
		t.Fatalf("%s, pending %v", got, out.Pending)
	}
	a.Do(func() { a.Down, a.Denied["DeleteRoute"] = false, true })
	out = carry(t, e, Request{All: true})
	if got, want := states(out), "aws rtb-1 failed, s1 unchanged, s2 unchanged"; got != want || !slices.Equal(out.Pending, []string{"aws rtb-1"}) {
		t.Fatalf("%s, pending %v", got, out.Pending)
	}
	a.Do(func() { a.Denied["DeleteRoute"] = false })
	out = carry(t, e, Request{All: true})
	if got, want := states(out), "aws rtb-1 done, s1 unchanged, s2 unchanged"; got != want || len(out.Pending) > 0 {
		t.Fatalf("%s, pending %v", got, out.Pending)
	}
	if text := a.Text(); strings.Contains(text, "10.244") || strings.Contains(text, "false") {
		t.Errorf("left over: %s", text)
	}
}

// What is in the way in a cloud stops the servers, too; a dry run and a status change nothing, and
// what changes while a person is asked is not done.
func TestCloudIsAsked(t *testing.T) {
	f, e, a := cloudy(t, 2)
	row := cloudfake.Route{To: "10.244.1.0/24", By: "igw-1"}
	a.Do(func() { a.Tables[0].Routes = []cloudfake.Route{row} })
	before := a.Text()
	out, err := e.Run(t.Context(), Request{Edit: joinCloud("s1", "s2")})
	if err == nil || !strings.Contains(err.Error(), "which is not flock's") || states(out) != "aws rtb-1 refused, s1 planned, s2 planned" {
		t.Fatalf("%v: %s", err, states(out))
	}
	if slices.Contains(f.log, "s1 "+spec.OpApply) || a.Text() != before || len(load(t, e).Networks["c1"].Members) > 0 {
		t.Error("something was done")
	}
	a.Do(func() { a.Tables[0].Routes = nil })
	before = a.Text()
	if out := carry(t, e, Request{Edit: joinCloud("s1", "s2"), DryRun: true}); states(out) != "aws rtb-1 planned, s1 planned, s2 planned" || a.Text() != before {
		t.Errorf("dry run: %s", states(out))
	}
	meanwhile := func() {
		a.Do(func() {
			a.Tables[0].Routes = []cloudfake.Route{{To: "10.244.0.0/24", By: "eni-1"}}
		})
	}
	if _, err := e.Run(t.Context(), asking(joinCloud("s1", "s2"), meanwhile)); err == nil || !strings.Contains(err.Error(), "changed while you were asked") {
		t.Errorf("changed meanwhile: %v", err)
	}
	carry(t, e, Request{Edit: joinCloud("s1", "s2")})
	a.Do(func() { a.Tables[0].Routes = a.Tables[0].Routes[:1] })
	out, err = e.Status(t.Context(), nil, nil)
	if err != nil || len(out.Servers[0].Plan.Steps) != 1 || len(out.Pending)+len(out.Behind) > 0 {
		t.Errorf("status: %v %+v", err, out.Servers[0])
	}
	if out, err := e.Status(t.Context(), nil, []string{"s1"}); err != nil || states(out) != "s1 unchanged" {
		t.Errorf("status of a server: %v", err)
	}
}

// Servers are left as they are while a cloud lacks what they need: refused where it cannot be looked
// at, pending where it could not be made, and also by apply while nobody answers.
func TestServersWaitForCloud(t *testing.T) {
	f, e, a := cloudy(t, 2)
	a.Do(func() { a.Down = true })
	generation := load(t, e).Generation
	out, err := e.Run(t.Context(), Request{Edit: joinCloud("s1", "s2")})
	if !errors.Is(err, ErrRefused) || load(t, e).Generation != generation || slices.Contains(f.log, "s1 "+spec.OpApply) {
		t.Fatalf("%v: %s, %v", err, states(out), f.log)
	}
	a.Do(func() { a.Down, a.Denied["CreateRoute"] = false, true })
	out = carry(t, e, Request{Edit: joinCloud("s1", "s2")})
	if got, want := states(out), "aws rtb-1 failed, s1 failed, s2 failed"; got != want || slices.Contains(f.log, "s1 "+spec.OpApply) {
		t.Fatalf("%s, %v", got, f.log)
	}
	if err := out.Servers[1].Err; !strings.Contains(err.Error(), "s1 was not changed: aws rtb-1 has not what it needs") {
		t.Error(err)
	}
	a.Do(func() { a.Down = true })
	if out := carry(t, e, Request{All: true}); states(out) != "aws rtb-1 unreachable, s1 failed, s2 failed" || slices.Contains(f.log, "s1 "+spec.OpApply) {
		t.Errorf("%s, %v", states(out), f.log)
	}
	a.Do(func() { a.Down, a.Denied["CreateRoute"] = false, false })
	if out := carry(t, e, Request{All: true}); states(out) != "aws rtb-1 done, s1 done, s2 done" || len(out.Pending) > 0 {
		t.Errorf("%s, pending %v", states(out), out.Pending)
	}
}

// Rows to a server that failed stay until it is done.
func TestRowsOfFailedServers(t *testing.T) {
	f, e, a := cloudy(t, 2)
	carry(t, e, Request{Edit: joinCloud("s1", "s2")})
	f.servers["s2"].away = true
	out := carry(t, e, Request{Edit: removeCloud})
	if text := a.Text(); strings.Count(text, "10.244") != 1 || !strings.Contains(text, "eni-2 192.0.2.2 check false") || !slices.Contains(out.Pending, "aws rtb-1") {
		t.Errorf("%s: %s, pending %v", states(out), text, out.Pending)
	}
	f.servers["s2"].away = false
	if out := carry(t, e, Request{All: true}); strings.Contains(a.Text(), "10.244") || len(out.Pending) > 0 {
		t.Errorf("%s: %s", states(out), a.Text())
	}
}
