//go:build linux

package agent

import (
	"testing"

	"github.com/flocknet/flock/internal/spec"
)

// Several looks of one session: rules are read again when somebody changed any, and
// only then.
func TestRulesAreReadAgainWhenTheyChanged(t *testing.T) {
	h, want := newNFTHost(t), overlayHost(0)
	settleNFT(h, want)
	n := newNFT(want.Cluster)
	look := func() *spec.Host {
		t.Helper()
		have := &spec.Host{}
		h.do(func() {
			if err := n.observe(want, have); err != nil {
				t.Error(err)
			}
		})
		return have
	}
	first := look()
	if len(first.Gateways) != 1 || len(first.NATs) != 2 || len(first.Forwards) != 1 {
		t.Fatalf("first look: %s", first.Text())
	}
	read := n.seen
	if read == nil || read.generation == 0 || len(read.rules) == 0 {
		t.Fatalf("the kernel's count is not known: %+v", read)
	}
	if again := look(); n.seen != read || again.Text() != first.Text() {
		t.Errorf("nothing changed: want\n%shave\n%s", first.Text(), again.Text())
	}
	h.sh("nft flush chain bridge flock-c1 prerouting")
	if have := look(); len(have.Gateways) != 0 || len(have.NATs) != 2 {
		t.Errorf("a flushed chain is not seen: %s", have.Text())
	}
	h.sh("nft 'add table ip wall; add chain ip wall crossing { type filter hook forward priority 0; policy drop; }'")
	if have := look(); len(have.Forwards) != 0 {
		t.Errorf("a new chain that drops is not seen: %s", have.Text())
	}
	h.do(func() {
		if err := n.replace(want); err != nil {
			t.Error(err)
		}
	})
	if have := look(); have.Text() != first.Text() {
		t.Errorf("our own change is not seen: want\n%shave\n%s", first.Text(), have.Text())
	}
	if err := n.close(); err != nil {
		t.Error(err)
	}
}
