//go:build linux

package nft

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/google/nftables"

	"github.com/flocknet/flock/internal/spec"
)

// Several looks of one session: rules are read again when somebody changed any, and
// only then.
func TestRulesAreReadAgainWhenTheyChanged(t *testing.T) {
	h, want := newHost(t), overlayHost(0)
	put(h, want)
	n := newFilters(want.Cluster)
	look := func() *spec.Host {
		t.Helper()
		have := &spec.Host{}
		h.Do(func() {
			if err := n.Observe(want, have); err != nil {
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
	h.Sh("nft flush chain bridge flock-c1 prerouting")
	if have := look(); len(have.Gateways) != 0 || len(have.NATs) != 2 {
		t.Errorf("a flushed chain is not seen: %s", have.Text())
	}
	h.Sh("nft 'add table ip wall; add chain ip wall crossing { type filter hook forward priority 0; policy drop; }'")
	if have := look(); len(have.Forwards) != 0 {
		t.Errorf("a new chain that drops is not seen: %s", have.Text())
	}
	h.Do(func() {
		if err := n.Replace(want); err != nil {
			t.Error(err)
		}
	})
	if have := look(); have.Text() != first.Text() {
		t.Errorf("our own change is not seen: want\n%shave\n%s", first.Text(), have.Text())
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
}

// Somebody writes rules while ours are read: what was read is read again, and not for ever.
func TestInterruptedLooksAreRepeated(t *testing.T) {
	h, want := newHost(t), overlayHost(0)
	put(h, want)
	n := newFilters(want.Cluster)
	chains := 0
	interrupted := func(times int) error {
		looks := 0
		err := n.steady(func(_ *nftables.Conn, rules *ruleset) error {
			if _, err := rules.allTables(); err != nil {
				return err
			}
			if looks++; looks <= times {
				if out, err := exec.Command("nft", "add table ip wall; add chain ip wall more"+strings.Repeat("e", looks)).CombinedOutput(); err != nil {
					t.Errorf("%v: %s", err, out)
				}
			}
			all, err := rules.allChains()
			chains = len(all)
			return err
		})
		if looks != min(times+1, mostLooks) {
			t.Errorf("interrupted %d times: %d looks", times, looks)
		}
		return err
	}
	h.Do(func() {
		if err := interrupted(0); err != nil {
			t.Error(err)
		}
		before := chains
		if err := interrupted(3); err != nil || chains != before+3 {
			t.Errorf("%d chains, then %d, %v", before, chains, err)
		}
		if err := interrupted(mostLooks); err == nil || !strings.Contains(err.Error(), "all the time") {
			t.Errorf("always interrupted: %v", err)
		}
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A busy neighbour's transactions never make a sound table look damaged.
func TestRulesAreSoundBesideOthersChanges(t *testing.T) {
	h, want := newHost(t), overlayHost(0)
	put(h, want)
	h.Do(func() {
		busy := exec.Command("sh", "-c", `nft add table ip busy; i=0
			while [ $i -lt 300 ]; do i=$((i+1)); printf 'add chain ip busy c%d\nadd rule ip busy c%d accept\n' $i $i | nft -f -; done`)
		if err := busy.Start(); err != nil {
			t.Error(err)
			return
		}
		ended := make(chan error, 1)
		go func() { ended <- busy.Wait() }()
		n := newFilters(want.Cluster)
		for looks := 0; ; {
			select {
			case err := <-ended:
				if err != nil || looks == 0 {
					t.Errorf("%d looks, %v", looks, err)
				}
				if err := n.Close(); err != nil {
					t.Error(err)
				}
				return
			default:
			}
			have := &spec.Host{}
			err := n.Observe(want, have)
			if err != nil && strings.Contains(err.Error(), "all the time") {
				continue // which is true, on a machine that is slow to look
			}
			if err != nil || !filtersAgree(want, have) {
				t.Errorf("look %d: %v\n%s", looks, err, have.Text())
			}
			looks++
		}
	})
}
