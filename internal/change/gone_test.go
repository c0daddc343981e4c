package change

import (
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/edit"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/state"
)

// marked gives servers machine ids and host keys of their own.
func marked(t *testing.T, f *fleet, e *Engine) {
	t.Helper()
	for name, s := range f.servers {
		s.machine, s.hostKey = "machine of "+name, "SHA256:"+name
	}
	carry(t, e, Request{Edit: create})
	carry(t, e, Request{Edit: join("s1", "s2")})
	carry(t, e, Request{All: true})
}

// A server that left while it was away is remembered, planned for and cleaned when it answers
// again.
func TestGoneServerIsCleanedLater(t *testing.T) {
	f, e := world(t, 2)
	marked(t, f, e)
	f.servers["s2"].away = true
	forced := leaves("s2")
	forced.Force, forced.Contact = true, nil
	carry(t, e, forced)
	if c := load(t, e); c.Servers["s2"] != nil || len(c.Gone) != 1 || c.Gone[0].Name != "s2" || c.Gone[0].Machine != "machine of s2" {
		t.Fatalf("s2 %v, gone %+v", c.Servers["s2"], c.Gone)
	}
	carry(t, e, Request{All: true})
	if len(load(t, e).Gone) != 1 {
		t.Error("it was forgotten while it was away")
	}

	f.servers["s2"].away = false
	f.servers["s2"].machine = "somebody else's"
	carry(t, e, Request{All: true})
	if f.servers["s2"].held == nil || len(load(t, e).Gone) != 1 {
		t.Error("another machine was cleaned")
	}
	f.servers["s2"].machine = "machine of s2"
	if out := carry(t, e, Request{All: true, DryRun: true}); !strings.Contains(states(out), "s2 (gone) planned") || f.servers["s2"].held == nil {
		t.Errorf("a dry run: %s", states(out))
	}
	if out := carry(t, e, Request{All: true}); !strings.Contains(states(out), "s2 (gone) done") || f.servers["s2"].held != nil || len(load(t, e).Gone) > 0 {
		t.Errorf("%s, held %v, gone %v", states(out), f.servers["s2"].held, load(t, e).Gone)
	}
}

// A server that is replaced while it runs is cleaned in the same change: two machines with its
// addresses would be in each other's way.
func TestReplacedServerThatRunsIsCleaned(t *testing.T) {
	f, e := world(t, 3)
	marked(t, f, e)
	f.servers["s4"] = &server{mtu: 1500, step: "link vxl0", machine: "machine of s4", hostKey: "SHA256:s4"}
	replace := replaces("s4")
	dry := replace
	dry.DryRun = true
	if out := carry(t, e, dry); !strings.Contains(states(out), "s2 (gone) planned") || f.servers["s2"].held == nil {
		t.Errorf("a dry run: %s", states(out))
	}
	if out := carry(t, e, replace); !strings.Contains(states(out), "s2 (gone) done") || f.servers["s2"].held != nil || len(load(t, e).Gone) > 0 {
		t.Errorf("%s, held %v, gone %v", states(out), f.servers["s2"].held, load(t, e).Gone)
	}
}

// A server that another cluster file has taken over since refuses this one's plan: it is left
// alone, and forgotten.
func TestGoneServerOfAnotherFile(t *testing.T) {
	f, e := world(t, 2)
	marked(t, f, e)
	f.servers["s2"].away = true
	forced := leaves("s2")
	forced.Force, forced.Contact = true, nil
	carry(t, e, forced)
	f.servers["s2"].away, f.servers["s2"].problem = false, "this server belongs to another cluster file"
	carry(t, e, Request{All: true})
	if f.servers["s2"].held == nil || len(load(t, e).Gone) > 0 {
		t.Errorf("held %v, gone %v", f.servers["s2"].held, load(t, e).Gone)
	}
}

// A server that is there again is not cleaned.
func TestGoneServerThatCameBack(t *testing.T) {
	f, e := world(t, 2)
	marked(t, f, e)
	f.servers["s2"].away = true
	forced := leaves("s2")
	forced.Force, forced.Contact = true, nil
	carry(t, e, forced)
	f.servers["s2"].away = false
	carry(t, e, Request{Contact: []string{"s2"}, Edit: func(c *state.Cluster) error { return edit.AddServer(c, "s2", state.Server{Address: "s2"}) }})
	carry(t, e, Request{Edit: join("s2")})
	carry(t, e, Request{All: true})
	if f.servers["s2"].held == nil || len(load(t, e).Gone) > 0 {
		t.Errorf("held %v, gone %v", f.servers["s2"].held, load(t, e).Gone)
	}
}

// replaces has the machine at address take the place of s2.
func replaces(address string) Request {
	return Request{Contact: []string{"s2"}, Moves: "s2", Replaces: true, Edit: func(c *state.Cluster) error {
		return edit.SetServer(c, "s2", edit.ServerOptions{Given: state.Server{Address: address}, Keys: []string{"address"}, Replace: true})
	}}
}

// Another machine has the name, the memberships and what was dealt; the dead one is cleaned
// when it comes back.
func TestReplacedServer(t *testing.T) {
	f, e := world(t, 2)
	marked(t, f, e)
	before := load(t, e)
	_, err := e.Run(t.Context(), replaces("s2.new")) // falls back to s2 itself
	if where, next := hint.Of(err); err == nil || !strings.Contains(err.Error(), "is the machine that s2 has been") || where != "server s2" || next == "" {
		t.Fatalf("where %q, next %q, %v", where, next, err)
	}
	f.servers["s2"].away = true
	f.servers["s9"] = &server{mtu: 1500, step: "link vxl0", machine: "new", hostKey: "SHA256:new", as: "s9"}
	out := carry(t, e, replaces("s9"))
	c := load(t, e)
	if len(out.Pending) > 0 || f.servers["s9"].held == nil || c.Servers["s2"].Facts.Machine != "new" || c.Networks["vx1"].Allocated["s2"].Addrs[0] != before.Networks["vx1"].Allocated["s2"].Addrs[0] {
		t.Errorf("pending %v, held %v, facts %+v", out.Pending, f.servers["s9"].held, c.Servers["s2"].Facts)
	}
	if len(c.Gone) != 1 || !c.Gone[0].Replaced || c.Gone[0].Address != "s2" {
		t.Fatalf("gone %+v", c.Gone)
	}
	f.servers["s2"].away = false
	carry(t, e, Request{All: true})
	if f.servers["s2"].held != nil || f.servers["s9"].held == nil || len(load(t, e).Gone) > 0 {
		t.Errorf("the dead one holds %v, the new one %v, gone %v", f.servers["s2"].held, f.servers["s9"].held, load(t, e).Gone)
	}
}
