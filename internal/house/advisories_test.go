package house

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/semver"
)

// TestAdvisories: no module is one that an advisory on the list warns of, and none on
// the list is there no more.
func TestAdvisories(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(top(t), "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("advisories.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, complaint := range warned(t, data, string(text)) {
		t.Error(complaint)
	}
	old := strings.Replace(string(data), "github.com/osrg/gobgp/v4 v4", "github.com/osrg/gobgp/v4 v4.2.0 // v4", 1)
	if list := warned(t, []byte(old), string(text)); len(list) < 10 {
		t.Errorf("GoBGP v4.2.0 is warned of by %q alone", list)
	}
}

// warned is what the list says against a go.mod.
func warned(t *testing.T, gomod []byte, list string) []string {
	t.Helper()
	file, err := modfile.Parse("go.mod", gomod, nil)
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]string{}
	for _, r := range file.Require {
		have[r.Mod.Path] = r.Mod.Version
	}
	var out []string
	for line := range strings.Lines(list) {
		f := strings.Fields(line)
		if len(f) == 0 || f[0] == "#" {
			continue
		}
		switch {
		case len(f) < 4 || !semver.IsValid(f[2]):
			out = append(out, "not an advisory: "+line)
		case have[f[1]] == "":
			out = append(out, f[0]+" is about "+f[1]+", which go.mod has not: take it off the list")
		case semver.Compare(have[f[1]], f[2]) < 0:
			out = append(out, f[0]+" warns of "+f[1]+" before "+f[2]+", go.mod has "+have[f[1]])
		}
	}
	return out
}
