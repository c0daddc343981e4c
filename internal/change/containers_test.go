package change

import "testing"

// TestContainersOfTheWorkstation: it is asked without being in the file, whatever networks the
// servers there have.
func TestContainersOfTheWorkstation(t *testing.T) {
	_, e := world(t, 2)
	for _, edit := range []Request{{}, {Edit: create}, {Edit: join("s1", "s2")}} {
		if edit.Edit != nil {
			carry(t, e, edit)
		}
		r := &run{e: e, c: load(t, e), peers: map[string]*peer{}}
		if p, err := r.peerFor("local"); err != nil || p.name != "local" {
			t.Errorf("want the workstation, have %v", err)
		}
	}
}
