package cli

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/advice"
	"github.com/flocknet/flock/internal/handover"
	"github.com/spf13/cobra"
)

// hintsOf are the texts of a source file that begin a command of flock or name an option,
// as far as the source says: what is put in when it runs is X.
func hintsOf(file *ast.File) []string {
	var out []string
	var text func(e ast.Expr) string
	text = func(e ast.Expr) string {
		switch e := e.(type) {
		case *ast.BasicLit:
			if s, err := strconv.Unquote(e.Value); e.Kind == token.STRING && err == nil {
				return s
			}
		case *ast.BinaryExpr:
			return text(e.X) + text(e.Y)
		case *ast.ParenExpr:
			return text(e.X)
		case *ast.CallExpr:
			if called(e) == "Setting" || called(e) == "setting" { // see ground and agent/claim
				return "flock setnetwork X " + text(e.Args[1])
			}
			if called(e) == "Sprintf" {
				return verbs.ReplaceAllString(text(e.Args[0]), "X")
			}
		}
		return "X"
	}
	take := func(e ast.Expr) { out = append(out, text(e)) }
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			switch called(n) {
			case "Errorf", "With":
				if len(n.Args) > 2 && receiver(n) == "hint" {
					take(n.Args[map[string]int{"Errorf": 1, "With": 2}[called(n)]])
				}
			case "Refuse", "Reword":
				take(n.Args[0])
			}
		case *ast.KeyValueExpr:
			if key, ok := n.Key.(*ast.Ident); ok && slices.Contains([]string{"Next", "next", "Advice", "join", "leave", "joinLead", "leaveLead", "joinFirst", "remove", "unshare"}, key.Name) {
				take(n.Value)
			}
		case *ast.AssignStmt:
			for i, left := range n.Lhs {
				if name, ok := left.(*ast.Ident); ok && i < len(n.Rhs) && (name.Name == "next" || name.Name == "advice") {
					take(n.Rhs[i])
				}
			}
		case *ast.ReturnStmt:
			for _, e := range n.Results {
				if s := text(e); strings.HasPrefix(s, "flock ") {
					out = append(out, s)
				}
			}
		}
		return true
	})
	return out
}

var verbs = regexp.MustCompile(`%[a-z]`)

func called(c *ast.CallExpr) string {
	switch f := c.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		return f.Sel.Name
	}
	return ""
}

func receiver(c *ast.CallExpr) string {
	if f, ok := c.Fun.(*ast.SelectorExpr); ok {
		if x, ok := f.X.(*ast.Ident); ok {
			return x.Name
		}
	}
	return ""
}

// known says whether a command, or one of those below it, has the option.
func known(cmd *cobra.Command, option string) bool {
	cmd.InheritedFlags()
	cmd.InitDefaultHelpFlag() // cobra adds it when it runs
	if flag, _ := handover.Lookup(cmd.Flags(), option); flag != nil {
		return true
	}
	return slices.ContainsFunc(cmd.Commands(), func(c *cobra.Command) bool { return known(c, option) })
}

// TestHintsOfTheSource: every hint in the sources is made of commands that parse, and of
// options that a command has, whether or not a walk comes by.
func TestHintsOfTheSource(t *testing.T) {
	count := 0
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		for _, text := range hintsOf(file) {
			if strings.Contains(text, "flock X") || strings.Contains(text, "flock ./X") || strings.HasPrefix(text, "flock agent ") || text == "X" { // its words are not here
				continue
			}
			count++
			holdHint(t, path, text)
		}
		return nil
	})
	if err != nil || count < 300 {
		t.Fatalf("%d hints, %v", count, err)
	}
}

func holdHint(t *testing.T, where, text string) {
	t.Helper()
	if err := Advice(text, nil); err != nil {
		t.Errorf("%s: %v", where, err)
	}
	for _, o := range advice.Options(text) {
		if !known(bareTree(), o) {
			t.Errorf("%s: %q: no command has %s", where, text, o)
		}
	}
}

// Nor do the goldens have others: the hints of every kind of network.
func TestHintsOfTheGoldens(t *testing.T) {
	files, err := filepath.Glob("../*/testdata/*/*.txtar")
	if err != nil || len(files) < 50 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	next := regexp.MustCompile(`(?m)^next:  (.*)$`)
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range next.FindAllStringSubmatch(string(data), -1) {
			holdHint(t, file, line[1])
		}
	}
}
