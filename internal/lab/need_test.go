package lab

import (
	"fmt"
	"testing"
)

// told records what a test would have been told.
type told struct{ name, how string }

func (t *told) Helper()                      {}
func (t *told) Name() string                 { return t.name }
func (t *told) Skipf(f string, args ...any)  { t.tell("skip", f, args) }
func (t *told) Fatalf(f string, args ...any) { t.tell("fail", f, args) }

func (t *told) tell(how, f string, args []any) {
	if t.how == "" {
		t.how = how + ": " + fmt.Sprintf(f, args...)
	}
}

// A test of a kind of link that no kernel has is left out where the other lane runs
// it, and fails where none would.
func TestNeedLink(t *testing.T) {
	Need(t, "ip", "unshare")
	const none = "nosuchkind"
	for _, c := range []struct{ test, lane, want string }{
		{"TestWireGuardX/part", "", "skip: runs in the VM: this kernel has no nosuchkind links"},
		{"TestUnheardOf", "", "fail: this kernel has no nosuchkind links, and no lane runs this test: name it in lab.InVM"},
		{"TestWireGuardX", "vm", "fail: this kernel has no nosuchkind links, and no lane runs this test: name it in lab.InVM"},
	} {
		t.Setenv("FLOCK_LANE", c.lane)
		have := &told{name: c.test}
		NeedLink(have, none)
		if have.how != c.want {
			t.Errorf("%s in lane %q: want %q, have %q", c.test, c.lane, c.want, have.how)
		}
	}
	if !HasLink("veth") || HasLink(none) {
		t.Error("every kernel makes veth links, none what nobody knows")
	}
}
