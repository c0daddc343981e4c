package change

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// spoken is who was asked to speak to whom, and forgets it.
func (f *fleet) spoken() []string {
	out := slices.Sorted(slices.Values(f.spoke))
	f.spoke = nil
	return out
}

func TestWhoMeetsSpeaks(t *testing.T) {
	f, e := world(t, 4)
	expect := func(what string, want ...string) {
		t.Helper()
		if have := f.spoken(); !slices.Equal(have, want) {
			t.Errorf("%s: want %q, have %q", what, want, have)
		}
	}
	carry(t, e, Request{Edit: lead})
	expect("alone")
	carry(t, e, Request{Edit: clients("s2", "s3"), Networks: []string{"wirex"}})
	expect("three that meet", "s1 to s2", "s1 to s3", "s2 to s3")
	carry(t, e, Request{Edit: clients("s4"), Networks: []string{"wirex"}})
	expect("one more speaks to all", "s4 to s1", "s4 to s2", "s4 to s3")
	carry(t, e, Request{All: true})
	expect("nothing to do")
}

// Nobody can speak first to a server behind NAT, and nobody to one that is away.
func TestWhoSpeaksFirst(t *testing.T) {
	f, e := world(t, 4)
	nat := func(c *state.Cluster) error { c.Servers["s2"].NAT = true; return nil }
	carry(t, e, Request{Edit: nat})
	carry(t, e, Request{Edit: lead})
	f.servers["s4"].away = true
	carry(t, e, Request{Edit: clients("s2", "s3", "s4"), Networks: []string{"wirex"}})
	want := []string{"s1 to s3", "s2 to s1", "s2 to s3"}
	if have := f.spoken(); !slices.Equal(have, want) {
		t.Errorf("want %q, have %q", want, have)
	}
	f.servers["s4"].away = false
	carry(t, e, Request{All: true})
	want = []string{"s2 to s4", "s4 to s1", "s4 to s3"}
	if have := f.spoken(); !slices.Equal(have, want) {
		t.Errorf("back: want %q, have %q", want, have)
	}
}

func TestSilentPeersAreNoted(t *testing.T) {
	f, e := world(t, 7)
	carry(t, e, Request{Edit: lead})
	f.deaf = "s3/key/1"
	out := carry(t, e, Request{Edit: clients("s2", "s3"), Networks: []string{"wirex"}})
	if len(out.Pending) > 0 {
		t.Errorf("pending: %v", out.Pending)
	}
	want := "no handshake yet: s1 with s3 (UDP 192.0.2.3:51820), s2 with s3 (UDP 192.0.2.3:51820); does every firewall on the way let WireGuard pass?"
	if len(out.Silent) != 1 || out.Silent[0] != (ground.Note{Network: "wirex", Text: want}) {
		t.Errorf("want %q, have %v", want, out.Silent)
	}
	f.deaf = "s"
	out = carry(t, e, Request{Edit: clients("s4", "s5", "s6", "s7"), Networks: []string{"wirex"}})
	if len(out.Silent) != 1 || !strings.Contains(out.Silent[0].Text, " and 14 more;") {
		t.Errorf("want four pairs and the number of the rest, have %v", out.Silent)
	}
}

// handshake notes what was asked, and that some keys have no ears.
func (f *fleet) handshake(name string, r *spec.Request) *spec.Reply {
	reply := &spec.Reply{}
	for _, p := range r.Peers {
		f.spoke = append(f.spoke, fmt.Sprintf("%s to %s", name, strings.Split(p.Key, "/")[0]))
		if f.deaf != "" && strings.HasPrefix(p.Key, f.deaf) {
			reply.Silent = append(reply.Silent, p)
		}
	}
	return reply
}
