package lab

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

const instances = "fs/inotify/max_user_instances"

// testRegister is one of a machine of its own, with the kernel's defaults.
func testRegister(t *testing.T) *register {
	t.Helper()
	dir := t.TempDir()
	r := &register{filepath.Join(dir, "register"), filepath.Join(dir, "sys")}
	for _, l := range limits() {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(r.sysctls, l.key)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(r.sysctls, l.key), []byte("128\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func (r *register) holds(t *testing.T, key, want string) {
	t.Helper()
	if have, err := r.read(key); err != nil || have != want {
		t.Errorf("%s: want %s, have %s, %v", key, want, have, err)
	}
}

func (r *register) joins(t *testing.T, name string, u user, crowd bool) {
	t.Helper()
	if _, err := r.join(name, u, crowd); err != nil {
		t.Fatal(err)
	}
}

func (r *register) leaves(t *testing.T, name string) {
	t.Helper()
	if err := r.leave(name); err != nil {
		t.Fatal(err)
	}
}

// TestLimitsStayForWhoIsThere: whichever of two labs goes first, the other keeps what it
// needs, the last one restores it, and nothing is left.
func TestLimitsStayForWhoIsThere(t *testing.T) {
	const table = "net/ipv4/neigh/default/gc_thresh3"
	for _, order := range [][2]string{{"small", "large"}, {"large", "small"}} {
		r := testRegister(t)
		r.joins(t, "small", user{Owner: self()}, false)
		r.holds(t, instances, "8192")
		r.holds(t, table, "128")
		r.joins(t, "large", user{Owner: self()}, true)
		r.holds(t, table, "65536")
		r.leaves(t, order[0])
		r.holds(t, instances, "8192")
		if order[0] == "large" {
			r.holds(t, table, "128")
		} else {
			r.holds(t, table, "65536")
		}
		r.leaves(t, order[1])
		r.leaves(t, order[1]) // once more does no harm
		r.holds(t, instances, "128")
		r.holds(t, table, "128")
		if exists(r.dir) {
			t.Errorf("%s is left", r.dir)
		}
	}
}

// TestLimitsOfCrashedLabs: who neither runs nor has a lab is forgotten by the next one; a
// lab outlives the process that made it; half a file is no user.
func TestLimitsOfCrashedLabs(t *testing.T) {
	r := testRegister(t)
	gone := self()
	gone.Start-- // who started before us under our number is gone
	r.joins(t, "crashed", user{Owner: gone}, true)
	lab := t.TempDir()
	if err := os.WriteFile(filepath.Join(lab, metaFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r.joins(t, "lab", user{Dir: lab, Owner: gone}, false)
	r.holds(t, "net/ipv4/neigh/default/gc_thresh3", "128")
	if err := os.WriteFile(filepath.Join(r.dir, "half.new"), []byte(`{"dir":"/`), 0o600); err != nil {
		t.Fatal(err)
	}
	r.joins(t, "next", user{Owner: self()}, false)
	r.leaves(t, "next")
	r.holds(t, instances, "8192") // the lab's
	if err := os.Remove(filepath.Join(lab, metaFile)); err != nil {
		t.Fatal(err)
	}
	r.joins(t, "next", user{Owner: self()}, false)
	r.leaves(t, "next")
	r.holds(t, instances, "128")
	if exists(r.dir) {
		t.Errorf("%s is left", r.dir)
	}
}

// TestLimitsOfOthers: what is high enough, or was set by somebody meanwhile, stays.
func TestLimitsOfOthers(t *testing.T) {
	for before, meanwhile := range map[string]string{"9000": "", "128": "4096"} {
		r := testRegister(t)
		if err := r.write(instances, before); err != nil {
			t.Fatal(err)
		}
		r.joins(t, "lab", user{Owner: self()}, false)
		want := before
		if meanwhile != "" {
			want = meanwhile
			if err := r.write(instances, meanwhile); err != nil {
				t.Fatal(err)
			}
		}
		r.leaves(t, "lab")
		r.holds(t, instances, want)
	}
}

// TestLimitsOfManyAtOnce: they come and go side by side, in processes of their own or not.
func TestLimitsOfManyAtOnce(t *testing.T) {
	r := testRegister(t)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			name := strings.Repeat("x", i+1)
			for range 20 {
				if _, err := r.join(name, user{Owner: self()}, i%2 == 0); err != nil {
					t.Error(err)
				}
				r.holds(t, instances, "8192")
				if err := r.leave(name); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	r.holds(t, instances, "128")
	if exists(r.dir) {
		t.Errorf("%s is left", r.dir)
	}
}
