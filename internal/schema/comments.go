package schema

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"strings"
)

// comments are those of the tree below top.
type comments struct {
	top   string
	known map[string]map[string]string // by type, of its fields; "": of the type
}

const module = "github.com/flocknet/flock/"

// of are the comments of a type: by field, "" for the type itself. A type of others has none.
func (c *comments) of(t reflect.Type) (map[string]string, error) {
	dir, ours := strings.CutPrefix(t.PkgPath(), module)
	if !ours {
		return nil, nil
	}
	key := dir + "." + t.Name()
	if c.known[key] == nil {
		if c.known == nil {
			c.known = map[string]map[string]string{}
		}
		if err := c.read(dir); err != nil {
			return nil, err
		}
	}
	if c.known[key] == nil {
		return nil, fmt.Errorf("%s is not in %s", t.Name(), dir)
	}
	return c.known[key], nil
}

// read reads the types of a directory.
func (c *comments) read(dir string) error {
	files, err := filepath.Glob(filepath.Join(c.top, dir, "*.go"))
	if err != nil {
		return err
	}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, decl := range file.Decls {
			d, ok := decl.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range d.Specs {
				if s, ok := spec.(*ast.TypeSpec); ok {
					c.known[dir+"."+s.Name.Name] = ofType(d, s)
				}
			}
		}
	}
	return nil
}

func ofType(d *ast.GenDecl, s *ast.TypeSpec) map[string]string {
	out := map[string]string{"": text(s.Name.Name, s.Doc, d.Doc, s.Comment)}
	if t, ok := s.Type.(*ast.StructType); ok {
		for _, f := range t.Fields.List {
			for _, name := range f.Names {
				out[name.Name] = text(name.Name, f.Doc, f.Comment)
			}
		}
	}
	return out
}

// text is the first of some comments, as one line, without the name that it is about.
func text(name string, groups ...*ast.CommentGroup) string {
	for _, g := range groups {
		words := strings.Join(strings.Fields(g.Text()), " ")
		for _, verb := range []string{" is ", " are "} {
			words = strings.TrimPrefix(words, name+verb)
		}
		if words != "" {
			return words
		}
	}
	return ""
}
