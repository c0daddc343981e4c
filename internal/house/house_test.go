package house

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/flocknet/flock"

// listed is what go list says about a package.
type listed struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
}

func (l listed) room() string { return strings.TrimPrefix(l.ImportPath, module+"/") }

// lists are the answers of list so far: each costs half a second.
var lists = map[string][]listed{}

// list returns every package of the tree as goos sees it, built with tags.
func list(t *testing.T, goos, tags string) []listed {
	t.Helper()
	if all := lists[goos+" "+tags]; all != nil {
		return all
	}
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-tags="+tags, "-json=ImportPath,Imports,TestImports,XTestImports", "./...")
	cmd.Dir = top(t)
	cmd.Env = append(os.Environ(), "GOOS="+goos)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var l listed
		if err := d.Decode(&l); errors.Is(err, io.EOF) {
			lists[goos+" "+tags] = all
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, l)
	}
}

// top is the directory of go.mod.
func top(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestImports(t *testing.T) {
	for _, goos := range []string{"linux", "darwin"} {
		for _, l := range slices.Concat(list(t, goos, ""), list(t, goos, "carry")) {
			r, ok := rooms[l.room()]
			if !ok {
				t.Errorf("%s is no room of the house: name it for what it owns, and add it to the table", l.room())
				continue
			}
			for _, path := range l.Imports {
				if !r.allows(path) {
					t.Errorf("%s imports %s on %s: %s", l.room(), path, goos, r.never)
				}
			}
		}
	}
}

func (r room) allows(path string) bool {
	if ours, ok := strings.CutPrefix(path, module+"/"); ok {
		return slices.Contains(r.ours, ours)
	}
	if isStandard(path) {
		return !slices.Contains(r.banned, path)
	}
	return slices.ContainsFunc(r.theirs, func(m string) bool { return within(path, m) })
}

// isStandard: only paths of modules begin with a domain.
func isStandard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

func within(path, module string) bool { return path == module || strings.HasPrefix(path, module+"/") }

// TestDependenciesHaveReasons: a module that we import has its line in
// docs/dependencies.md.
func TestDependenciesHaveReasons(t *testing.T) {
	reasons := dependencyTable(t)
	used := map[string]bool{}
	modules := required(t)
	for _, l := range slices.Concat(list(t, "linux", ""), list(t, "darwin", "")) {
		for _, path := range slices.Concat(l.Imports, l.TestImports, l.XTestImports) {
			if isStandard(path) || within(path, module) {
				continue
			}
			at := slices.IndexFunc(modules, func(m string) bool { return within(path, m) })
			if at < 0 {
				t.Errorf("%s imports %s, which no module of go.mod has", l.room(), path)
				continue
			}
			used[modules[at]] = true
		}
	}
	for m := range used {
		if reasons[m] == "" {
			t.Errorf("docs/dependencies.md does not say what %s is for", m)
		}
	}
	for m := range reasons {
		if !used[m] {
			t.Errorf("docs/dependencies.md has a reason for %s, which nothing imports", m)
		}
	}
}

// required lists the modules of go.mod, longest path first.
func required(t *testing.T) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "mod", "edit", "-json")
	cmd.Dir = top(t)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go mod edit: %v", err)
	}
	var mod struct{ Require []struct{ Path string } }
	if err := json.Unmarshal(out, &mod); err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, r := range mod.Require {
		paths = append(paths, r.Path)
	}
	slices.SortFunc(paths, func(a, b string) int { return len(b) - len(a) })
	return paths
}

// dependencyTable reads the reasons of docs/dependencies.md.
func dependencyTable(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for line := range strings.Lines(readTop(t, filepath.Join("docs", "dependencies.md"))) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 || !strings.Contains(cells[1], "`") {
			continue
		}
		for i, word := range strings.Split(cells[1], "`") {
			if i%2 == 1 {
				out[word] = strings.TrimSpace(cells[2])
			}
		}
	}
	return out
}

