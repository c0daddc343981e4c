package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"testing"
)

// TestRulesBite: a rule that never fails holds nothing.
func TestRulesBite(t *testing.T) {
	for _, test := range []struct {
		room, imports string
		want          bool
	}{
		{"internal/network", module + "/internal/state", true},
		{"internal/network", module + "/internal/agent", false},
		{"internal/network", "net/netip", true},
		{"internal/network", "net", false},
		{"internal/network", "time", false},
		{"internal/agent", module + "/internal/state", false},
		{"internal/agent/link", netlink + "/nl", true},
		{"internal/state", netlink, false},
		{"internal/state", toml + "/unstable", true},
		{"internal/spec", toml, false},
		{"internal/wire", module + "/internal/spec", false},
	} {
		if have := rooms[test.room].allows(test.imports); have != test.want {
			t.Errorf("%s imports %s: want %v, have %v", test.room, test.imports, test.want, have)
		}
	}
}

const guilty = `package p

import (
	"math/rand/v2"
	"time"
)

type Bare struct{}

func (Bare) Do() {}
func (Bare) String() string { return "" }
func (*Bare) Undo() {}

type hidden struct{}

func (hidden) Do() {}

// Said says what it is.
func Said() {}

const (
	One = 1
	Two = 2 // said
)

func f(t testing.TB) {
	time.Sleep(1)
	t.Skip("never")
	os.Exit(1)
	rand.Shuffle(2, nil)
}
`

func TestGuiltyFileIsFound(t *testing.T) {
	whole := parsed(t, "internal/p/p.go", guilty)
	file, fset := whole.file, whole.fset
	var names []string
	for _, decl := range file.Decls {
		for _, name := range undocumented(decl) {
			names = append(names, name.Name)
		}
	}
	if want := []string{"Bare", "Do", "Undo", "One"}; !slices.Equal(names, want) {
		t.Errorf("undocumented: want %v, have %v", want, names)
	}
	for name, want := range map[string]int{"internal/p/p.go": 3, "internal/p/p_test.go": 3} {
		calls := 0
		ast.Inspect(file, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok && forbidden(source{name, file, fset}, call) != "" {
				calls++
			}
			return true
		})
		if calls != want { // a test may end its process, and may not be random in secret
			t.Errorf("forbidden calls in %s: want %d, have %d", name, want, calls)
		}
	}
}

// parsed is text as a file of the tree.
func parsed(t *testing.T, name, text string) source {
	t.Helper()
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, text, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	return source{name, file, fset}
}
