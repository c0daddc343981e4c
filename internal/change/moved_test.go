package change

import (
	"slices"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/edit"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/state"
)

// moves is setserver with another address for s1.
func moves(address string) Request {
	return Request{Contact: []string{"s1"}, Moves: "s1", Edit: func(c *state.Cluster) error {
		return edit.SetServer(c, "s1", edit.ServerOptions{Given: state.Server{Address: address}, Keys: []string{"address"}})
	}}
}

// renames gives s1 another name.
func renames(to string) Request {
	return Request{Edit: func(c *state.Cluster) error { return edit.SetServer(c, "s1", edit.ServerOptions{Rename: to}) }}
}

// A server that is somewhere else is contacted first, alone, with the place where its host
// key is known.
func TestMovedServerIsReachedFirst(t *testing.T) {
	f, e := world(t, 3)
	carry(t, e, Request{Edit: create})
	carry(t, e, Request{Edit: join("s1", "s2", "s3")})
	f.met = nil
	f.servers["s1"].away = true
	if _, err := e.Run(t.Context(), moves("elsewhere")); err == nil || !slices.Equal(f.met, []string{"s1"}) {
		t.Errorf("%v after contacting %v", err, f.met)
	}
	if load(t, e).Servers["s1"].Address != "s1" {
		t.Error("an address where nobody is was saved")
	}
	f.servers["s1"].away = false
	f.targets = nil
	carry(t, e, moves("elsewhere"))
	if got := f.targets[0]; got.Name != "s1" || got.Host != "elsewhere" || got.Formerly == nil || got.Formerly.Host != "s1" {
		t.Errorf("the first target is %+v", got)
	}
}

// What another machine shows is not taken for the server.
func TestMovedServerIsTheSameMachine(t *testing.T) {
	f, e := world(t, 2)
	f.servers["s1"].machine = "first"
	carry(t, e, Request{All: true})
	f.servers["s1"].machine = "second"
	_, err := e.Run(t.Context(), moves("elsewhere"))
	if where, next := hint.Of(err); err == nil || !strings.Contains(err.Error(), "another machine") || where != "server s1" || next == "" {
		t.Fatalf("where %q, next %q, %v", where, next, err)
	}
	if load(t, e).Servers["s1"].Address != "s1" {
		t.Error("it was saved")
	}
}

// A server with another name is the one that it was: nothing leaves the file, and what it
// confirmed is known.
func TestRenamedServerIsTheSame(t *testing.T) {
	f, e := world(t, 2)
	carry(t, e, Request{Edit: create})
	carry(t, e, Request{Edit: join("s1", "s2")})
	f.servers["web1"] = f.servers["s1"]
	f.servers["web1"].as = "s1"
	dry := renames("web1")
	dry.DryRun = true
	if out := carry(t, e, dry); len(out.Leaving) > 0 || len(out.Beside) > 0 {
		t.Errorf("leaving %v, clones %v", out.Leaving, out.Beside)
	}
	out := carry(t, e, renames("web1"))
	if c := load(t, e); c.Servers["s1"] != nil || c.Servers["web1"].Confirmed == nil || len(out.Pending) > 0 {
		t.Errorf("s1 %v, web1 confirmed %v, pending %v", c.Servers["s1"], c.Servers["web1"].Confirmed, out.Pending)
	}
	// One that is away gets it later.
	f.servers["s3"] = f.servers["s2"]
	f.servers["s3"].away, f.servers["s3"].as = true, "s2"
	back := Request{Edit: func(c *state.Cluster) error { return edit.RenameServer(c, "s2", "s3") }}
	if out := carry(t, e, back); !slices.Equal(out.Pending, []string{"s3"}) {
		t.Errorf("pending %v", out.Pending)
	}
}
