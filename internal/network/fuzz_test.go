package network

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/flocknet/flock/internal/state"
)

// FuzzCluster: whatever stands in a cluster file, it is refused with an error or
// it compiles; and what compiles does not change when completed again.
func FuzzCluster(f *testing.F) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(txtar.Parse(data).Files[0].Data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := state.Parse(data, "fuzz.toml")
		if err != nil || Complete(c) != nil {
			return
		}
		out, err := Compile(c)
		if err != nil {
			t.Fatalf("complete, but does not compile: %v", err)
		}
		before := make(map[string]string, len(out.Hosts))
		for name, h := range out.Hosts {
			before[name] = h.Text()
		}
		if err := Complete(c); err != nil {
			t.Fatalf("complete, but not a second time: %v", err)
		}
		again, err := Compile(c)
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
