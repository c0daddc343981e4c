//go:build linux

package nft

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/flocknet/flock/internal/spec"
)

// Several sessions: rules that were found right are not read again until somebody
// changes any.
func TestFiltersAreRememberedUntilTheyChange(t *testing.T) {
	h, want := newHost(t), overlayHost(0)
	put(h, want)
	dir := filepath.Join(t.TempDir(), "of", "cluster")

	// session looks as another process would, and says what it saw and whether it
	// read the rules; what it found right it writes down.
	session := func(h *host, program string, want *spec.Host) (have *spec.Host, read bool) {
		t.Helper()
		server := testServer(want.Cluster)
		server.Notes, server.Program = dir, program
		n := New(server)
		have = &spec.Host{}
		h.Do(func() {
			if err := n.Observe(want, have); err != nil {
				t.Error(err)
			}
		})
		read = n.conn != nil
		n.Note()
		if err := n.Close(); err != nil {
			t.Error(err)
		}
		return have, read
	}
	first, read := session(h, "p1", want)
	if !read || len(first.Gateways) != 1 || len(first.NATs) != 2 || len(first.Forwards) != 1 {
		t.Fatalf("first look (read: %v): %s", read, first.Text())
	}
	if again, read := session(h, "p1", want); read || again.Text() != first.Text() {
		t.Errorf("nothing changed (read: %v): want\n%shave\n%s", read, first.Text(), again.Text())
	}

	// Who must not believe it.
	if _, read := session(h, "p2", want); !read {
		t.Error("another program believes what this one thought of the rules")
	}
	_, _ = session(h, "p1", want)
	other := overlayHost(0)
	other.Gateways[0].MAC = "6a:0f:00:00:00:77"
	if have, read := session(h, "p1", other); !read || len(have.Gateways) != 0 {
		t.Errorf("another gateway is wanted (read: %v): %s", read, have.Text())
	}
	if _, read := session(h, "p1", want); read {
		t.Error("a look that found something wrong spoiled the note")
	}
	elsewhere := newHost(t)
	masquerades := func(n spec.NAT) bool { return n.Subnet.IsValid() } // a guard stands for one that is missing
	if have, read := session(elsewhere, "p1", want); !read || len(have.Gateways) != 0 || slices.ContainsFunc(have.NATs, masquerades) {
		t.Errorf("in another network namespace (read: %v): %s", read, have.Text())
	}
	if _, read := session(h, "", want); !read {
		t.Error("a note that is nowhere was believed")
	}

	h.Sh("nft flush chain bridge flock-c1 prerouting")
	for range 2 { // what is wrong is not remembered
		if have, read := session(h, "p1", want); !read || len(have.Gateways) != 0 || len(have.NATs) != 2 {
			t.Errorf("a flushed chain is not seen (read: %v): %s", read, have.Text())
		}
	}
	put(h, want)
	if _, read := session(h, "p1", want); !read {
		t.Error("written anew, and not read")
	}
	if _, read := session(h, "p1", want); read {
		t.Error("the new rules are not remembered")
	}
	h.Sh("nft 'add table ip wall; add chain ip wall crossing { type filter hook forward priority 0; policy drop; }'")
	for range 2 {
		if have, read := session(h, "p1", want); !read || len(have.Forwards) != 0 {
			t.Errorf("a new chain that drops is not seen (read: %v): %s", read, have.Text())
		}
	}
	if info, err := os.Stat(filepath.Join(dir, filterFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the note: %v, %v", info, err)
	}
}
