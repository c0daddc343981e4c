//go:build linux

package host

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/wire"
)

// TestLastIsWhatTheFileSays: the spec that was sent stands for the one that was confirmed only
// while the file has its very JSON, and what was read is read again when the file is another.
func TestLastIsWhatTheFileSays(t *testing.T) {
	dir := t.TempDir()
	sent := &spec.Host{Cluster: "c1", Server: "s1", Links: []spec.Link{{Name: "vxl0", Kind: "bridge"}}}
	message := func(r spec.Request) []byte {
		t.Helper()
		text, err := wire.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	store := func(h *spec.Host) {
		t.Helper()
		s := FilesAt("c1", Paths{Lib: dir, Run: dir})
		if err := os.MkdirAll(s.Dir(), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := s.Store(h); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range []spec.Request{{Op: spec.OpPlan, Want: sent}, {Op: spec.OpPlan, Want: sent, Holder: "me"}} {
		store(sent)
		s := FilesAt("c1", Paths{Lib: dir, Run: dir})
		s.Sent(sent, message(r))
		if s.Last() != sent {
			t.Errorf("%s: the same JSON was read twice", message(r))
		}
		other := *sent
		other.Links = []spec.Link{{Name: "vxl1", Kind: "bridge"}} // as long
		store(&other)
		if have := s.Last(); have == sent || have.Sum() != other.Sum() || s.Last() != have {
			t.Errorf("%s: another file of that length: %+v", message(r), have)
		}
		store(sent)
		if have := s.Last(); have.Sum() != sent.Sum() {
			t.Errorf("%s: back again: %+v", message(r), have)
		}
		for _, path := range []string{spec.SpecFile, spec.SpecFile + copySuffix} {
			if err := os.WriteFile(filepath.Join(s.Dir(), path), []byte("{"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if have := s.Last(); have != nil || !s.Lost[spec.SpecFile] {
			t.Errorf("%s: a damaged file: %+v", message(r), have)
		}
	}
	store(sent)
	stranger := FilesAt("c1", Paths{Lib: dir, Run: dir})
	stranger.Sent(&spec.Host{Cluster: "c2"}, message(spec.Request{Op: spec.OpPlan, Want: sent}))
	if have := stranger.Last(); have == nil || have.Sum() != sent.Sum() {
		t.Errorf("a spec of another cluster was sent: %+v", have)
	}
}