func readTop(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(top(t), name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestRoomsAreOnThePlan: the rooms of ARCHITECTURE.md are those of the table, and may
// import the same.
func TestRoomsAreOnThePlan(t *testing.T) {
	plan := roomTable(t)
	for name, r := range rooms {
		want := slices.Sorted(slices.Values(r.ours))
		if have, ok := plan[name]; !ok || !slices.Equal(have, want) {
			t.Errorf("row of %s in ARCHITECTURE.md: want imports %v, have %v", name, want, have)
		}
	}
	for name := range plan {
		if _, ok := rooms[name]; !ok {
			t.Errorf("ARCHITECTURE.md has a room %s, the table has not", name)
		}
	}
}

// roomTable reads what the rooms of ARCHITECTURE.md may import of ours, sorted.
func roomTable(t *testing.T) map[string][]string {
	t.Helper()
	_, table, _ := strings.Cut(readTop(t, "ARCHITECTURE.md"), "\n## The rooms\n")
	table, _, found := strings.Cut(table, "\n## ")
	if !found {
		t.Fatal("ARCHITECTURE.md has no heading The rooms")
	}
	out := map[string][]string{}
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) != 5 || !strings.Contains(cells[1], "`") {
			continue
		}
		var ours []string
		for _, name := range strings.FieldsFunc(cells[3], func(r rune) bool { return r == ' ' || r == ',' || r == '–' }) {
			if name != "templates" {
				name = "internal/" + name
			}
			ours = append(ours, name)
		}
		slices.Sort(ours)
		for _, room := range strings.Split(cells[1], ",") {
			out[strings.Trim(room, " `")] = ours
		}
	}
	return out
}

// TestRoomsAreUsed: a permission that nobody uses is one that nobody thought about.
func TestRoomsAreUsed(t *testing.T) {
	used := map[string]bool{}
	for _, goos := range []string{"linux", "darwin"} {
		for _, tags := range []string{"", "carry"} {
			for _, l := range list(t, goos, tags) {
				used[l.room()] = true
				for _, path := range l.Imports {
					used[l.room()+" "+strings.TrimPrefix(path, module+"/")] = true
				}
			}
		}
	}
	for name, r := range rooms {
		if !used[name] {
			t.Errorf("the table has a room %s, which is empty", name)
		}
		for _, ours := range r.ours {
			if !used[name+" "+ours] {
				t.Errorf("%s may import %s, and does not", name, ours)
			}
		}
	}
}

// source is one Go file of the tree.
type source struct {
	name string // from the top
	file *ast.File
	fset *token.FileSet
}

func (s source) isTest() bool         { return strings.HasSuffix(s.name, "_test.go") }
func (s source) dir() string          { return filepath.Dir(s.name) }
func (s source) at(n ast.Node) string { return s.name + ":" + s.line(n) }
func (s source) line(n ast.Node) string {
	return strings.TrimPrefix(s.fset.Position(n.Pos()).String(), s.name+":")
}

func (s source) imports(paths ...string) bool {
	return slices.ContainsFunc(s.file.Imports, func(i *ast.ImportSpec) bool {
		return slices.Contains(paths, strings.Trim(i.Path.Value, `"`))
	})
}

// parsedSources are those of sources, once they were read.
var parsedSources []source

