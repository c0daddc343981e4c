package state

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestVerdicts: what traffic showed is kept beside the cluster file; a quick look that found
// nothing hides no thorough one, and a network that is gone has none.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "default.toml")
	s := Open(path, "default")
	c := &Cluster{Networks: map[string]*Network{"vx1": {}, "n1": {}}}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	quick, lost := Verdict{State: "passes", Time: at, Quick: true}, Verdict{State: "lost", Time: at, Quick: true}
	narrow, full := Verdict{State: "narrow", Says: "1 too narrow", Time: at}, Verdict{State: passes, Time: at.Add(time.Hour)}
	for i, step := range []struct{ note, want Verdict }{
		{quick, quick}, {lost, lost}, {quick, quick}, {narrow, narrow}, {quick, narrow}, {lost, narrow}, {full, full}, {quick, full}, {lost, lost}, {quick, quick},
	} {
		if err := s.NoteVerdicts(c, nil, map[string]Verdict{"vx1": step.note}); err != nil {
			t.Fatal(err)
		}
		if have := s.Verdicts(); len(have) != 1 || have["vx1"] != step.want {
			t.Errorf("%d: want %+v, have %+v", i, step.want, have)
		}
	}
	c.Networks["app"] = c.Networks["vx1"]
	delete(c.Networks, "vx1")
	if err := s.NoteVerdicts(c, map[string]string{"app": "vx1"}, nil); err != nil || len(s.Verdicts()) != 1 || s.Verdicts()["app"] != quick {
		t.Errorf("with another name: %+v, %v", s.Verdicts(), err)
	}
	delete(c.Networks, "app")
	if err := s.NoteVerdicts(c, nil, nil); err != nil || len(s.Verdicts()) != 0 {
		t.Errorf("of a network that is gone: %+v, %v", s.Verdicts(), err)
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 0 {
		t.Errorf("a file without a verdict stays: %v, %v", left, err)
	}
	if err := os.WriteFile(verdictsFile(path), []byte("not JSON"), 0o600); err != nil || len(s.Verdicts()) != 0 {
		t.Errorf("a broken file: %+v, %v", s.Verdicts(), err)
	}
	if err := s.NoteVerdicts(c, nil, map[string]Verdict{"n1": full}); err != nil || s.Verdicts()["n1"] != full {
		t.Errorf("over a broken file: %+v, %v", s.Verdicts(), err)
	}
}
