package remote

import (
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/wire"
)

// What an agent is asked first travels with its start where the server takes variables, is sent
// where it does not, and is answered once; another request is not answered in its place.
func TestFirstRequest(t *testing.T) {
	for _, takes := range []bool{true, false} {
		s := (&sshServer{env: takes}).start(t)
		l := newLaptop(t, s)
		facts(t, mustDial(t, l, s.target())) // installs
		for _, c := range []struct {
			what string
			arch string
			ask  []*spec.Request // after first
			want []string
		}{
			{"first", "", nil, []string{"request 1: first"}},
			{"first, then another", runtime.GOARCH, []*spec.Request{{Op: spec.OpStatus, Holder: "next"}}, []string{"request 1: first", "request 2: next"}},
		} {
			target := s.target()
			target.Arch = c.arch
			target.First = &spec.Request{Op: spec.OpPlan, Holder: "first", Secrets: map[string]string{"known": ""}}
			session, err := mustDial(t, l, target).Agent(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if took := session.took != nil; took != takes {
				t.Fatalf("a server that takes variables (%v): the request travelled with the start: %v", takes, took)
			}
			var have []string
			for _, req := range append([]*spec.Request{target.First}, c.ask...) {
				reply, err := session.Do(t.Context(), req, nil)
				if err != nil {
					t.Fatal(err)
				}
				have = append(have, reply.Facts.Kernel)
			}
			if !slices.Equal(have, c.want) {
				t.Errorf("%s: want %q, have %q", c.what, c.want, have)
			}
			session.Close()
		}
		target := s.target()
		target.First = &spec.Request{Op: spec.OpPlan, Holder: "first"}
		session, err := mustDial(t, l, target).Agent(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		reply, err := session.Do(t.Context(), &spec.Request{Op: spec.OpStatus, Holder: "another"}, nil)
		if err != nil || !strings.HasSuffix(reply.Facts.Kernel, ": another") {
			t.Errorf("the answer to another request: %+v, %v", reply, err)
		}
		session.Close()
	}
}

// Nothing that is secret, changes something or is too long for every server goes ahead.
func TestWhatDoesNotGoAhead(t *testing.T) {
	for what, req := range map[string]*spec.Request{
		"nothing":  nil,
		"a secret": {Op: spec.OpPlan, Secrets: map[string]string{"id": "password"}},
		"an apply": {Op: spec.OpApply},
		"a purge":  {Op: spec.OpPurge},
		"keys":     {Op: spec.OpKeys},
		"too long": {Op: spec.OpPlan, Holder: strings.Repeat("x", 32<<10)},
	} {
		if text := ahead(req); text != "" {
			t.Errorf("%s goes ahead: %.40q", what, text)
		}
	}
	text := ahead(&spec.Request{Op: spec.OpPlan, Holder: "100 % / \x00 'quoted'!", Want: &spec.Host{Cluster: "a"}})
	if text == "" || strings.ContainsAny(text, "%/ \x00'") { // which sudo and shells would not pass on
		t.Fatalf("a plan goes ahead as %q", text)
	}
	var have spec.Request
	if err := wire.Unmarshal(wire.Unpack(text), &have); err != nil || have.Want.Cluster != "a" || have.Holder != "100 % / \x00 'quoted'!" {
		t.Fatalf("it arrives as %+v, %v", have, err)
	}
}
