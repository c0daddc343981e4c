//go:build linux

package agent

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
	h, want := newNFTHost(t), overlayHost(0)
	settleNFT(h, want)
	path := filepath.Join(t.TempDir(), "of", "cluster", filterFile)
	note := filterNote{path: path, program: "p1"}

	// session looks as another process would, and says what it saw and whether it
	// read the rules; what it found right it writes down.
	session := func(h *nftHost, note filterNote, want *spec.Host) (have *spec.Host, read bool) {
		t.Helper()
		n := newNFT(want.Cluster)
		n.note = note
		have = &spec.Host{}
		h.do(func() {
			if err := n.observe(want, have); err != nil {
				t.Error(err)
			}
		})
		read = n.conn != nil
		n.note.keep()
		if err := n.close(); err != nil {
			t.Error(err)
		}
		return have, read
	}
	first, read := session(h, note, want)
	if !read || len(first.Gateways) != 1 || len(first.NATs) != 2 || len(first.Forwards) != 1 {
		t.Fatalf("first look (read: %v): %s", read, first.Text())
	}
	if again, read := session(h, note, want); read || again.Text() != first.Text() {
		t.Errorf("nothing changed (read: %v): want\n%shave\n%s", read, first.Text(), again.Text())
	}

	// Who must not believe it.
	if _, read := session(h, filterNote{path: path, program: "p2"}, want); !read {
		t.Error("another program believes what this one thought of the rules")
	}
	_, _ = session(h, note, want)
	other := overlayHost(0)
	other.Gateways[0].MAC = "6a:0f:00:00:00:77"
	if have, read := session(h, note, other); !read || len(have.Gateways) != 0 {
		t.Errorf("another gateway is wanted (read: %v): %s", read, have.Text())
	}
	if _, read := session(h, note, want); read {
		t.Error("a look that found something wrong spoiled the note")
	}
	elsewhere := newNFTHost(t)
	masquerades := func(n spec.NAT) bool { return n.Subnet.IsValid() } // a guard stands for one that is missing
	if have, read := session(elsewhere, note, want); !read || len(have.Gateways) != 0 || slices.ContainsFunc(have.NATs, masquerades) {
		t.Errorf("in another network namespace (read: %v): %s", read, have.Text())
	}
	if _, read := session(h, filterNote{}, want); !read {
		t.Error("a note that is nowhere was believed")
	}

	h.sh("nft flush chain bridge flock-c1 prerouting")
	for range 2 { // what is wrong is not remembered
		if have, read := session(h, note, want); !read || len(have.Gateways) != 0 || len(have.NATs) != 2 {
			t.Errorf("a flushed chain is not seen (read: %v): %s", read, have.Text())
		}
	}
	settleNFT(h, want)
	if _, read := session(h, note, want); !read {
		t.Error("written anew, and not read")
	}
	if _, read := session(h, note, want); read {
		t.Error("the new rules are not remembered")
	}
	h.sh("nft 'add table ip wall; add chain ip wall crossing { type filter hook forward priority 0; policy drop; }'")
	for range 2 {
		if have, read := session(h, note, want); !read || len(have.Forwards) != 0 {
			t.Errorf("a new chain that drops is not seen (read: %v): %s", read, have.Text())
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the note: %v, %v", info, err)
	}
}
