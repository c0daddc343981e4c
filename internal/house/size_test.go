package house

import (
	"bytes"
	"cmp"
	"fmt"
	"go/ast"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Bounds of what is not a test, in lines.
const (
	mostFunc    = 60
	mostFile    = 400
	mostPackage = 4000
)

// mostOf are packages that must be shorter than others: what sees everything is read by
// whoever changes anything.
var mostOf = map[string]int{"internal/agent": 2500}

// over lists what of a file of this many lines is too long: its functions, and itself.
func over(s source, lines int) []string {
	var out []string
	if lines > mostFile {
		out = append(out, s.name)
	}
	for _, decl := range s.file.Decls {
		if d, ok := decl.(*ast.FuncDecl); ok && s.fset.Position(d.End()).Line-s.fset.Position(d.Pos()).Line+1 > mostFunc {
			out = append(out, s.name+" "+d.Name.Name)
		}
	}
	return out
}

// TestSizes: functions, files and packages are short enough to be read as a whole.
func TestSizes(t *testing.T) {
	have, packages := map[string]bool{}, map[string]int{}
	for _, s := range sources(t) {
		if s.isTest() {
			continue
		}
		data, err := os.ReadFile(filepath.Join(top(t), s.name))
		if err != nil {
			t.Fatal(err)
		}
		lines := bytes.Count(data, []byte("\n"))
		packages[s.dir()] += lines
		for _, what := range over(s, lines) {
			have[what] = true
		}
	}
	for name, lines := range packages {
		if lines > cmp.Or(mostOf[name], mostPackage) {
			have[name] = true
		}
	}
	for _, what := range slices.Sorted(maps.Keys(have)) {
		t.Errorf("%s is too long: at most %d lines for a function, %d for a file, %d for a package: split it by idea", what, mostFunc, mostFile, cmp.Or(mostOf[what], mostPackage))
	}
}

// A function of one line too many is found, and a file.
func TestLongFunctionIsFound(t *testing.T) {
	for _, c := range []struct {
		inside, lines int
		want          []string
	}{
		{mostFunc - 2, mostFile, nil},
		{mostFunc - 1, mostFile, []string{"p.go f"}},
		{mostFunc - 2, mostFile + 1, []string{"p.go"}},
	} {
		s := parsed(t, "p.go", "package p\n\nfunc f() {\n"+strings.Repeat("\tg()\n", c.inside)+"}\n")
		if have := over(s, c.lines); !slices.Equal(have, c.want) {
			t.Errorf("%s: want %q, have %q", fmt.Sprint(c.inside, " of ", c.lines), c.want, have)
		}
	}
}
