package edit_test

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/cli"
	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/edit"
	"github.com/flocknet/flock/internal/screen"
	"github.com/flocknet/flock/internal/seed"
	"github.com/flocknet/flock/internal/state"
)

// TestReadingCommandsTakeEveryFile: each command that reads the file and asks no server does
// so with whatever edits have left.
func TestReadingCommandsTakeEveryFile(t *testing.T) {
	random := seed.New(t)
	tries := 120
	if testing.Short() { // make unit
		tries = 20
	}
	path := filepath.Join(t.TempDir(), "c.toml")
	for range tries {
		data, log, err := edit.RandomFile(random)
		if err != nil {
			t.Fatalf("%v\n%s", err, strings.Join(log, "\n"))
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := state.Parse(data, path)
		if err != nil {
			t.Fatal(err)
		}
		for _, args := range reading(c) {
			var out, said bytes.Buffer
			streams := screen.Streams{In: strings.NewReader(""), Out: &out, Err: &said}
			args = append([]string{"--state", path}, args...)
			code := cli.Main(t.Context(), args, streams, func(string) string { return "" })
			// A network none of whose members can take part, as one behind NAT, has nothing to explain.
			nothing := code == command.ExitFailed && slices.Contains(args, "explain") && out.Len() == 0 && said.Len() > 0
			if code != command.ExitDone && !nothing {
				t.Fatalf("flock %s: exit status %d\n%s\n%s", strings.Join(args, " "), code, said.String(), data)
			}
		}
	}
}

// reading are the command lines that only read c.
func reading(c *state.Cluster) (lines [][]string) {
	for _, form := range []string{"table", "wide", "json"} {
		lines = append(lines, []string{"listnetworks", "-o", form}, []string{"listservers", "-o", form})
	}
	for _, form := range []string{"svg", "html", "mermaid", "dot", "json"} {
		lines = append(lines, []string{"graph", "-o", form})
	}
	lines = append(lines, []string{"history"})
	for _, server := range c.ServerNames() {
		lines = append(lines, []string{"listservers", server})
	}
	for _, name := range slices.Sorted(maps.Keys(c.Networks)) {
		lines = append(lines, []string{"listnetworks", name}, []string{"listnetworks", name, "-o", "json"})
		if len(c.Networks[name].Members) > 0 {
			lines = append(lines, []string{"explain", name}, []string{"explain", name, "--undo"})
		}
	}
	return lines
}