// sources are all Go files of the tree. They are shared: nobody changes them.
func sources(t *testing.T) []source {
	t.Helper()
	if parsedSources != nil {
		return parsedSources
	}
	root, fset := top(t), token.NewFileSet()
	var out []source
	for _, dir := range []string{"cmd", "internal", "templates", "examples"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() || filepath.Ext(path) != ".go" {
				return err
			}
			name, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			file, err := parser.ParseFile(fset, name, data, parser.ParseComments|parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			out = append(out, source{name, file, fset})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	parsedSources = out
	return out
}

func TestOnlyIn(t *testing.T) {
	for _, s := range sources(t) {
		if s.isTest() {
			continue
		}
		for _, i := range s.file.Imports {
			files, ok := onlyIn[strings.Trim(i.Path.Value, `"`)]
			if ok && !slices.Contains(files, s.name) {
				t.Errorf("%s: imports %s, which %v may alone", s.at(i), i.Path.Value, files)
			}
		}
	}
}

func TestPackageComments(t *testing.T) {
	saying := map[string][]string{}
	for _, s := range sources(t) {
		if s.isTest() {
			continue
		}
		saying[s.dir()] = append(saying[s.dir()], "")
		if s.file.Doc != nil {
			saying[s.dir()] = append(saying[s.dir()], s.name)
		}
	}
	for dir, files := range saying {
		files = slices.DeleteFunc(files, func(name string) bool { return name == "" })
		if len(files) != 1 {
			t.Errorf("%s has %d package comments %v, want one that says what it owns and refuses", dir, len(files), files)
		}
	}
}

func TestExportedNamesAreDocumented(t *testing.T) {
	for _, s := range sources(t) {
		if s.isTest() || s.dir() == "cmd/flock" {
			continue
		}
		for _, decl := range s.file.Decls {
			for _, name := range undocumented(decl) {
				t.Errorf("%s: %s has no comment that states its contract", s.at(name), name)
			}
		}
	}
}

// undocumented lists the exported names of decl that no comment belongs to. One
// above a group, or behind a name, counts.
func undocumented(decl ast.Decl) []*ast.Ident {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Doc == nil && d.Name.IsExported() && ownerExported(d) && !obvious(d) {
			return []*ast.Ident{d.Name}
		}
	case *ast.GenDecl:
		var out []*ast.Ident
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				if d.Doc == nil && s.Doc == nil && s.Comment == nil && s.Name.IsExported() {
					out = append(out, s.Name)
				}
			case *ast.ValueSpec:
				for _, name := range s.Names {
					if d.Doc == nil && s.Doc == nil && s.Comment == nil && name.IsExported() {
						out = append(out, name)
					}
				}
			}
		}
		return out
	}
	return nil
}

func ownerExported(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	owner := d.Recv.List[0].Type
	if star, ok := owner.(*ast.StarExpr); ok {
		owner = star.X
	}
	if generic, ok := owner.(*ast.IndexExpr); ok {
		owner = generic.X
	}
	name, ok := owner.(*ast.Ident)
	return ok && name.IsExported()
}

// obvious methods have their contract in the standard library.
func obvious(d *ast.FuncDecl) bool {
	return d.Recv != nil && slices.Contains([]string{"Error", "String", "Unwrap", "MarshalJSON", "UnmarshalJSON", "Read", "Write", "Close"}, d.Name.Name)
}

func TestNeverWritten(t *testing.T) {
	for _, s := range sources(t) {
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Recv == nil && n.Name.Name == "init" {
					t.Errorf("%s: init runs before anybody asked: call it from where it is needed", s.at(n))
				}
			case *ast.CallExpr:
				if why := forbidden(s, n); why != "" {
					t.Errorf("%s: %s", s.at(n), why)
				}
			}
			return true
		})
	}
}

func forbidden(s source, call *ast.CallExpr) string {
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	on, ok := sel.X.(*ast.Ident)
	if !ok {
		return ""
	}
	switch name := on.Name + "." + sel.Sel.Name; {
	case name == "time.Sleep":
		return "a sleep is too short or too long: poll with a ticker and a context"
	case s.isTest() && on.Name == "rand" && s.imports("math/rand/v2", "math/rand"):
		return "a random test that fails must be repeated: internal/seed logs how"
	case s.dir() != "internal/lab" && slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, sel.Sel.Name) && slices.Contains([]string{"t", "b", "f", "tb"}, on.Name):
		return "a skip that nobody counts is a test that does not exist: lab.Need"
	case name == "os.Exit" && !within(s.dir(), "cmd/flock") && !s.isTest():
		return "only main ends the program: return an error"
	}
	return ""
}
