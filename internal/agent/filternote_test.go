//go:build linux

package agent

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/flocknet/flock/internal/spec"
)

// TestSoundRulesAreNotedByAPlan: where others changed rules of theirs since the last change, or
// the program is another, the plan that finds ours right notes that, and the next session need
// not read them. Who only looks notes nothing, nor does a plan that finds something wrong.
func TestSoundRulesAreNotedByAPlan(t *testing.T) {
	m := newMachine(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	session := func(version string, requests ...spec.Request) string {
		t.Helper()
		program := filepath.Join(spec.Places[0], version, "flock") // notes are for installed programs
		m.sh("mkdir -p " + filepath.Dir(program) + "; ln -sf " + self + " " + program)
		cmd := m.command(program, "-test.run=^TestAgentProcess$")
		cmd.Env = append(os.Environ(), agentRole+"=serve")
		c := m.callBy(cmd, func() {})
		for _, r := range requests {
			c.must(r)
		}
		c.hangUp()
		return m.sh("cat /run/flock/test.d/filters")
	}
	want := testHost(1450)
	plan := spec.Request{Op: spec.OpPlan, Want: want}
	applied := session("one", spec.Request{Op: spec.OpApply, Want: want}, spec.Request{Op: spec.OpConfirm})
	if session("one", plan) != applied {
		t.Error("nothing has changed, and the note has")
	}
	m.sh("nft add table inet others")
	if session("one", spec.Request{Op: spec.OpPlan, Want: want, Look: true}) != applied {
		t.Error("a look noted something")
	}
	planned := session("one", plan)
	if planned == applied {
		t.Error("others changed rules: nothing is noted")
	}
	upgraded := session("two", plan)
	if upgraded == planned {
		t.Error("another program: nothing is noted")
	}
	m.sh("nft delete table inet flock-test")
	if session("two", plan) != upgraded {
		t.Error("rules are missing, and a plan notes that they are right")
	}
}
