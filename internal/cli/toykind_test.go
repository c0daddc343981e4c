package cli

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// TestToyKind: a kind of network is one file and one line in the table. A kind that is not
// in the tree is laid over it, and what all kinds share carries it: creating, refusing
// options, completion, help, members, listings, plans.
func TestToyKind(t *testing.T) {
	ar, err := txtar.ParseFile("testdata/toykind.txtar")
	if err != nil {
		t.Fatal(err)
	}
	top, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	const table = "internal/network/network.go"
	before, err := os.ReadFile(filepath.Join(top, table))
	if err != nil {
		t.Fatal(err)
	}
	const head = "return []*Kind{\n"
	after := strings.Replace(string(before), head, head+"\t\ttoyKind(),\n", 1)
	if strings.Count(after, "\n") != strings.Count(string(before), "\n")+1 {
		t.Fatalf("%s has no table of kinds", table)
	}
	over, dir := map[string]string{}, t.TempDir()
	for _, f := range append(ar.Files, txtar.File{Name: table, Data: []byte(after)}) {
		laid := filepath.Join(dir, filepath.Base(f.Name))
		if err := os.WriteFile(laid, f.Data, 0o600); err != nil {
			t.Fatal(err)
		}
		over[filepath.Join(top, f.Name)] = laid
	}
	overlay, err := json.Marshal(map[string]any{"Replace": over})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "test", "-vet=off", "-overlay="+file, "-run=^TestToyInside$", "-v", "./internal/cli")
	cmd.Dir = top
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestToyInside") {
		t.Errorf("%v\n%s", err, out)
	}
}
