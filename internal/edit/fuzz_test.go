package edit

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/state"
)

// FuzzCluster: whatever stands in a cluster file, it is refused with an error or
// it compiles; and what compiles does not change when completed again.
func FuzzCluster(f *testing.F) {
	for _, file := range goldens(f) {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(txtar.Parse(data).Files[0].Data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := state.Parse(data, "fuzz.toml")
		if err != nil {
			return
		}
		checkSalvage(t, c)
		if network.Complete(c) != nil {
			return
		}
		out, err := network.Compile(c)
		if err != nil {
			t.Fatalf("complete, but does not compile: %v", err)
		}
		before := make(map[string]string, len(out.Hosts))
		for name, h := range out.Hosts {
			before[name] = h.Text()
		}
		if err := network.Complete(c); err != nil {
			t.Fatalf("complete, but not a second time: %v", err)
		}
		again, err := network.Compile(c)
		if err != nil {
			t.Fatal(err)
		}
		for name, h := range again.Hosts {
			if h.Text() != before[name] {
				t.Fatalf("%s changed:\n%s\n%s", name, before[name], h.Text())
			}
		}
	})
}

// checkSalvage: of any file all networks and servers are shown, and those that have no
// fault compile.
func checkSalvage(t *testing.T, c *state.Cluster) {
	t.Helper()
	shown, out, faults := Salvage(c)
	if len(shown.Networks) != len(c.Networks) || len(shown.Servers) != len(c.Servers) {
		t.Fatalf("%d of %d networks, %d of %d servers", len(shown.Networks), len(c.Networks), len(shown.Servers), len(c.Servers))
	}
	if whole := network.Complete(c.Clone()) == nil; whole != (len(faults) == 0) {
		t.Fatalf("whole: %v, faults: %v", whole, faults)
	}
	for _, f := range faults {
		if where, _ := hint.Of(f.Err); where == "" || (f.Network == "") == (f.Server == "") {
			t.Fatalf("a fault of %q %q without a place: %v", f.Network, f.Server, f.Err)
		}
	}
	readAll(shown, out)
}

// goldens are the files of network's testdata.
func goldens(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("../network/testdata/*/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no goldens: %v", err)
	}
	return files
}
